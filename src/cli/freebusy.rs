//! `freebusy`: when several people are free.

use serde_json::json;

use super::command::Listing;
use super::output::{Exit, Output};
use super::run::{Failure, date, print_json, print_table};
use crate::access::Actor;
use crate::base::Interval;
use crate::model::UserName;
use crate::service::freebusy::{self, Meeting};
use crate::service::{Context, Error, accounts};

pub(super) async fn search(
    context: &Context,
    users: &[String],
    window: Interval,
    meeting: Meeting,
    listing: Listing,
    output: &Output,
) -> Result<(), Failure> {
    let users = users.iter().map(|user| UserName::new(user)).collect::<Result<Vec<_>, _>>()?;
    for user in &users {
        accounts::find(context, user).await?;
    }
    let found = freebusy::common_free(context, Actor::System, &users, window, meeting).await.map_err(in_words)?;
    if found.is_empty() {
        output.note("there is no time at which all of them are free").await;
    }
    match listing {
        Listing::Json => {
            let rows = found.iter().map(|slot| json!({ "start": date(slot.start), "end": date(slot.end) }));
            print_json(rows.collect(), output).await;
        }
        Listing::Text => {
            let rows: Vec<_> = found.iter().map(|slot| vec![date(slot.start), date(slot.end)]).collect();
            print_table(&rows, output).await;
        }
    }
    Ok(())
}

/// A window that is too long stands on the command line.
fn in_words(error: Error) -> Failure {
    match error {
        Error::Precondition { message, .. } => Failure(Exit::Usage, message),
        error => error.into(),
    }
}
