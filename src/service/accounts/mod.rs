//! Accounts: users are made, listed and removed here, and their passwords are set and verified.
//!
//! Everything here acts with the administrator's authority: the commands call it, no edge does. Passwords travel as
//! [`Secret`] and are stored as argon2id hashes; app passwords (128 random bits, for one device each) as SHA-256.

mod calendars;
mod login;
mod password;

pub use calendars::{
    CalendarError, calendar, calendars, create_calendar, remove_calendar, rename_calendar, retitle_calendar,
};
pub use login::Logins;
pub use password::random_password;

use std::sync::Arc;

use crate::access::Actor;
use crate::base::{Secret, Utc};
use crate::model::{
    AppPassword, CalendarSettings, Collection, CollectionKind, Credentials, EventKind, Principal, UserName,
};
use crate::service::{Context, ingest, webhooks};
use crate::store::{Assert, Batch, CommitError, Draft, StoreError, Write};

/// The calendar that every user begins with.
pub const DEFAULT_CALENDAR: &str = "default";

/// Why an account is not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountError {
    /// The name is in use.
    #[error("there is a user `{0}` already")]
    NameTaken(UserName),
    /// No such user.
    #[error("there is no user `{0}`")]
    NoSuchUser(UserName),
    /// The user has an app password of that name.
    #[error("`{0}` has an app password `{1}` already; revoke it first or choose another name")]
    LabelTaken(UserName, String),
    /// The user has no app password of that name.
    #[error("`{0}` has no app password `{1}`")]
    NoSuchLabel(UserName, String),
    /// The password cannot be used.
    #[error("the password cannot be used: {0}")]
    Password(&'static str),
    /// A mail address is none.
    #[error("`{0}` is no mail address: write name@host")]
    Email(String),
    /// An app password's name is none.
    #[error("an app password's name has 1 to 100 characters, none of them a control character")]
    Label,
    /// Somebody else changed the same account at the same moment.
    #[error("the account was changed by somebody else at the same moment; try again")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name.
    pub name: UserName,
    /// DAV:displayname, if other than the name.
    pub display_name: Option<String>,
    /// Mail addresses, the preferred one first.
    pub emails: Vec<String>,
    /// The password; without one only app passwords log in.
    pub password: Option<Secret<String>>,
    /// Whether it administers the server.
    pub admin: bool,
}

/// Makes a user with a calendar home, the calendar `default` in it, and a root for plain files: one batch.
///
/// # Errors
/// [`AccountError`] if the name is taken, or the password or an address is none.
pub async fn create(context: &Context, user: NewUser) -> Result<Principal, AccountError> {
    user.emails.iter().try_for_each(|email| check_email(email))?;
    let password = match &user.password {
        Some(password) => Some(context.logins.hash(password).await?),
        None => None,
    };
    let now = context.clock.now();
    let principal = Principal {
        id: context.store.next_principal_id(),
        name: user.name,
        display_name: user.display_name,
        emails: user.emails,
        home: context.store.next_collection_id(),
        files: context.store.next_collection_id(),
        admin: user.admin,
        created: now,
        properties: Vec::new(),
    };
    let credentials = Credentials { password, app_passwords: Vec::new() };
    let default = default_calendar(context, &principal, now);
    let batch = creation(&principal, default, credentials, now);
    match context.store.commit(batch).await {
        Ok(_) => Ok(principal),
        Err(CommitError::Failed { .. }) => Err(AccountError::NameTaken(principal.name)),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}

fn default_calendar(context: &Context, principal: &Principal, now: Utc) -> Collection {
    let kind = CollectionKind::Calendar(CalendarSettings::default());
    let id = context.store.next_collection_id();
    Collection {
        display_name: Some("Calendar".to_owned()),
        ..Collection::new(id, Some(principal.home), DEFAULT_CALENDAR, principal.id, kind, now)
    }
}

fn creation(principal: &Principal, default: Collection, credentials: Credentials, now: Utc) -> Batch {
    let name = principal.name.as_str();
    let home = Collection::new(principal.home, None, name, principal.id, CollectionKind::Home, now);
    let files = Collection::new(principal.files, None, name, principal.id, CollectionKind::Plain, now);
    let made = Draft {
        owner: principal.id,
        collection: default.id,
        kind: EventKind::CalendarCreated { name: default.name.clone() },
    };
    Batch {
        at: now,
        actor: None,
        asserts: vec![Assert::PrincipalFree(principal.name.clone())],
        writes: vec![
            Write::PutPrincipal(principal.clone()),
            Write::PutCredentials(principal.id, credentials),
            Write::CreateCollection(home),
            Write::CreateCollection(files),
            Write::CreateCollection(default),
        ],
        events: vec![made],
    }
}

/// All users by name.
///
/// # Errors
/// If the store fails.
pub async fn list(context: &Context) -> Result<Vec<Principal>, StoreError> {
    const PAGE: usize = 1_000;
    let mut users: Vec<Principal> = Vec::new();
    loop {
        let after = users.last().map(|user| user.name.clone());
        let page = context.store.principals(after.as_ref(), PAGE).await?;
        users.extend(page.rows);
        if !page.more {
            return Ok(users);
        }
    }
}

/// The user called `name`.
///
/// # Errors
/// [`AccountError::NoSuchUser`], or the store's.
pub async fn find(context: &Context, name: &UserName) -> Result<Principal, AccountError> {
    let found = context.store.principal_named(name).await?;
    found.map(Arc::unwrap_or_clone).ok_or_else(|| AccountError::NoSuchUser(name.clone()))
}

/// Removes a user with its credentials, locks, calendars and files: one batch.
///
/// # Errors
/// [`AccountError::NoSuchUser`], or the store's.
pub async fn remove(context: &Context, name: &UserName) -> Result<(), AccountError> {
    let principal = find(context, name).await?;
    let calendars = context.store.children(principal.home).await?;
    let locks = context.store.locks().await?.into_iter().filter(|lock| lock.principal == principal.id);
    let mut writes: Vec<Write> = locks.map(|lock| Write::DeleteLock(lock.token)).collect();
    writes.extend([
        Write::DeleteCollection(principal.home),
        Write::DeleteCollection(principal.files),
        Write::DeletePrincipal(principal.id),
    ]);
    writes.extend(ingest::forget_user(context, principal.id).await?);
    let (endpoints, theirs) = webhooks::removal::of_user(context, principal.id).await?;
    writes.extend(theirs);
    let deleted = |calendar: &Arc<Collection>| Draft {
        owner: principal.id,
        collection: calendar.id,
        kind: EventKind::CalendarDeleted { name: calendar.name.clone() },
    };
    let batch = Batch {
        at: context.clock.now(),
        actor: Actor::System.principal(),
        asserts: vec![Assert::PrincipalPresent(principal.id)],
        writes,
        events: calendars.iter().map(deleted).collect(),
    };
    commit(context, batch).await?;
    context.logins.forget(principal.id);
    // All of them are known to be gone before the first one's deliveries are forgotten, which may take its time.
    endpoints.iter().for_each(|endpoint| context.webhooks.changed(*endpoint));
    for endpoint in endpoints {
        if let Err(error) = webhooks::removal::forget(context, endpoint).await {
            // The user is gone all the same, and the sweep will find it.
            tracing::warn!(%endpoint, error = %error, "webhook.endpoint.not_forgotten");
        }
    }
    Ok(())
}

/// Sets a user's password. App passwords stay.
///
/// # Errors
/// [`AccountError`] if there is no such user or the password cannot be used.
pub async fn set_password(context: &Context, name: &UserName, password: &Secret<String>) -> Result<(), AccountError> {
    let principal = find(context, name).await?;
    let hash = context.logins.hash(password).await?;
    let before = context.store.credentials(principal.id).await?.unwrap_or_default();
    let mut credentials = before.clone();
    credentials.password = Some(hash);
    store_credentials(context, &principal, before, credentials).await
}

/// Makes an app password and returns it: the only time that it can be read.
///
/// # Errors
/// [`AccountError`] if there is no such user, or the label is taken or none.
pub async fn add_app_password(context: &Context, name: &UserName, label: &str) -> Result<Secret<String>, AccountError> {
    if label.is_empty() || label.chars().count() > 100 || label.chars().any(char::is_control) {
        return Err(AccountError::Label);
    }
    let principal = find(context, name).await?;
    let before = context.store.credentials(principal.id).await?.unwrap_or_default();
    let mut credentials = before.clone();
    if credentials.app_passwords.iter().any(|known| known.label == label) {
        return Err(AccountError::LabelTaken(name.clone(), label.to_owned()));
    }
    let password = random_password();
    let hash = password::app_hash(password.expose()).expect("a generated password has an app password's form");
    let created = context.clock.now();
    credentials.app_passwords.push(AppPassword { label: label.to_owned(), hash, created });
    store_credentials(context, &principal, before, credentials).await?;
    Ok(password)
}

/// The user's app passwords: label and when it was made.
///
/// # Errors
/// [`AccountError::NoSuchUser`], or the store's.
pub async fn app_passwords(context: &Context, name: &UserName) -> Result<Vec<(String, Utc)>, AccountError> {
    let principal = find(context, name).await?;
    let credentials = context.store.credentials(principal.id).await?.unwrap_or_default();
    Ok(credentials.app_passwords.into_iter().map(|known| (known.label, known.created)).collect())
}

/// Revokes the app password called `label`.
///
/// # Errors
/// [`AccountError::NoSuchUser`], [`AccountError::NoSuchLabel`], or the store's.
pub async fn revoke_app_password(context: &Context, name: &UserName, label: &str) -> Result<(), AccountError> {
    let principal = find(context, name).await?;
    let before = context.store.credentials(principal.id).await?.unwrap_or_default();
    let mut credentials = before.clone();
    credentials.app_passwords.retain(|known| known.label != label);
    if credentials.app_passwords.len() == before.app_passwords.len() {
        return Err(AccountError::NoSuchLabel(name.clone(), label.to_owned()));
    }
    store_credentials(context, &principal, before, credentials).await
}

/// Stores what was made of the credentials `before`. Two changes at once must not undo each other: a password that was
/// revoked stays so.
async fn store_credentials(
    context: &Context,
    principal: &Principal,
    before: Credentials,
    credentials: Credentials,
) -> Result<(), AccountError> {
    let batch = Batch {
        at: context.clock.now(),
        asserts: vec![Assert::PrincipalPresent(principal.id), Assert::CredentialsAre(principal.id, before)],
        writes: vec![Write::PutCredentials(principal.id, credentials)],
        ..Batch::default()
    };
    commit(context, batch).await?;
    context.logins.forget(principal.id);
    Ok(())
}

async fn commit(context: &Context, batch: Batch) -> Result<(), AccountError> {
    match context.store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Failed { .. }) => Err(AccountError::Changed),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}

/// Whether `email` can stand behind `mailto:`.
fn check_email(email: &str) -> Result<(), AccountError> {
    let shaped = email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    let clean = email.len() <= 254 && email.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if shaped && clean && !email.contains(['<', '>', '"', '\\']) {
        Ok(())
    } else {
        Err(AccountError::Email(email.chars().take(100).collect()))
    }
}
