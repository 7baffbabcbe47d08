//! `calendar list|create|rename|remove`.

use serde_json::json;

use super::command::Listing;
use super::output::{Exit, Output};
use super::run::{Failure, date, print_json, print_table};
use crate::model::{Collection, Path, UserName};
use crate::service::Context;
use crate::service::accounts::{self, CalendarError};

impl From<CalendarError> for Failure {
    fn from(error: CalendarError) -> Self {
        let exit = match error {
            CalendarError::Account(error) => return error.into(),
            CalendarError::NoSuchCalendar(..) => Exit::NotFound,
            CalendarError::NameTaken(..) => Exit::Conflict,
            CalendarError::Name(..) => Exit::Usage,
            CalendarError::TooMany(_) => Exit::Failed,
        };
        Self(exit, error.to_string())
    }
}

/// The calendars of `user`.
pub(super) async fn of(context: &Context, user: &UserName) -> Result<Vec<Collection>, Failure> {
    Ok(accounts::calendars(context, user).await?)
}

/// The calendar called `name` of `user`.
pub(super) async fn find(context: &Context, user: &UserName, name: &str) -> Result<Collection, Failure> {
    Ok(accounts::calendar(context, user, name).await?)
}

pub(super) async fn list(context: &Context, user: &str, listing: Listing, output: &Output) -> Result<(), Failure> {
    let user = UserName::new(user)?;
    let found = of(context, &user).await?;
    let path = |calendar: &Collection| Path::Calendar(user.clone(), calendar.name.clone()).href();
    match listing {
        Listing::Json => {
            let rows = found.iter().map(|calendar| {
                json!({
                    "name": calendar.name,
                    "display_name": calendar.display_name,
                    "path": path(calendar),
                    "objects": calendar.objects,
                    "bytes": calendar.bytes,
                    "modified": date(calendar.modified),
                })
            });
            print_json(rows.collect(), output).await;
        }
        Listing::Text => {
            let rows = found.iter().map(|calendar| {
                let shown = calendar.display_name.clone().unwrap_or_default();
                vec![calendar.name.clone(), calendar.objects.to_string(), date(calendar.modified), shown]
            });
            print_table(&rows.collect::<Vec<_>>(), output).await;
        }
    }
    Ok(())
}

pub(super) async fn create(
    context: &Context,
    user: &str,
    calendar: &str,
    display_name: Option<String>,
) -> Result<(), Failure> {
    accounts::create_calendar(context, &UserName::new(user)?, calendar, display_name).await?;
    Ok(())
}

pub(super) async fn rename(
    context: &Context,
    user: &str,
    calendar: &str,
    new_name: Option<String>,
    display_name: Option<String>,
) -> Result<(), Failure> {
    let user = UserName::new(user)?;
    if let Some(display_name) = display_name {
        accounts::retitle_calendar(context, &user, calendar, &display_name).await?;
    }
    if let Some(new_name) = new_name {
        accounts::rename_calendar(context, &user, calendar, &new_name).await?;
    }
    Ok(())
}

pub(super) async fn remove(context: &Context, user: &str, calendar: &str) -> Result<(), Failure> {
    accounts::remove_calendar(context, &UserName::new(user)?, calendar).await?;
    Ok(())
}
