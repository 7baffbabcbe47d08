//! Whether a batch's assertions hold.

use std::ops::ControlFlow;

use super::group::Group;
use super::keys::{self, Table};
use super::{Assert, CommitError, StoreError, rows};
use crate::base::CollectionId;
use crate::model::{Credentials, Principal};

/// What became of an assertion: it holds, or not, and what was found instead.
enum Verdict {
    Holds,
    Fails(Option<String>),
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails(None) }
    }
}

/// Checks what must hold before the batch.
pub(super) fn before(group: &mut Group<'_>, asserts: &[Assert]) -> Result<(), CommitError> {
    check(group, asserts.iter().filter(|assert| !speaks_of_after(assert)))
}

/// Checks what must hold after the batch's writes.
pub(super) fn after(group: &mut Group<'_>, asserts: &[Assert]) -> Result<(), CommitError> {
    check(group, asserts.iter().filter(|assert| speaks_of_after(assert)))
}

fn speaks_of_after(assert: &Assert) -> bool {
    matches!(assert, Assert::UsageAtMost(..))
}

/// The assertion as it may be told.
fn tellable(assert: &Assert) -> Assert {
    match assert {
        Assert::RowIs(shelf, key, Some(_)) => Assert::RowIs(*shelf, key.clone(), None),
        other => other.clone(),
    }
}

fn check<'b>(group: &mut Group<'_>, asserts: impl Iterator<Item = &'b Assert>) -> Result<(), CommitError> {
    for assert in asserts {
        if let Verdict::Fails(found) = verdict(group, assert)? {
            return Err(CommitError::Failed { assert: tellable(assert), found });
        }
    }
    Ok(())
}

fn verdict(group: &mut Group<'_>, assert: &Assert) -> Result<Verdict, StoreError> {
    let holds = match assert {
        Assert::ObjectIs(id, name, etag) => match group.get(&keys::member(Table::Objects, *id, name))? {
            Some(row) => rows::decode_object(name, &row)?.etag == *etag,
            None => false,
        },
        Assert::ObjectAt(id, name, revision) => match group.get(&keys::member(Table::Objects, *id, name))? {
            Some(row) => rows::decode_object(name, &row)?.revision == *revision,
            None => false,
        },
        Assert::ObjectPresent(id, name) => group.has(&keys::member(Table::Objects, *id, name))?,
        Assert::NameFree(id, name) => name_free(group, *id, name)?,
        Assert::UidFree(id, uid, but) => return uid_free(group, *id, uid, but.as_deref()),
        Assert::CollectionPresent(id) => group.collection(*id)?.is_some(),
        Assert::CollectionAt(id, revision) => {
            group.collection(*id)?.is_some_and(|row| row.collection.revision == *revision)
        }
        Assert::CollectionIs(seen) => {
            let seen = seen.expose();
            group.collection(seen.id)?.is_some_and(|row| row.collection.is_itself_like(seen))
        }
        Assert::CollectionEmpty(id) => {
            let objects = group.collection(*id)?.map_or(0, |row| row.collection.objects);
            objects == 0 && !has_children(group, *id)?
        }
        Assert::ObjectsBelow(id, most) => group.collection(*id)?.is_none_or(|row| row.collection.objects < *most),
        Assert::UsageAtMost(owner, most) => group.usage(*owner)? <= *most,
        Assert::PrincipalFree(name) => !group.has(&keys::principal_name(name))?,
        Assert::PrincipalPresent(id) => group.has(&keys::principal(*id))?,
        Assert::PrincipalIs(principal) => match group.get(&keys::principal(principal.expose().id))? {
            Some(row) => rows::decode::<Principal>(&row, "principals")? == **principal.expose(),
            None => false,
        },
        Assert::CredentialsAre(id, credentials) => match group.get(&keys::credentials(*id))? {
            Some(row) => rows::decode::<Credentials>(&row, "credentials")? == *credentials,
            None => *credentials == Credentials::default() && group.has(&keys::principal(*id))?,
        },
        Assert::RowIs(shelf, key, row) => group.get(&keys::row(*shelf, key))? == *row,
    };
    Ok(holds.into())
}

/// Whether neither an object nor a collection has that name.
pub(super) fn name_free(group: &Group<'_>, id: CollectionId, name: &str) -> Result<bool, StoreError> {
    let taken = group.has(&keys::member(Table::Objects, id, name))? || group.has_child(id, name)?;
    Ok(!taken)
}

fn uid_free(group: &Group<'_>, id: CollectionId, uid: &str, but: Option<&str>) -> Result<Verdict, StoreError> {
    let Some(row) = group.get(&keys::member(Table::Uids, id, uid))? else { return Ok(Verdict::Holds) };
    let name: String = rows::decode(&row, "UIDs")?;
    let own = but == Some(name.as_str());
    Ok(if own { Verdict::Holds } else { Verdict::Fails(Some(name)) })
}

fn has_children(group: &Group<'_>, id: CollectionId) -> Result<bool, StoreError> {
    let mut any = false;
    group.scan(&keys::within(Table::Children, id.0), &mut |_, _| {
        any = true;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(any)
}
