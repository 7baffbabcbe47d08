//! Whole calendars in and out: iCalendar files of many events ↔ one object for each UID.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::objects::{self, Put};
use super::tree;
use super::{Context, Error};
use crate::access::Actor;
use crate::base::{CollectionId, Limits};
use crate::ical::{self, CalendarObject, Component};
use crate::model::{Collection, Path};
use crate::store::StoreError;

/// Objects that are stored at the same time: enough for the store to make many durable at once.
const TOGETHER: usize = 32;

/// Rows of a listing read at a time.
const PAGE: usize = 1_000;

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// Objects that were not there before.
    pub created: u64,
    /// Objects that replaced others.
    pub updated: u64,
    /// Objects that were there already, the same.
    pub unchanged: u64,
    /// What could not be stored, in the order of the file.
    pub failures: Vec<ImportFailure>,
}

/// An object that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFailure {
    /// The line on which it begins, or on which the fault is; 0 for the whole file.
    pub line: u32,
    /// Its UID, if one could be read.
    pub uid: Option<String>,
    /// Why.
    pub reason: String,
}

/// One object of a file.
struct Piece {
    line: u32,
    uid: String,
    text: String,
}

/// What a stored piece did.
enum Stored {
    Created,
    Updated,
    Unchanged,
}

/// Imports the objects in `bytes` into the calendar at `path`: one for each UID; one that is there already is
/// replaced if it differs. What cannot be stored is listed, and the rest is taken. `progress` hears how many are done, of how
/// many.
///
/// # Errors
/// If the calendar is not there or not the actor's to write, or the store fails.
pub async fn import(
    context: &Arc<Context>,
    actor: Actor,
    path: &Path,
    bytes: &[u8],
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, Error> {
    let node = tree::collection(context, actor, path).await?;
    if node.collection.calendar().is_none() {
        return Err(Error::MethodNotAllowed("what is no calendar"));
    }
    let mut imported = Imported::default();
    let pieces = read(bytes, &context.limits, &mut imported.failures);
    let total = pieces.len() as u64;
    let mut running: JoinSet<(u32, String, Result<Stored, Error>)> = JoinSet::new();
    let mut uids = HashSet::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        // The same UID again: the later one wins, so the earlier must be stored before.
        let again = !uids.insert(piece.uid.clone());
        while running.len() >= TOGETHER || (again && !running.is_empty()) {
            settle(running.join_next().await, &mut imported)?;
        }
        progress(index as u64, total);
        let target = Target { context: Arc::clone(context), actor, path: path.clone(), id: node.collection.id };
        running.spawn(async move { (piece.line, piece.uid.clone(), target.store(piece).await) });
    }
    while let Some(joined) = running.join_next().await {
        settle(Some(joined), &mut imported)?;
    }
    progress(total, total);
    imported.failures.sort_by_key(|failure| failure.line);
    Ok(imported)
}

type Joined = Result<(u32, String, Result<Stored, Error>), tokio::task::JoinError>;

fn settle(joined: Option<Joined>, imported: &mut Imported) -> Result<(), Error> {
    let Some(joined) = joined else { return Ok(()) };
    let gone = |_| Error::Store(StoreError::Io("an import's task ended early".to_owned()));
    let (line, uid, result) = joined.map_err(gone)?;
    match result {
        Ok(Stored::Created) => imported.created += 1,
        Ok(Stored::Updated) => imported.updated += 1,
        Ok(Stored::Unchanged) => imported.unchanged += 1,
        Err(Error::Store(error)) => return Err(error.into()),
        Err(error) => {
            imported.failures.push(ImportFailure { line, uid: Some(uid), reason: error.to_string() });
        }
    }
    Ok(())
}

/// Where pieces go.
struct Target {
    context: Arc<Context>,
    actor: Actor,
    path: Path,
    id: CollectionId,
}

impl Target {
    async fn store(&self, piece: Piece) -> Result<Stored, Error> {
        let put = Put { bytes: Bytes::from(piece.text), ..Put::default() };
        let Some(name) = self.context.store.name_of_uid(self.id, &piece.uid).await? else {
            objects::add(&self.context, self.actor, &self.path, put, None).await?;
            return Ok(Stored::Created);
        };
        let before = self.context.store.content(self.id, &name).await?;
        if before.is_some_and(|(_, bytes)| bytes == put.bytes) {
            return Ok(Stored::Unchanged);
        }
        let path = self.path.member(&name).ok_or(Error::NotFound)?;
        objects::put(&self.context, self.actor, &path, put).await?;
        Ok(Stored::Updated)
    }
}

/// The objects in `bytes` that can be stored; the others go to `failures`.
fn read(bytes: &[u8], limits: &Limits, failures: &mut Vec<ImportFailure>) -> Vec<Piece> {
    let calendars = match ical::parse_stream(bytes, limits) {
        Ok(calendars) => calendars,
        Err(_) => salvage(bytes, limits, failures),
    };
    if calendars.is_empty() && failures.is_empty() {
        failures.push(ImportFailure { line: 0, uid: None, reason: "there is no VCALENDAR in it".to_owned() });
    }
    let whole = matches!(calendars.as_slice(), [_]) && failures.is_empty();
    let mut pieces = Vec::new();
    for calendar in &calendars {
        let objects = ical::split(calendar);
        // A file that is one object already is stored as it is.
        let as_is = (whole && objects.len() == 1).then(|| std::str::from_utf8(bytes).ok()).flatten();
        for (uid, object) in objects {
            let line = object.line;
            let text = as_is
                .filter(|_| CalendarObject::of(calendar.clone(), limits).is_ok())
                .map_or_else(|| object.to_ics(), str::to_owned);
            match CalendarObject::of(object, limits) {
                Ok(_) => pieces.push(Piece { line, uid, text }),
                Err(invalid) => failures.push(ImportFailure {
                    line: if invalid.line > 0 { invalid.line } else { line },
                    uid: Some(uid).filter(|uid| !uid.is_empty()),
                    reason: invalid.message,
                }),
            }
        }
    }
    pieces
}

/// Reads a file that is not well-formed component by component: those that cannot be read are listed, the others come out
/// in one calendar.
fn salvage(bytes: &[u8], limits: &Limits, failures: &mut Vec<ImportFailure>) -> Vec<Component> {
    let mut calendar = ical::new_calendar();
    for block in blocks(bytes) {
        let mut text = b"BEGIN:VCALENDAR\r\n".to_vec();
        text.extend_from_slice(block.bytes);
        text.extend_from_slice(b"\r\nEND:VCALENDAR\r\n");
        // The wrapper's first line stands where the line before the block did.
        let shift = block.line.saturating_sub(2);
        match ical::parse(&text, limits) {
            Ok(read) => calendar.components.extend(read.components.into_iter().map(|part| shifted(part, shift))),
            Err(invalid) => failures.push(ImportFailure {
                line: invalid.line.saturating_add(shift),
                uid: uid_in(block.bytes),
                reason: invalid.message,
            }),
        }
    }
    if calendar.components.is_empty() && failures.is_empty() {
        let reason = ical::parse_stream(bytes, limits).err().map(|invalid| invalid.to_string()).unwrap_or_default();
        failures.push(ImportFailure { line: 0, uid: None, reason });
    }
    vec![calendar]
}

/// The lines of one component inside a VCALENDAR, and the number of the first.
struct Block<'a> {
    line: u32,
    bytes: &'a [u8],
}

/// The components right inside of VCALENDARs. One that does not end goes up to where the next begins.
fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(usize, u32, Vec<u8>)> = None;
    let (mut offset, mut number) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        number += 1;
        let text = line.trim_ascii_end();
        let begins = name_behind(text, b"BEGIN:").filter(|name| is_top(name));
        if let Some(name) = begins {
            if let Some((start, line, _)) = open.take() {
                found.push(Block { line, bytes: bytes[start..offset].trim_ascii_end() });
            }
            open = Some((offset, number, name));
        }
        let ends = name_behind(text, b"END:");
        offset += line.len();
        if let (Some((start, line, name)), Some(ended)) = (&open, ends)
            && (ended == *name || ended == b"VCALENDAR")
        {
            found.push(Block { line: *line, bytes: bytes[*start..offset].trim_ascii_end() });
            open = None;
        }
    }
    if let Some((start, line, _)) = open {
        found.push(Block { line, bytes: bytes[start..].trim_ascii_end() });
    }
    found
}

/// Whether components of this name stand right inside of a VCALENDAR and nowhere else.
fn is_top(name: &[u8]) -> bool {
    let known: [&[u8]; 6] = [b"VEVENT", b"VTODO", b"VJOURNAL", b"VFREEBUSY", b"VTIMEZONE", b"VAVAILABILITY"];
    known.contains(&name)
}

fn name_behind(line: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    let (start, name) = line.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| name.trim_ascii().to_ascii_uppercase())
}

fn uid_in(block: &[u8]) -> Option<String> {
    let lines = block.split(|byte| *byte == b'\n');
    let uid = lines.into_iter().find_map(|line| line.strip_prefix(b"UID:"))?;
    Some(String::from_utf8_lossy(uid.trim_ascii()).chars().take(200).collect())
}

/// `component` with the lines it had in the file.
fn shifted(mut component: Component, by: u32) -> Component {
    component.line = component.line.saturating_add(by);
    for property in &mut component.properties {
        property.line = property.line.saturating_add(by);
    }
    component.components = component.components.into_iter().map(|inner| shifted(inner, by)).collect();
    component
}

/// A calendar as one iCalendar text.
#[derive(Debug)]
pub struct Exported {
    /// The text.
    pub text: String,
    /// How many objects are in it.
    pub objects: u64,
    /// The names of objects that are left out, because they cannot be read as iCalendar.
    pub left_out: Vec<String>,
}

/// Exports `calendar`, all objects in one VCALENDAR with each VTIMEZONE once.
///
/// # Errors
/// If the store fails.
pub async fn export(context: &Context, calendar: &Collection) -> Result<Exported, StoreError> {
    let mut trees = Vec::new();
    let mut left_out = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = context.store.objects(calendar.id, after.as_deref(), PAGE).await?;
        for object in &page.rows {
            let Some((_, bytes)) = context.store.content(calendar.id, &object.name).await? else { continue };
            match ical::parse(&bytes, &context.limits) {
                Ok(parsed) => trees.push(parsed),
                Err(_) => left_out.push(object.name.clone()),
            }
        }
        after = page.rows.into_iter().next_back().map(|object| object.name);
        if !page.more {
            break;
        }
    }
    let text = ical::join(&trees).to_ics();
    Ok(Exported { text, objects: trees.len() as u64, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "BEGIN:VEVENT\r\nUID:good\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T100000Z\r\nEND:VEVENT\r\n";

    fn stream(inner: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n{inner}END:VCALENDAR\r\n")
    }

    fn outcome(text: &str) -> (Vec<String>, Vec<ImportFailure>) {
        let mut failures = Vec::new();
        let pieces = read(text.as_bytes(), &Limits::default(), &mut failures);
        (pieces.into_iter().map(|piece| piece.uid).collect(), failures)
    }

    #[test]
    fn a_file_with_one_object_is_kept_as_it_is() {
        let text = stream(GOOD);
        let mut failures = Vec::new();
        let pieces = read(text.as_bytes(), &Limits::default(), &mut failures);
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>(), [text.as_str()]);
        assert_eq!(failures, []);
    }

    #[test]
    fn a_broken_line_costs_its_own_component_alone() {
        let broken = "BEGIN:VEVENT\r\nUID:bad\r\nthis is no content line\r\nEND:VEVENT\r\n";
        let other = GOOD.replace("UID:good", "UID:other");
        let (uids, failures) = outcome(&stream(&format!("{GOOD}{broken}{other}")));
        assert_eq!(uids, ["good", "other"]);
        assert_eq!(failures.len(), 1);
        assert_eq!((failures[0].line, failures[0].uid.as_deref()), (11, Some("bad")));
    }

    #[test]
    fn objects_that_cannot_be_stored_are_named_with_their_line() {
        let nameless = "BEGIN:VEVENT\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T100000Z\r\nEND:VEVENT\r\n";
        let (uids, failures) = outcome(&stream(&format!("{GOOD}{nameless}")));
        assert_eq!(uids, ["good"]);
        assert_eq!(failures.len(), 1);
        assert_eq!((failures[0].line, failures[0].uid.as_deref()), (9, None));
    }

    #[test]
    fn a_component_that_does_not_end_costs_itself_alone() {
        let open = "BEGIN:VEVENT\r\nUID:open\r\n";
        let (uids, failures) = outcome(&stream(&format!("{open}{GOOD}")));
        assert_eq!(uids, ["good"]);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].uid.as_deref(), Some("open"));
    }

    #[test]
    fn what_is_no_calendar_is_said_to_be_none() {
        for text in ["", "hello\r\n", "BEGIN:VCARD\r\nEND:VCARD\r\n"] {
            let (uids, failures) = outcome(text);
            assert_eq!((uids.len(), failures.len()), (0, 1), "{text}");
        }
    }
}
