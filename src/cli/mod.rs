//! Layer 8: the command line. `args` says what may stand on it, `config` reads the settings, `serve` runs the server.
//!
//! All other commands are values ([`Command`]) that [`run::run`] executes on an open store. The store lets one process
//! in: while a server runs, the command travels to it through a socket in the data directory (`socket`) and its
//! output comes back, so that nobody needs to know whether the server runs.

pub mod args;
mod backups;
mod bus;
mod calendars;
pub mod command;
pub mod config;
pub mod docs;
mod doctor;
mod draft;
mod freebusy;
mod ingest;
mod ingest_topic;
mod input;
mod key;
mod link;
mod output;
mod providers;
mod relay;
mod run;
mod serve;
mod socket;
mod supervise;
mod times;
mod transfers;
mod watch;
mod webhooks;
mod welcome;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::mpsc;

use crate::service::Context;
use crate::service::providers::{Providers, Vault};
use crate::store::{Engine, Options, Store, StoreError};
use args::{AppPassword, Arguments, Calendar, ConfigVerb, Place, Serve, User, Verb};
use command::{Command, ImportFile, Listing};
use config::{Config, Raw};
use output::{Console, Exit, Output, Target};

/// How long a command waits for a server that is just starting or ending.
const PATIENCE: Duration = Duration::from_secs(5);

/// The binary's `main`.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments) {
        Ok(exit) => exit.into(),
        Err((exit, message)) => {
            eprintln!("kalends: {message}");
            exit.into()
        }
    }
}

/// An exit code and a sentence.
type Ended = (Exit, String);

fn failed(message: impl Into<String>) -> Ended {
    (Exit::Failed, message.into())
}

fn execute(arguments: Arguments) -> Result<Exit, Ended> {
    let Arguments { place, verb } = arguments;
    let verb = verb.unwrap_or(Verb::Serve(Serve::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("cannot start threads: {error}")))?;
    match verb {
        Verb::Config(ConfigVerb::PrintDefault) => {
            let mut console = Console::new(Target::Standard);
            console.take(output::Message::Data(config::print_default())).map_err(failed)?;
            Ok(Exit::Done)
        }
        Verb::Serve(serve) => {
            let config = configuration(&place, Some(&serve))?;
            runtime.block_on(serve::serve(&place.data, config)).map_err(failed)?;
            Ok(Exit::Done)
        }
        Verb::Relay(relay) => {
            let config = configuration(&place, None)?;
            runtime.block_on(relay::relay(&place.data, &config, relay)).map_err(failed)?;
            Ok(Exit::Done)
        }
        Verb::Worker(worker) => {
            let config = configuration(&place, None)?;
            runtime.block_on(worker::worker(&place.data, &config, worker)).map_err(failed)?;
            Ok(Exit::Done)
        }
        Verb::Doctor { json } => {
            let config = configuration(&place, None).map_err(|(_, why)| why);
            Ok(runtime.block_on(doctor::doctor(&place.data, config, json)))
        }
        Verb::Restore { file } => {
            let config = configuration(&place, None)?;
            runtime.block_on(backups::restore(&place.data, &config, &file)).map_err(failed)
        }
        verb => {
            let config = configuration(&place, None)?;
            if matches!(verb, Verb::Verify { without_journal: true, .. }) {
                give_up_journal(&place.data)?;
            }
            let (command, files, target) = work(verb)?;
            runtime.block_on(administer(&place.data, &config, command, files, target))
        }
    }
}

/// File, environment and flags, in that order. Without `--config` the file is `kalends.toml` in the data directory, if it
/// is there.
fn configuration(place: &Place, serve: Option<&Serve>) -> Result<Config, Ended> {
    let mut raw = Raw::default();
    let beside = place.data.join("kalends.toml");
    let read = || -> Result<Config, config::ConfigError> {
        match &place.config {
            Some(file) => raw.read_file(file)?,
            None if beside.exists() => raw.read_file(&beside)?,
            None => {}
        }
        raw.read_environment(|name| std::env::var(name).ok())?;
        if let Some(listen) = serve.and_then(|serve| serve.listen.as_deref()) {
            raw.set_flag("server", "listen", listen, "--listen")?;
        }
        if let Some(listen) = serve.and_then(|serve| serve.metrics_listen.as_deref()) {
            raw.set_flag("metrics", "listen", listen, "--metrics-listen")?;
        }
        let config = Config { file: place.config.clone(), ..Config::build(&raw)? };
        config.kafka.check().map_err(config::ConfigError)?;
        Ok(config)
    };
    let mut read = read;
    read().map_err(|error| (Exit::Usage, error.to_string()))
}

/// Makes `data` if it is missing, for its owner alone.
fn make_data_directory(data: &Path) -> Result<(), StoreError> {
    if !data.exists() {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
        made.map_err(|error| StoreError::Io(format!("making {}: {error}", data.display())))?;
    }
    Ok(())
}

/// Gives up the journal of the store in `data`, and says so.
fn give_up_journal(data: &Path) -> Result<(), Ended> {
    if !data.join("kalends.store").exists() {
        return Err(failed(format!("there is no data in {}; see --data", data.display())));
    }
    let aside = crate::store::give_up_journal(data).map_err(|error| failed(error.to_string()))?;
    match aside {
        Some(aside) => eprintln!("the damaged journal is now {}; a new one begins", aside.display()),
        None => eprintln!("there is no journal any more; a new one begins"),
    }
    Ok(())
}

/// How the store in `data` is opened.
fn store_options(data: &Path, config: &Config) -> Options {
    Options {
        dir: data.to_owned(),
        engine: config.store.engine,
        cache_bytes: config.store.cache_mb.saturating_mul(1024 * 1024),
        tombstones_max: config.limits.tombstones_max,
    }
}

/// Opens the store in `data`.
fn open_store(data: &Path, config: &Config) -> Result<Store, StoreError> {
    make_data_directory(data)?;
    Store::open(&store_options(data, config))
}

/// What use-cases work with, by the configuration. The store in `data` is open: nobody else makes the key.
fn context(store: Store, data: &Path, config: &Config) -> Result<Context, String> {
    let mut settings =
        config.providers.build(config.server.public_url.as_deref()).map_err(|error| error.to_string())?;
    let beside = if settings.vault.is_some() { key::known_vault(data)? } else { Some(key::vault(data)?) };
    settings.vault = Vault::either(settings.vault, beside);
    let mut context = Context::new(store, config.limits.clone());
    context.providers = Providers::new(settings);
    context.webhooks = crate::service::webhooks::Desk::new(config.webhooks.settings());
    Ok(context)
}

/// What a verb does, which files it reads, and where calendars go.
fn work(verb: Verb) -> Result<(Command, Vec<PathBuf>, Target), Ended> {
    let usage = |message: String| (Exit::Usage, message);
    let plain = |command| Ok((command, Vec::new(), Target::Standard));
    match verb {
        Verb::User(user) => plain(of_user(user).map_err(usage)?),
        Verb::AppPassword(verb) => plain(of_app_password(verb)),
        Verb::Calendar(calendar) => plain(of_calendar(calendar)),
        Verb::Webhook(webhook) => plain(Command::Webhook(webhooks::of_line(webhook).map_err(usage)?)),
        Verb::Provider(verb) => plain(Command::Provider(providers::command(verb).map_err(usage)?)),
        Verb::Import { to, files } => {
            Ok((Command::Import { user: to.user, calendar: to.calendar }, files, Target::Standard))
        }
        Verb::Export { from, out } => {
            let (user, calendar) = match from.split_once('/') {
                Some((user, calendar)) => (user.to_owned(), Some(calendar.to_owned())),
                None => (from, None),
            };
            let target = match out {
                None if calendar.is_none() => {
                    return Err(usage("several calendars need --out DIR, one file for each".to_owned()));
                }
                None => Target::Standard,
                Some(path) if path.extension().is_some_and(|extension| extension == "ics") => {
                    if calendar.is_none() {
                        return Err(usage("several calendars do not fit into one file: give --out a directory".into()));
                    }
                    Target::File(path)
                }
                Some(path) => Target::Directory(path),
            };
            Ok((Command::Export { user, calendar }, Vec::new(), target))
        }
        Verb::Ingest(args::Ingest::Replay(replay)) => {
            let args::Replay { file, shuffle, twice, user, calendar, emails, secrets } = replay;
            let replay = command::Replay { user, calendar, emails, secrets, shuffle, twice };
            Ok((Command::IngestReplay(replay), vec![file], Target::Standard))
        }
        Verb::Ingest(args::Ingest::Show { user, json }) => {
            plain(Command::IngestShow { user, listing: Listing::by_flag(json) })
        }
        Verb::Explain { event, user, json } => plain(Command::Explain { event, user, listing: Listing::by_flag(json) }),
        Verb::Bus(verb) => plain(of_bus(verb)),
        Verb::Freebusy(search) => plain(of_search(search).map_err(usage)?),
        Verb::Verify { rebuild, json, .. } => plain(Command::Verify { rebuild, listing: Listing::by_flag(json) }),
        Verb::Backup { file } => {
            backups::check_place(&file).map_err(failed)?;
            Ok((Command::Backup, Vec::new(), Target::Whole(file)))
        }
        Verb::Compact => plain(Command::Compact),
        Verb::Migrate { to } => plain(Command::Migrate { to: Engine::from(to).name().to_owned() }),
        Verb::Serve(_)
        | Verb::Relay(_)
        | Verb::Worker(_)
        | Verb::Config(_)
        | Verb::Restore { .. }
        | Verb::Doctor { .. } => Err(failed("this command does not work on the store")),
    }
}

fn of_user(user: User) -> Result<Command, String> {
    Ok(match user {
        User::Add { name, emails, display_name, admin, password_stdin } => {
            let password = input::password(password_stdin)?;
            Command::UserAdd { name, emails, display_name, admin, password }
        }
        User::List { json } => Command::UserList { listing: Listing::by_flag(json) },
        User::Passwd { name, password_stdin } => {
            Command::UserPasswd { name, password: input::password(password_stdin)? }
        }
        User::Remove { name } => Command::UserRemove { name },
    })
}

fn of_bus(verb: args::BusVerb) -> Command {
    match verb {
        args::BusVerb::Status { json } => Command::BusStatus { listing: Listing::by_flag(json) },
        args::BusVerb::Pause { group } => Command::BusPause { group, paused: true },
        args::BusVerb::Resume { group } => Command::BusPause { group, paused: false },
        args::BusVerb::Dead { json } => Command::BusDead { listing: Listing::by_flag(json) },
    }
}

fn of_search(search: args::FreeBusy) -> Result<Command, String> {
    let args::FreeBusy { mut users, from, to, duration, step, tentative_is_free, json } = search;
    if from >= to {
        return Err(format!("--to {to} is not after --from {from}"));
    }
    users.sort_unstable();
    users.dedup();
    let listing = Listing::by_flag(json);
    Ok(Command::FreeBusy { users, window: (from.0, to.0), duration, step, tentative_is_free, listing })
}

fn of_app_password(verb: AppPassword) -> Command {
    match verb {
        AppPassword::Add { user, name } => Command::AppPasswordAdd { user, label: name },
        AppPassword::List { user, json } => Command::AppPasswordList { user, listing: Listing::by_flag(json) },
        AppPassword::Revoke { user, name } => Command::AppPasswordRevoke { user, label: name },
    }
}

fn of_calendar(verb: Calendar) -> Command {
    match verb {
        Calendar::List { user, json } => Command::CalendarList { user, listing: Listing::by_flag(json) },
        Calendar::Create { calendar, display_name } => {
            Command::CalendarCreate { user: calendar.user, calendar: calendar.calendar, display_name }
        }
        Calendar::Rename { calendar, new_name, display_name } => {
            Command::CalendarRename { user: calendar.user, calendar: calendar.calendar, new_name, display_name }
        }
        Calendar::Remove { calendar } => Command::CalendarRemove { user: calendar.user, calendar: calendar.calendar },
    }
}

/// Runs a command: in the server that has the store open, else here.
async fn administer(
    data: &Path,
    config: &Config,
    command: Command,
    files: Vec<PathBuf>,
    target: Target,
) -> Result<Exit, Ended> {
    let mut console = Console::new(target);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(stream) = socket::connect(data).await {
            let files = input::files(files);
            return socket::relay(stream, command, files, &mut console).await.map_err(failed);
        }
        // A mistyped --data is to be noticed; only making users begins a new directory.
        if !data.exists() && !command.begins() {
            return Err(failed(format!("there is no data directory {}; see --data", data.display())));
        }
        match open_store(data, config) {
            Ok(store) => {
                let context = Arc::new(context(store, data, config).map_err(failed)?);
                return here(&context, command, input::files(files), console).await;
            }
            // Another process has it, and no server listens yet, or no longer.
            Err(StoreError::InUse(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

async fn here(
    context: &Arc<Context>,
    command: Command,
    files: mpsc::Receiver<ImportFile>,
    mut console: Console,
) -> Result<Exit, Ended> {
    let (output, mut messages) = Output::channel();
    let running = async {
        let exit = run::run(context, command, files, &output).await;
        output.end(exit).await;
        drop(output);
        exit
    };
    let showing = async {
        while let Some(message) = messages.recv().await {
            console.take(message).map_err(failed)?;
            if console.is_closed() {
                break;
            }
        }
        // From here on nobody listens, and the command need not wait.
        drop(messages);
        Ok::<_, Ended>(())
    };
    let (exit, shown) = tokio::join!(running, showing);
    shown.map(|()| exit)
}

/// For tests: the file `path` of the repository is `text`. With `KALENDS_BLESS=1` in the environment it is written anew.
#[cfg(test)]
fn generated(path: &str, text: &str) {
    let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("KALENDS_BLESS").is_some() {
        std::fs::write(&full, text).expect("the repository can be written");
    }
    let found = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(found == text, "{path} is not current; write it anew: KALENDS_BLESS=1 cargo test --lib");
}
