//! One of Zoom's meeting events as records.

use super::recurrence::{self, Rule};
use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::merge::{
    Content, End, Field, Orphan, Part, Person, Presence, Provider, Role, SourceId, SourceRecord, Version,
};
use crate::provider::Account;
use crate::provider::json::{Fields, Wrong};

/// Occurrences that one event may name.
const OCCURRENCES_MAX: usize = 500;
/// The longest meeting in minutes: Zoom ends them after 30 hours; a plan may say more, not a year.
const MINUTES_MAX: i64 = 366 * 24 * 60;

/// What an event is about.
struct Event<'a> {
    account: &'a str,
    version: Version,
    object: Fields<'a>,
    /// The number that names the meeting or series.
    id: String,
    /// The operator's address: who made the change, for a new meeting who made it.
    operator: Option<String>,
}

/// The records of one event. `sent_ms` stands in for a missing `event_ts`.
pub(super) fn records(
    account: &Account,
    name: &str,
    envelope: &Fields<'_>,
    sent_ms: i64,
) -> Result<Vec<SourceRecord>, Wrong> {
    let payload = envelope.needed_object("payload")?;
    let object = payload.needed_object("object")?;
    let id = object.digits("id")?.ok_or_else(|| object.wrong("id", "is missing"))?;
    if id.len() > 20 {
        return Err(object.wrong("id", "is no meeting's number"));
    }
    let stamp = match envelope.number("event_ts")? {
        Some(stamp) => stamp,
        None => payload.number("time_stamp")?.unwrap_or(sent_ms),
    };
    let is_single =
        [payload.text("scope")?, payload.text("operation")?].into_iter().flatten().any(|one| one == "single");
    let operator = payload.text("operator")?.filter(|address| address.contains('@'));
    let event = Event { account: &account.key.name, version: Version::of_stamp(stamp), object, id, operator };
    match name {
        "meeting.deleted" | "meeting.permanently_deleted" if is_single => event.deleted_occurrences(),
        "meeting.deleted" | "meeting.permanently_deleted" => Ok(vec![event.deleted()]),
        "meeting.started" => event.actual("start_time", Field::Started),
        "meeting.ended" => event.actual("end_time", Field::Ended),
        "meeting.updated" if is_single => event.updated_occurrences(),
        "meeting.updated" => event.planned(None),
        "meeting.created" | "meeting.recovered" if is_single => event.updated_occurrences(),
        // Created and recovered: all that there is, and that it is there.
        _ => event.planned(Some(Presence::Live)),
    }
}

impl Event<'_> {
    fn source(&self) -> SourceId {
        SourceId::new(Provider::Zoom, self.account, &self.id)
    }

    fn base(&self) -> Content {
        Content { role: Some(Role::Zoom), part: Some(Part::Event), ..Content::default() }
    }

    fn deleted(&self) -> SourceRecord {
        let content = Content { presence: Some(Presence::Deleted), ..self.base() };
        // At the same moment a deletion wins.
        SourceRecord::partial(self.source(), self.version.ranked(1), content)
    }

    fn actual(&self, name: &str, field: Field) -> Result<Vec<SourceRecord>, Wrong> {
        let at = self.object.instant(name)?.ok_or_else(|| self.object.wrong(name, "is missing"))?;
        let mut content = self.base();
        // An instant run of a personal room, or of a room that anyone may enter at any time, is nobody's planned meeting.
        if matches!(self.object.number("type")?, Some(3 | 4)) {
            content.personal_room = Some(true);
        }
        match field {
            Field::Ended => content.ended = Some(at),
            _ => content.started = Some(at),
        }
        Ok(vec![SourceRecord::partial(self.source(), self.version, content)])
    }

    /// The fields that the object names, and the exceptions of a series that its list of occurrences shows.
    fn planned(&self, presence: Option<Presence>) -> Result<Vec<SourceRecord>, Wrong> {
        let mut content = Content { presence, ..self.base() };
        let object = &self.object;
        content.title = object.text("topic")?;
        content.description = object.text("agenda")?;
        content.zone = object.text("timezone")?.filter(|zone| !zone.is_empty());
        content.join_url = object.text("join_url")?;
        content.end = duration(object)?.map(End::After);
        content.start = object.instant("start_time")?.map(utc);
        if presence.is_some() {
            content.organizer = self.operator.as_deref().map(Person::of);
        }
        let kind = object.number("type")?;
        let uses_room = match object.object("settings")? {
            Some(settings) => settings.flag("use_pmi")?,
            None => None,
        };
        match (kind, uses_room) {
            // No calendar time: a place that is always there.
            (Some(3 | 4), _) | (_, Some(true)) => {
                (content.personal_room, content.start) = (Some(true), None);
            }
            (Some(_), Some(false)) => content.personal_room = Some(false),
            _ => {}
        }
        let occurrences = occurrences(object)?;
        let rule = recurrence::read(object)?;
        let mut records = Vec::new();
        if let (Some(rule), Some(start)) = (&rule, &content.start) {
            let fitted = recurrence::fit(rule, start, content.zone.as_deref(), &occurrences);
            content.recurrence = Some(fitted);
        } else if let Some(Rule { text, .. }) = &rule {
            content.recurrence = Some(recurrence::plain(text));
        }
        records.push(SourceRecord::partial(self.source(), self.version, content));
        if rule.is_some() || !occurrences.is_empty() {
            records.extend(occurrences.iter().filter(|one| one.is_moved()).map(|one| self.moved(one)));
        }
        Ok(records)
    }

    fn updated_occurrences(&self) -> Result<Vec<SourceRecord>, Wrong> {
        let named = occurrences(&self.object)?;
        if named.is_empty() {
            return Err(self.object.wrong("occurrences", "is missing or empty"));
        }
        Ok(named.iter().map(|one| if one.is_deleted { self.gone(one) } else { self.moved(one) }).collect())
    }

    fn deleted_occurrences(&self) -> Result<Vec<SourceRecord>, Wrong> {
        let named = occurrences(&self.object)?;
        if named.is_empty() {
            return Err(self.object.wrong("occurrences", "is missing or empty"));
        }
        Ok(named.iter().map(|one| self.gone(one)).collect())
    }

    fn instance(&self, one: &Occurrence) -> (SourceId, Content) {
        let part = Part::Instance { series: self.id.clone(), original_start: utc(one.original), orphan: Orphan::Waits };
        let source = self.source().sibling(&format!("{}/{}", self.id, one.id));
        (source, Content { role: Some(Role::Zoom), part: Some(part), ..Content::default() })
    }

    fn moved(&self, one: &Occurrence) -> SourceRecord {
        let (source, mut content) = self.instance(one);
        content.presence = Some(Presence::Live);
        content.start = Some(utc(one.start));
        content.end = one.seconds.map(End::After);
        SourceRecord::partial(source, self.version, content)
    }

    fn gone(&self, one: &Occurrence) -> SourceRecord {
        let (source, content) = self.instance(one);
        let content = Content { presence: Some(Presence::Deleted), ..content };
        SourceRecord::partial(source, self.version.ranked(1), content)
    }
}

/// One entry of a list of occurrences.
pub(super) struct Occurrence {
    /// Its name at Zoom.
    id: String,
    /// The start that the rule gave it: what its name says, in milliseconds.
    pub(super) original: Utc,
    /// When it starts now.
    pub(super) start: Utc,
    seconds: Option<i64>,
    pub(super) is_deleted: bool,
}

impl Occurrence {
    fn is_moved(&self) -> bool {
        self.original != self.start && !self.is_deleted
    }
}

fn occurrences(object: &Fields<'_>) -> Result<Vec<Occurrence>, Wrong> {
    let listed = object.objects("occurrences")?;
    if listed.len() > OCCURRENCES_MAX {
        return Err(object.wrong("occurrences", format!("has more than {OCCURRENCES_MAX} entries")));
    }
    listed.iter().map(occurrence).collect()
}

fn occurrence(fields: &Fields<'_>) -> Result<Occurrence, Wrong> {
    let id = fields.digits("occurrence_id")?.ok_or_else(|| fields.wrong("occurrence_id", "is missing"))?;
    let start = fields.instant("start_time")?;
    let original = id.parse::<i64>().ok().map(|ms| Utc(ms / 1_000)).filter(|at| (0..7_258_118_400).contains(&at.0));
    let original = original.or(start).ok_or_else(|| fields.wrong("occurrence_id", "names no time"))?;
    let is_deleted = fields.text("status")?.is_some_and(|status| status == "deleted");
    Ok(Occurrence { id, original, start: start.unwrap_or(original), seconds: duration(fields)?, is_deleted })
}

/// The planned length in seconds; none for 0, which Zoom says where there is no plan.
fn duration(fields: &Fields<'_>) -> Result<Option<i64>, Wrong> {
    match fields.number("duration")? {
        Some(minutes) if !(0..=MINUTES_MAX).contains(&minutes) => {
            Err(fields.wrong("duration", "must be a number of minutes from 0 to a year"))
        }
        minutes => Ok(minutes.filter(|minutes| *minutes > 0).map(|minutes| minutes * 60)),
    }
}

pub(super) fn utc(at: Utc) -> DateOrTime {
    DateOrTime::Utc(at.naive())
}
