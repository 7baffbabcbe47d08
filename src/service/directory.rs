//! Who there is: principals by id and by search, and the small facts that listings show of them.
//!
//! What strangers can learn. A user finds another one if [`tree::may_see`] says so: oneself, whoever has granted one
//! something, and with an open directory everybody. On top of that, whoever knows a whole mail address may ask
//! whether it is a user's here, since that is what inviting someone takes; parts of addresses and of names find only those
//! whom one may see anyway, so nobody can list the users by searching for letters. Results are limited.

use std::sync::Arc;

use super::{Context, Error, tree};
use crate::access::Actor;
use crate::base::PrincipalId;
use crate::model::{Path, Principal, UserName};

/// How many principals are read at a time.
const PAGE: usize = 200;

/// The principal who acts.
///
/// # Errors
/// Of the store only.
pub async fn of_actor(context: &Context, actor: Actor) -> Result<Option<Arc<Principal>>, Error> {
    match actor.principal() {
        Some(id) => Ok(context.store.principal(id).await?),
        None => Ok(None),
    }
}

/// The principal with that id, if it is still there.
///
/// # Errors
/// Of the store only.
pub async fn by_id(context: &Context, id: PrincipalId) -> Result<Option<Principal>, Error> {
    Ok(context.store.principal(id).await?.map(Arc::unwrap_or_clone))
}

/// The name of a principal, if it is still there.
///
/// # Errors
/// Of the store only.
pub async fn name_of(context: &Context, id: PrincipalId) -> Result<Option<UserName>, Error> {
    Ok(context.store.principal(id).await?.map(|principal| principal.name.clone()))
}

/// The bytes that a user has stored (RFC 4331).
///
/// # Errors
/// Of the store only.
pub async fn usage(context: &Context, id: PrincipalId) -> Result<u64, Error> {
    Ok(context.store.usage(id).await?)
}

/// One test of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What is looked at.
    pub field: Field,
    /// What is looked for, in any case of letters.
    pub text: String,
    /// How it has to match.
    pub how: Match,
}

/// What a search can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// DAV:displayname, and the user's name.
    Name,
    /// CALDAV:calendar-user-address-set and CS:email-address-set.
    Address,
    /// CALDAV:calendar-user-type: every principal is an INDIVIDUAL.
    Type,
    /// A property that cannot be searched: nobody matches (RFC 3744 §9.4).
    Other,
}

/// How a text has to match (the attribute match-type of `principal-property-search`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Anywhere in it.
    Contains,
    /// At its beginning.
    StartsWith,
    /// At its end.
    EndsWith,
    /// All of it.
    Equals,
}

/// The principals that match, and whether there are more than the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Those found, by name.
    pub principals: Vec<Principal>,
    /// Whether some were left out.
    pub more: bool,
}

/// Searches for principals (RFC 3744 §9.4), within what `actor` may learn. In every group one test has to hold; no group
/// finds nobody.
///
/// # Errors
/// Of the store only.
pub async fn search(context: &Context, actor: Actor, groups: &[Vec<Test>]) -> Result<Found, Error> {
    let mut found = Found { principals: Vec::new(), more: false };
    if groups.is_empty() {
        return Ok(found);
    }
    let mut after: Option<UserName> = None;
    loop {
        let page = context.store.principals(after.as_ref(), PAGE).await?;
        after = page.rows.last().map(|principal| principal.name.clone());
        for principal in page.rows {
            if !matches(&principal, groups) || !may_find(context, actor, &principal, groups).await? {
                continue;
            }
            if found.principals.len() as u64 >= context.limits.search_results_max {
                found.more = true;
                return Ok(found);
            }
            found.principals.push(principal);
        }
        if !page.more {
            return Ok(found);
        }
    }
}

/// The principals whom `actor` may know of, as many as the limit lets: with a closed directory only oneself, since telling
/// who else granted something would take a look at every user's home.
///
/// # Errors
/// Of the store only.
pub async fn visible(context: &Context, actor: Actor) -> Result<Vec<Principal>, Error> {
    match actor {
        Actor::User(_) if context.directory == super::Directory::Closed => {
            Ok(of_actor(context, actor).await?.map(Arc::unwrap_or_clone).into_iter().collect())
        }
        Actor::Anonymous => Ok(Vec::new()),
        Actor::User(_) | Actor::System => {
            let most = usize::try_from(context.limits.search_results_max).unwrap_or(usize::MAX);
            Ok(context.store.principals(None, most).await?.rows)
        }
    }
}

/// Whether the principal may be shown to whoever searched so.
async fn may_find(context: &Context, actor: Actor, principal: &Principal, groups: &[Vec<Test>]) -> Result<bool, Error> {
    let knows_address = groups.iter().flatten().any(|test| {
        test.field == Field::Address && principal.emails.iter().any(|email| is_whole_address(&test.text, email))
    });
    Ok(knows_address || tree::may_see(context, actor, principal).await?)
}

fn is_whole_address(text: &str, email: &str) -> bool {
    let text = text.to_lowercase();
    text.strip_prefix("mailto:").unwrap_or(&text) == email.to_lowercase()
}

fn matches(principal: &Principal, groups: &[Vec<Test>]) -> bool {
    groups.iter().all(|tests| tests.iter().any(|test| test.holds(principal)))
}

impl Test {
    fn holds(&self, principal: &Principal) -> bool {
        let wanted = self.text.to_lowercase();
        let has = |text: &str| self.how.holds(&text.to_lowercase(), &wanted);
        match self.field {
            Field::Name => has(principal.name.as_str()) || principal.display_name.as_deref().is_some_and(has),
            Field::Address => {
                principal.emails.iter().any(|email| has(email) || has(&format!("mailto:{email}")))
                    || has(&Path::Principal(principal.name.clone()).href())
            }
            Field::Type => has("individual"),
            Field::Other => false,
        }
    }
}

impl Match {
    fn holds(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Contains => text.contains(wanted),
            Self::StartsWith => text.starts_with(wanted),
            Self::EndsWith => text.ends_with(wanted),
            Self::Equals => text == wanted,
        }
    }
}
