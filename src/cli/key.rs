//! The key that seals secrets at rest where the configuration names none: `kalends.key` in the data directory, made when the data is first
//! opened. Backups do not hold it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::base::Secret;
use crate::service::providers::{Vault, new_key};

/// The file in the data directory.
pub(super) const FILE: &str = "kalends.key";
/// The file until it is whole.
pub(super) const NEW_FILE: &str = "kalends.key.new";

/// The vault of the key in `data`, which is made if there is none. Whoever calls has the data open, alone.
///
/// # Errors
/// If the file cannot be read or made, or holds no key.
pub(super) fn vault(data: &Path) -> Result<Vault, String> {
    if let Some(vault) = known_vault(data)? {
        return Ok(vault);
    }
    make(data).map_err(|error| format!("cannot make {}: {error}", data.join(FILE).display()))?;
    known_vault(data)?.ok_or_else(|| format!("{} is gone again", data.join(FILE).display()))
}

/// The vault of the key in `data`; `None` if there is none.
///
/// # Errors
/// If the file cannot be read, or holds no key.
pub(super) fn known_vault(data: &Path) -> Result<Option<Vault>, String> {
    let path = data.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let vault = Vault::new(&Secret::new(text)).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(vault))
}

/// Whole or not at all: a crash leaves no half of a key.
fn make(data: &Path) -> std::io::Result<()> {
    let unfinished = data.join(NEW_FILE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(new_key().expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, data.join(FILE))?;
    File::open(data)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(known_vault(dir.path()).expect("readable").is_none());
        let sealed = vault(dir.path()).expect("made").seal_bytes("webhook/a", b"secret".to_vec());
        let again = vault(dir.path()).expect("read").open_bytes("webhook/a", &sealed);
        assert_eq!(again.as_deref(), Ok(&b"secret"[..]));
        let mode = std::fs::metadata(dir.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join(FILE), "no key").expect("written");
        assert!(vault(dir.path()).is_err_and(|error| error.contains(FILE)), "what is there is never overwritten");
    }
}
