//! Running a command on an open store: the same in the server and beside it.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;

use super::command::{Command, ImportFile, Listing};
use super::output::{Exit, Output};
use super::{backups, bus, calendars, freebusy, ingest, providers, transfers, webhooks};
use crate::base::{Interval, Secret, Utc};
use crate::freebusy::Blocking;
use crate::model::{UserName, UserNameError};
use crate::service::accounts::{self, AccountError, NewUser};
use crate::service::freebusy::Meeting;
use crate::service::{Context, Error};
use crate::store::StoreError;

/// Why a command ended early: the exit code and a sentence.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Exit, pub(super) String);

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let exit = match &error {
            AccountError::NameTaken(_) | AccountError::LabelTaken(..) => Exit::Conflict,
            AccountError::NoSuchUser(_) | AccountError::NoSuchLabel(..) => Exit::NotFound,
            AccountError::Password(_) | AccountError::Email(_) | AccountError::Label => Exit::Usage,
            AccountError::Changed | AccountError::Store(_) => Exit::Failed,
        };
        Self(exit, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::NotFound | Error::ParentMissing => Exit::NotFound,
            Error::StateChanged => Exit::Conflict,
            Error::BadRequest(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        Self(exit, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(Exit::Failed, error.to_string())
    }
}

impl From<UserNameError> for Failure {
    fn from(error: UserNameError) -> Self {
        Self(Exit::Usage, error.to_string())
    }
}

/// Runs `command`; `files` are those of an import. What it has to say goes to `output`.
pub async fn run(context: &Arc<Context>, command: Command, files: mpsc::Receiver<ImportFile>, output: &Output) -> Exit {
    match dispatch(context, command, files, output).await {
        Ok(exit) => exit,
        Err(Failure(exit, message)) => {
            output.note(format!("kalends: {message}")).await;
            exit
        }
    }
}

async fn dispatch(
    context: &Arc<Context>,
    command: Command,
    files: mpsc::Receiver<ImportFile>,
    output: &Output,
) -> Result<Exit, Failure> {
    match command {
        Command::UserAdd { name, emails, display_name, admin, password } => {
            let password = Some(Secret::new(password));
            let user = NewUser { name: UserName::new(&name)?, display_name, emails, password, admin };
            accounts::create(context, user).await?;
        }
        Command::UserList { listing } => users(context, listing, output).await?,
        Command::UserPasswd { name, password } => {
            accounts::set_password(context, &UserName::new(&name)?, &Secret::new(password)).await?;
        }
        Command::UserRemove { name } => accounts::remove(context, &UserName::new(&name)?).await?,
        Command::AppPasswordAdd { user, label } => {
            let password = accounts::add_app_password(context, &UserName::new(&user)?, &label).await?;
            output.data(format!("{}\n", password.expose())).await;
        }
        Command::AppPasswordList { user, listing } => app_passwords(context, &user, listing, output).await?,
        Command::AppPasswordRevoke { user, label } => {
            accounts::revoke_app_password(context, &UserName::new(&user)?, &label).await?;
        }
        Command::CalendarList { user, listing } => calendars::list(context, &user, listing, output).await?,
        Command::CalendarCreate { user, calendar, display_name } => {
            calendars::create(context, &user, &calendar, display_name).await?;
        }
        Command::CalendarRename { user, calendar, new_name, display_name } => {
            calendars::rename(context, &user, &calendar, new_name, display_name).await?;
        }
        Command::CalendarRemove { user, calendar } => calendars::remove(context, &user, &calendar).await?,
        Command::Webhook(command) => webhooks::run(context, command, output).await?,
        Command::Provider(command) => providers::run(context, command, output).await?,
        Command::Import { user, calendar } => {
            return transfers::import(context, &user, &calendar, files, output).await;
        }
        Command::Export { user, calendar } => {
            return transfers::export(context, &user, calendar.as_deref(), output).await;
        }
        Command::IngestReplay(replay) => return ingest::replay(context, replay, files, output).await,
        Command::IngestShow { user, listing } => ingest::show(context, user.as_deref(), listing, output).await?,
        Command::Explain { event, user, listing } => {
            ingest::explain(context, &event, user.as_deref(), listing, output).await?;
        }
        Command::FreeBusy { users, window: (from, to), duration, step, tentative_is_free, listing } => {
            let blocking = if tentative_is_free { Blocking::TentativeIsFree } else { Blocking::All };
            let window = Interval::new(Utc(from), Utc(to));
            let meeting = Meeting { duration, step, blocking };
            freebusy::search(context, &users, window, meeting, listing, output).await?;
        }
        Command::Verify { rebuild, listing } => return transfers::verify(context, rebuild, listing, output).await,
        Command::BusStatus { listing } => bus::status(context, listing, output).await?,
        Command::BusPause { group, paused } => bus::pause(context, &group, paused, output).await?,
        Command::BusDead { listing } => bus::dead(context, listing, output).await?,
        Command::Link { .. } => return Err(Failure(Exit::Failed, "a link needs a server that runs".to_owned())),
        Command::Backup => backups::backup(context, output).await?,
        Command::Compact => transfers::compact(context, output).await?,
        Command::Migrate { to } => transfers::migrate(context, &to, output).await?,
    }
    Ok(Exit::Done)
}

async fn users(context: &Context, listing: Listing, output: &Output) -> Result<(), Failure> {
    let users = accounts::list(context).await?;
    match listing {
        Listing::Json => {
            let rows = users.iter().map(|user| {
                json!({
                    "name": user.name.as_str(),
                    "display_name": user.display_name,
                    "emails": user.emails,
                    "admin": user.admin,
                    "created": date(user.created),
                })
            });
            print_json(rows.collect(), output).await;
        }
        Listing::Text => {
            let rows = users.iter().map(|user| {
                let role = if user.admin { "admin" } else { "user" };
                vec![user.name.to_string(), role.to_owned(), date(user.created), user.emails.join(",")]
            });
            print_table(&rows.collect::<Vec<_>>(), output).await;
        }
    }
    Ok(())
}

async fn app_passwords(context: &Context, user: &str, listing: Listing, output: &Output) -> Result<(), Failure> {
    let found = accounts::app_passwords(context, &UserName::new(user)?).await?;
    match listing {
        Listing::Json => {
            let rows = found.iter().map(|(label, created)| json!({ "name": label, "created": date(*created) }));
            print_json(rows.collect(), output).await;
        }
        Listing::Text => {
            let rows: Vec<_> = found.into_iter().map(|(label, created)| vec![label, date(created)]).collect();
            print_table(&rows, output).await;
        }
    }
    Ok(())
}

/// A list as JSON.
pub(super) async fn print_json(rows: Vec<serde_json::Value>, output: &Output) {
    output.data(format!("{:#}\n", serde_json::Value::Array(rows))).await;
}

/// A list as columns, the last one as wide as it is.
pub(super) async fn print_table(rows: &[Vec<String>], output: &Output) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    output.data(text).await;
}

/// A time as RFC 3339 writes it.
pub(super) fn date(time: Utc) -> String {
    time.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
