//! A user's calendars, as the administrator sees and changes them.

use std::sync::Arc;

use super::{AccountError, find};
use crate::base::{CollectionId, Secret};
use crate::model::{CalendarSettings, Collection, CollectionKind, EventKind, Principal, UserName};
use crate::service::objects::check_name;
use crate::service::{Context, Error, providers};
use crate::store::{Assert, Batch, CommitError, Draft, StoreError, Write};

/// Why a calendar is not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CalendarError {
    /// No such user, or the store failed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No such calendar.
    #[error("`{0}` has no calendar `{1}`")]
    NoSuchCalendar(UserName, String),
    /// The name is in use.
    #[error("`{0}` has a calendar `{1}` already")]
    NameTaken(UserName, String),
    /// The name cannot be one.
    #[error("`{0}` cannot be a calendar's name: {1}")]
    Name(String, String),
    /// The user has as many calendars as the limit allows.
    #[error("`{0}` has as many calendars as the limit collections_max allows")]
    TooMany(UserName),
}

impl From<StoreError> for CalendarError {
    fn from(error: StoreError) -> Self {
        Self::Account(error.into())
    }
}

/// A user's calendars by name.
///
/// # Errors
/// [`AccountError::NoSuchUser`], or the store's.
pub async fn calendars(context: &Context, user: &UserName) -> Result<Vec<Collection>, AccountError> {
    let principal = find(context, user).await?;
    let calendars = context.store.children(principal.home).await?;
    Ok(calendars.into_iter().map(Arc::unwrap_or_clone).collect())
}

/// The user's calendar called `name`.
///
/// # Errors
/// [`CalendarError`] if there is no such user or calendar.
pub async fn calendar(context: &Context, user: &UserName, name: &str) -> Result<Collection, CalendarError> {
    let principal = find(context, user).await?;
    let found = context.store.child(principal.home, name).await?;
    found.map(Arc::unwrap_or_clone).ok_or_else(|| CalendarError::NoSuchCalendar(user.clone(), name.to_owned()))
}

/// Makes a calendar that takes every kind of component.
///
/// # Errors
/// [`CalendarError`] if there is no such user, or the name is taken or cannot be one.
pub async fn create_calendar(
    context: &Context,
    user: &UserName,
    name: &str,
    display_name: Option<String>,
) -> Result<Collection, CalendarError> {
    usable(context, name)?;
    let principal = find(context, user).await?;
    if context.store.children(principal.home).await?.len() as u64 >= context.limits.collections_max {
        return Err(CalendarError::TooMany(user.clone()));
    }
    let kind = CollectionKind::Calendar(CalendarSettings::default());
    let id = context.store.next_collection_id();
    let fresh = Collection::new(id, Some(principal.home), name, principal.id, kind, context.clock.now());
    let calendar = Collection { display_name, ..fresh };
    let change = Change {
        asserts: vec![Assert::NameFree(principal.home, name.to_owned())],
        write: Write::CreateCollection(calendar.clone()),
        event: EventKind::CalendarCreated { name: name.to_owned() },
    };
    change.commit(context, &principal, id, name).await?;
    Ok(calendar)
}

/// Gives a calendar another name; its URL changes with it.
///
/// # Errors
/// [`CalendarError`] if there is no such user or calendar, or the new name is taken or cannot be one.
pub async fn rename_calendar(
    context: &Context,
    user: &UserName,
    name: &str,
    new_name: &str,
) -> Result<(), CalendarError> {
    usable(context, new_name)?;
    let principal = find(context, user).await?;
    let calendar = calendar(context, user, name).await?;
    if name == new_name {
        return Ok(());
    }
    let change = Change {
        asserts: vec![Assert::CollectionPresent(calendar.id), Assert::NameFree(principal.home, new_name.to_owned())],
        write: Write::MoveCollection(calendar.id, principal.home, new_name.to_owned()),
        event: EventKind::CalendarUpdated { name: new_name.to_owned() },
    };
    change.commit(context, &principal, calendar.id, new_name).await?;
    providers::note_names(context).await;
    Ok(())
}

/// Gives a calendar another name to show.
///
/// # Errors
/// [`CalendarError`] if there is no such user or calendar.
pub async fn retitle_calendar(
    context: &Context,
    user: &UserName,
    name: &str,
    display_name: &str,
) -> Result<(), CalendarError> {
    let principal = find(context, user).await?;
    let mut calendar = calendar(context, user, name).await?;
    let before = Assert::CollectionIs(Secret::new(Box::new(calendar.clone())));
    // A client's own markup of the old name would win over the new one.
    calendar.properties.retain(|property| property.name.local != "displayname" || property.name.namespace != "DAV:");
    calendar.display_name = Some(display_name.to_owned());
    let id = calendar.id;
    let change = Change {
        asserts: vec![before],
        write: Write::UpdateCollection(calendar),
        event: EventKind::CalendarUpdated { name: name.to_owned() },
    };
    change.commit(context, &principal, id, name).await
}

/// Removes a calendar with all in it.
///
/// # Errors
/// [`CalendarError`] if there is no such user or calendar.
pub async fn remove_calendar(context: &Context, user: &UserName, name: &str) -> Result<(), CalendarError> {
    let principal = find(context, user).await?;
    let calendar = calendar(context, user, name).await?;
    let change = Change {
        asserts: vec![Assert::CollectionPresent(calendar.id)],
        write: Write::DeleteCollection(calendar.id),
        event: EventKind::CalendarDeleted { name: name.to_owned() },
    };
    change.commit(context, &principal, calendar.id, name).await
}

fn usable(context: &Context, name: &str) -> Result<(), CalendarError> {
    let wrong = |why: String| CalendarError::Name(name.chars().take(100).collect(), why);
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(wrong("it must be a part of a URL's path".to_owned()));
    }
    check_name(context, name).map_err(|error: Error| wrong(error.to_string()))
}

/// One change of one calendar.
struct Change {
    asserts: Vec<Assert>,
    write: Write,
    event: EventKind,
}

impl Change {
    async fn commit(
        self,
        context: &Context,
        owner: &Principal,
        collection: CollectionId,
        name: &str,
    ) -> Result<(), CalendarError> {
        let batch = Batch {
            at: context.clock.now(),
            actor: None,
            asserts: self.asserts,
            writes: vec![self.write],
            events: vec![Draft { owner: owner.id, collection, kind: self.event }],
        };
        match context.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Failed { assert: Assert::NameFree(..), .. }) => {
                Err(CalendarError::NameTaken(owner.name.clone(), name.to_owned()))
            }
            Err(CommitError::Failed { .. }) => Err(AccountError::Changed.into()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}
