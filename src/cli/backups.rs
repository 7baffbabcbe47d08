//! `backup` and `restore`.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::config::Config;
use super::output::{Exit, Output};
use super::run::Failure;
use super::{key, store_options};
use crate::service::Context;
use crate::service::providers::{Providers, Vault};
use crate::service::webhooks::secret;
use crate::store::{BackupSize, Store, restore_backup};

/// How every backup begins, whatever its version.
const BACKUP_MAGIC: &[u8] = b"kalends-backup ";

/// What may lie in a directory that is restored into. Whether data is in it is for the store to say.
const HARMLESS: [&str; 7] =
    ["kalends.lock", "kalends.toml", "kalends.sock", "kalends.store", "kalends.store.new", key::FILE, key::NEW_FILE];

/// Whether a backup may take the place of what is at `file`: of nothing, an empty file, or an earlier backup. A slip of
/// the hand (`kalends.key`, a device, a pipe) would be replaced by it otherwise.
pub(super) fn check_place(file: &Path) -> Result<(), String> {
    let shown = file.display();
    let failed = |error: std::io::Error| format!("cannot write {shown}: {error}");
    let there = match fs::metadata(file) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !there.is_file() {
        return Err(format!("{shown} is no ordinary file; name one that is not there yet, or an earlier backup"));
    }
    let mut start = Vec::new();
    File::open(file).and_then(|open| open.take(BACKUP_MAGIC.len() as u64).read_to_end(&mut start)).map_err(failed)?;
    if !start.is_empty() && start != BACKUP_MAGIC {
        return Err(format!("{shown} is there and is no backup, so it is not replaced; name another file"));
    }
    Ok(())
}

/// Sends a backup to the one who called. The pieces are read from disk: not on a thread that serves.
pub(super) async fn backup(context: &Context, output: &Output) -> Result<(), Failure> {
    let mut backup = context.store.backup();
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let piece = backup.next_piece();
            (backup, piece)
        });
        let (back, piece) =
            read.await.map_err(|error| Failure(Exit::Failed, format!("the backup broke off: {error}")))?;
        backup = back;
        let Some(piece) = piece? else { break };
        if !output.backup(&piece).await {
            return Err(Failure(Exit::Failed, "nobody takes the backup any more".to_owned()));
        }
    }
    let BackupSize { rows, bytes } = backup.size();
    tracing::info!(rows, bytes, "backup.written");
    output.note(format!("{rows} rows, {bytes} bytes")).await;
    Ok(())
}

/// Fills `data` from `file`, and checks what is there then.
pub(super) async fn restore(data: &Path, config: &Config, file: &Path) -> Result<Exit, String> {
    is_empty(data)?;
    let shown = file.display();
    let mut opened = File::open(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let made = !data.exists();
    super::make_data_directory(data).map_err(|error| error.to_string())?;
    let options = store_options(data, config);
    let BackupSize { rows, bytes } = restore_backup(&mut opened, &options).map_err(|error| {
        if made {
            // Only if nothing is in it.
            let _ = fs::remove_dir(data);
        }
        format!("{shown}: {error}")
    })?;
    let store = Store::open(&options).map_err(|error| error.to_string())?;
    let findings = store.check().await.map_err(|error| error.to_string())?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    let engine = config.store.engine.name();
    eprintln!("{rows} rows, {bytes} bytes restored to {} ({engine}); {} problems", data.display(), findings.len());
    if let Err(error) = keys(store, data, config).await {
        // What was restored is there all the same.
        eprintln!("whether the key for secrets is here could not be seen: {error}");
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Partial })
}

/// Says which secrets in the data cannot be opened with the key that is here: a backup does not hold it. None is made: the former
/// one may be put back yet.
async fn keys(store: Store, data: &Path, config: &Config) -> Result<(), String> {
    let mut settings = config.providers.build(None).map_err(|error| error.to_string())?;
    let beside = key::known_vault(data)?;
    settings.vault = Vault::either(settings.vault, beside);
    let mut context = Context::new(store, config.limits.clone());
    context.providers = Providers::new(settings);
    let locked = secret::locked(&context).await.map_err(|error| error.to_string())?;
    if let Some(first) = locked.first() {
        let file = data.join(key::FILE);
        eprintln!(
            "{} endpoints' signing secrets were sealed under a key that is not here ({first}, ...): put the former {} back before the \
             server starts, or give each a new secret with `kalends webhook rotate`",
            locked.len(),
            file.display()
        );
    }
    Ok(())
}

fn is_empty(data: &Path) -> Result<(), String> {
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot look into {}: {error}", data.display())),
    };
    for entry in entries {
        let name = entry.map_err(|error| format!("cannot look into {}: {error}", data.display()))?.file_name();
        let name = name.to_string_lossy();
        if !HARMLESS.contains(&&*name) && !name.starts_with("sled-") && !name.starts_with("fjall-") {
            let data = data.display();
            return Err(format!("{data} is not empty: `{name}` is in it. Restore into an empty directory (--data)"));
        }
    }
    Ok(())
}
