//! Looking at everything that is stored: bytes against their checksums, objects against today's checks, index rows
//! against what would be computed now (invariants S5, B2).

use std::collections::HashMap;
use std::sync::Arc;

use super::objects::index_of_bytes;
use super::{Context, accounts};
use crate::base::{CollectionId, ETag};
use crate::model::{Collection, Index, Object, Path, Principal, TrailingSlash};
use crate::store::{Batch, CommitError, Finding, StoreError, Write};

/// Rows of a listing read at a time.
const PAGE: usize = 1_000;

/// Whether index rows that are wrong are only listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// They are listed.
    Nothing,
    /// Every index row is computed anew and written if it differs.
    Index,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Objects and files looked at.
    pub objects: u64,
    /// Index rows written anew.
    pub rebuilt: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub path: String,
    /// What kind of fault.
    pub kind: ProblemKind,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The bytes are not those that were stored.
    Damaged,
    /// The bytes are as they were stored, and not right by today's checks: served, and left out of computed answers.
    Broken,
    /// The index row is not what would be computed now.
    Index,
    /// Rows of the store contradict each other.
    Store,
}

impl ProblemKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Broken => "broken",
            Self::Index => "index",
            Self::Store => "store",
        }
    }
}

/// Looks at everything. `progress` hears how many objects are done, of how many.
///
/// # Errors
/// If the store cannot be read, or a repair cannot be written.
pub async fn verify(
    context: &Context,
    repair: Repair,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut places = Vec::new();
    for user in accounts::list(context).await? {
        places.extend(collections(context, &user).await?);
    }
    let paths: HashMap<CollectionId, Path> =
        places.iter().map(|(collection, path)| (collection.id, path.clone())).collect();
    let total = places.iter().map(|(collection, _)| collection.objects).sum();
    for (collection, path) in places {
        let mut walk = Walk { context, repair, report: &mut report, collection: &collection, path: &path };
        walk.run(|done| progress(done, total)).await?;
    }
    progress(total, total);
    for finding in context.store.check().await? {
        let path = place_of(&finding, &paths);
        let known = |problem: &Problem| problem.path == path && problem.kind == ProblemKind::Damaged;
        if !report.problems.iter().any(known) {
            report.problems.push(Problem { path, kind: ProblemKind::Store, reason: finding.what });
        }
    }
    Ok(report)
}

/// Where a finding of the store lies, as far as it can be said.
fn place_of(finding: &Finding, paths: &HashMap<CollectionId, Path>) -> String {
    let Some(id) = finding.collection else { return "store".to_owned() };
    let Some(path) = paths.get(&id) else { return format!("collection {id}") };
    let member = finding.name.as_ref().and_then(|name| path.member(name));
    member.as_ref().unwrap_or(path).href()
}

/// The collections of a user that hold objects, with their paths: calendars and, at any depth, plain ones.
async fn collections(context: &Context, user: &Principal) -> Result<Vec<(Arc<Collection>, Path)>, StoreError> {
    let mut found = Vec::new();
    for calendar in context.store.children(user.home).await? {
        let path = Path::Calendar(user.name.clone(), calendar.name.clone());
        found.push((calendar, path));
    }
    let root = context.store.collection(user.files).await?;
    let mut open: Vec<(Arc<Collection>, Path)> =
        root.map(|root| (root, Path::File(user.name.clone(), Vec::new(), TrailingSlash::Yes))).into_iter().collect();
    while let Some((collection, path)) = open.pop() {
        for child in context.store.children(collection.id).await? {
            if let Some(path) = path.member(&child.name) {
                open.push((child, path));
            }
        }
        found.push((collection, path));
    }
    Ok(found)
}

struct Walk<'a> {
    context: &'a Context,
    repair: Repair,
    report: &'a mut Report,
    collection: &'a Collection,
    path: &'a Path,
}

impl Walk<'_> {
    async fn run(&mut self, mut progress: impl FnMut(u64)) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.context.store.objects(self.collection.id, after.as_deref(), PAGE).await?;
            for row in &page.rows {
                self.look(&row.name).await?;
                self.report.objects += 1;
                progress(self.report.objects);
            }
            after = page.rows.into_iter().next_back().map(|object| object.name);
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn look(&mut self, name: &str) -> Result<(), StoreError> {
        // Gone since it was listed: somebody deleted it.
        let (object, bytes) = match self.context.store.content(self.collection.id, name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(StoreError::Corrupt(why)) => {
                self.note(name, ProblemKind::Damaged, format!("{why}; restore it from a backup"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if ETag::of(&bytes) != object.etag || bytes.len() as u64 != object.size {
            let reason = "its bytes are not those that were stored; restore it from a backup";
            self.note(name, ProblemKind::Damaged, reason.to_owned());
            return Ok(());
        }
        if self.collection.calendar().is_none() {
            return Ok(());
        }
        let computed = index_of_bytes(&bytes, &self.context.limits);
        if let Index::Broken { reason, .. } = &computed {
            self.note(name, ProblemKind::Broken, format!("{reason}; it is served as it is, correct it in a client"));
        }
        if object.index.as_ref() == Some(&computed) {
            return Ok(());
        }
        match self.repair {
            Repair::Index => self.reindex(object, computed).await,
            Repair::Nothing => {
                let reason = "its index row is not what would be computed now; run `kalends verify --rebuild`";
                self.note(name, ProblemKind::Index, reason.to_owned());
                Ok(())
            }
        }
    }

    /// Writes the row, unless the object has changed in the meantime: then its writer has computed a new one.
    async fn reindex(&mut self, object: Object, computed: Index) -> Result<(), StoreError> {
        let unchanged = crate::store::Assert::ObjectIs(self.collection.id, object.name.clone(), object.etag);
        let write = Write::Reindex(self.collection.id, Object { index: Some(computed), ..object });
        let batch =
            Batch { at: self.context.clock.now(), asserts: vec![unchanged], writes: vec![write], ..Batch::default() };
        match self.context.store.commit(batch).await {
            Ok(_) => {
                self.report.rebuilt += 1;
                self.context.indexes.forget(self.collection.id);
            }
            Err(CommitError::Failed { .. }) => {}
            Err(CommitError::Store(error)) => return Err(error),
        }
        Ok(())
    }

    fn note(&mut self, name: &str, kind: ProblemKind, reason: String) {
        let path = self.path.member(name).map_or_else(|| self.path.href(), |path| path.href());
        self.report.problems.push(Problem { path, kind, reason });
    }
}
