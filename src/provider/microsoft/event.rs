//! A Graph event resource as records: singles, series with their cancelled occurrences, exceptions. Bare occurrences say nothing that their
//! series does not say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::recurrence::{self, ShortMonths, Start};
use crate::base::{Limits, Utc};
use crate::ical::DateOrTime;
use crate::merge::{
    Answer, Attendee, AttendeeKind, Content, End, Generation, Orphan, Part, Person, Presence, Provider, Recurrence,
    Response, Role, SourceId, SourceRecord, Status, Transparency, Version, Visibility,
};
use crate::provider::fields::{FieldError, Fields};
use crate::provider::html::{self, Newlines};
use crate::provider::times;
use crate::zone::Zone;

/// What an event is read in the light of.
#[derive(Debug, Clone)]
pub struct Mailbox<'a> {
    /// The account.
    pub account: &'a str,
    /// The calendar.
    pub calendar: &'a str,
    /// The pull.
    pub generation: Generation,
    /// The address whose mailbox it is: whose answer an event holds.
    pub address: Option<&'a str>,
}

/// What an item of a page is to us.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapped {
    /// It says this: an event, and for a series the occurrences that were cancelled.
    Records(Vec<SourceRecord>),
    /// It is one of the series with this id, and says nothing of its own.
    Occurrence {
        /// Its own id.
        id: String,
        /// The id of the series.
        series: String,
    },
    /// It was deleted, or has left the window: asking for it tells which.
    Removed(String),
    /// It is no meeting yet; why.
    Skipped(&'static str),
}

/// What the item `value` of a delta page, or a single event, is.
///
/// # Errors
/// If a field that it needs is missing, or one has the wrong type or makes no sense.
pub fn map(value: &Value, mailbox: &Mailbox<'_>) -> Result<Mapped, FieldError> {
    let event = Fields::of(value)?;
    let id = event.required("id")?;
    if event.has("@removed") {
        return Ok(Mapped::Removed(id.to_owned()));
    }
    let series = event.filled("seriesMasterId")?;
    if event.text("type")? == Some("occurrence") {
        let series = series.ok_or_else(|| event.bad("seriesMasterId", "is missing"))?;
        return Ok(Mapped::Occurrence { id: id.to_owned(), series: series.to_owned() });
    }
    if event.flag("isDraft")? == Some(true) {
        return Ok(Mapped::Skipped("not sent yet"));
    }
    let times = Times::of(&event)?;
    let part = part(&event, series, &times)?;
    let content = content(&event, part, &times, mailbox)?;
    let source = source(mailbox, id);
    let version = version(&event, mailbox)?;
    let mut records = vec![SourceRecord::whole(source, version, content)];
    records.extend(cancelled(&event, id, &times, mailbox)?);
    records.extend(exceptions(&event, id, mailbox)?);
    Ok(Mapped::Records(records))
}

/// The series that a record is of, or is: what has to be read once more.
pub fn series_of(record: &SourceRecord) -> Option<String> {
    match &record.content.part {
        Some(Part::Instance { series, .. }) => Some(series.clone()),
        _ => {
            let recurs = record.content.recurrence.as_ref().is_some_and(|recurrence| !recurrence.is_empty());
            recurs.then(|| record.source.id.clone())
        }
    }
}

/// The record that says that the item `id` is gone.
pub fn gone(id: &str, mailbox: &Mailbox<'_>) -> SourceRecord {
    SourceRecord::tombstone(source(mailbox, id), Version::of_generation(mailbox.generation))
}

/// What an item that cannot be read says all the same: it is there, so that a full round does not sweep away what was known of it.
pub fn named(value: &Value, mailbox: &Mailbox<'_>) -> Option<SourceRecord> {
    let id = value.get("id")?.as_str().filter(|id| !id.trim().is_empty())?;
    let content = Content { presence: Some(Presence::Live), ..Content::default() };
    Some(SourceRecord::partial(source(mailbox, id), Version::new(mailbox.generation, 0, 0), content))
}

fn source(mailbox: &Mailbox<'_>, id: &str) -> SourceId {
    SourceId::new(Provider::Microsoft, mailbox.account, id).in_calendar(mailbox.calendar)
}

/// (generation, `lastModifiedDateTime` in 100 ns).
fn version(event: &Fields<'_>, mailbox: &Mailbox<'_>) -> Result<Version, FieldError> {
    let modified = event.stamp("lastModifiedDateTime")?;
    let modified = modified.ok_or_else(|| event.bad("lastModifiedDateTime", "is missing"))?;
    Ok(Version::new(mailbox.generation, modified.ticks(), 0))
}

/// When an event is, and in which zone it is at home.
struct Times {
    start: DateOrTime,
    end: Option<DateOrTime>,
    /// `None` where nobody knows the zone: its times stay in UTC.
    zone: Option<Zone>,
}

impl Times {
    fn of(event: &Fields<'_>) -> Result<Self, FieldError> {
        let is_all_day = event.flag("isAllDay")?.unwrap_or(false);
        let zone = home_zone(event)?;
        let start = moment(event, "start", is_all_day, zone.as_ref())?;
        let start = start.ok_or_else(|| event.bad("start", "is missing"))?;
        let end = moment(event, "end", is_all_day, zone.as_ref())?;
        if end.as_ref().is_some_and(|end| times::instant(end) < times::instant(&start)) {
            return Err(event.bad("end", "is before start"));
        }
        Ok(Self { start, end, zone })
    }

    /// The occurrence of the day `day`, of a series that this is.
    fn on(&self, day: chrono::NaiveDate) -> DateOrTime {
        self.start.at(day.and_time(self.start.local().time()))
    }

    /// Where an instance was, of a series of which no more is known: it may be of days where the instance has a time, and the other way
    /// round. Midnight in UTC is either a day or a time, so that it stays what it is: in a zone it might be the day before.
    fn original(&self, at: Utc) -> DateOrTime {
        match at.naive().time() == chrono::NaiveTime::MIN {
            true => DateOrTime::Utc(at.naive()),
            false => times::in_zone(at, self.zone.as_ref()),
        }
    }
}

/// The zone that a series is expanded in: its rule's, else that in which it was made; UTC is a true zone only if both agree.
fn home_zone(event: &Fields<'_>) -> Result<Option<Zone>, FieldError> {
    let range = match event.inner("recurrence")? {
        Some(recurrence) => recurrence.inner("range")?,
        None => None,
    };
    let of_rule = range.map(|range| range.filled("recurrenceTimeZone")).transpose()?.flatten();
    let names = [of_rule, event.filled("originalStartTimeZone")?];
    Ok(names.into_iter().flatten().find_map(Zone::named))
}

/// `{dateTime, timeZone}`: a local time without an offset, by default in UTC whatever the event's own zone is.
fn moment(
    event: &Fields<'_>,
    name: &str,
    is_all_day: bool,
    home: Option<&Zone>,
) -> Result<Option<DateOrTime>, FieldError> {
    let Some(moment) = event.inner(name)? else { return Ok(None) };
    let local = moment.local("dateTime")?.ok_or_else(|| moment.bad("dateTime", "is missing"))?;
    if is_all_day {
        return Ok(Some(DateOrTime::Date(local.date())));
    }
    let written_in = moment.filled("timeZone")?.map_or_else(|| Some(Zone::utc()), Zone::named);
    // A zone that only its maker knows stands in both places: then the local time is all there is.
    let written_in = written_in.ok_or_else(|| moment.bad("timeZone", "is a zone that nobody knows"))?;
    Ok(Some(times::in_zone(written_in.to_utc(local), home.or(Some(&written_in)))))
}

fn part(event: &Fields<'_>, series: Option<&str>, times: &Times) -> Result<Part, FieldError> {
    let Some(series) = series else { return Ok(Part::Event) };
    let original = event.stamp("originalStart")?.ok_or_else(|| event.bad("originalStart", "is missing"))?;
    let original_start = times.original(original.utc());
    Ok(Part::Instance { series: series.to_owned(), original_start, orphan: Orphan::Waits })
}

fn content(event: &Fields<'_>, part: Part, times: &Times, mailbox: &Mailbox<'_>) -> Result<Content, FieldError> {
    let is_event = part == Part::Event;
    let is_organiser = event.flag("isOrganizer")?.unwrap_or(false);
    let organizer = event.inner("organizer")?.map(|who| person(&who)).transpose()?.flatten();
    let response = own_response(event)?;
    let text = |name: &str| Ok(Some(event.text(name)?.unwrap_or_default().to_owned()));
    let location = event.inner("location")?.map(|place| place.text("displayName")).transpose()?.flatten();
    Ok(Content {
        role: Some(if is_organiser { Role::Organiser } else { Role::Attendee }),
        zone: times.start.tzid().map(str::to_owned).or_else(|| {
            let home = times.zone.as_ref().and_then(Zone::iana_name);
            (matches!(times.start, DateOrTime::Utc(_)) && home == Some("UTC")).then(|| "UTC".to_owned())
        }),
        recurrence: is_event.then(|| rules(event, times)).transpose()?,
        part: Some(part),
        uid: event.filled("iCalUId")?.map(str::to_owned),
        title: text("subject")?,
        description: description(event)?,
        location: Some(location.unwrap_or_default().to_owned()),
        start: Some(times.start.clone()),
        end: times.end.clone().map(End::At),
        status: Some(status(event, is_organiser, response)?),
        transparency: Some(transparency(event)?),
        visibility: visibility(event)?,
        answer: own_address(organizer.as_ref().filter(|_| is_organiser), mailbox)
            .map(|address| Answer { address, response: if is_organiser { Response::Accepted } else { response } }),
        organizer,
        attendees: event.has("attendees").then(|| attendees(event)).transpose()?,
        attendees_partial: event.flag("hideAttendees")?.filter(|hidden| *hidden),
        join_url: join_url(event)?,
        reminders: reminders(event)?,
        url: event.filled("webLink")?.map(str::to_owned),
        categories: Some(event.texts("categories")?.into_iter().map(str::to_owned).collect()),
        ..Content::default()
    })
}

fn rules(event: &Fields<'_>, times: &Times) -> Result<Recurrence, FieldError> {
    let Some(recurrence) = event.inner("recurrence")? else { return Ok(Recurrence::default()) };
    let utc = Zone::utc();
    let start = match &times.start {
        DateOrTime::Date(date) => Start::AllDay(*date),
        start => Start::Timed(start.local(), times.zone.as_ref().unwrap_or(&utc)),
    };
    let rule = recurrence::rule(&recurrence, &start, ShortMonths::LastDay)?;
    Ok(Recurrence { rules: vec![rule], ..Recurrence::default() })
}

/// The text of the body; the preview where there is no body.
fn description(event: &Fields<'_>) -> Result<Option<String>, FieldError> {
    let Some(body) = event.inner("body")? else {
        return Ok(Some(event.text("bodyPreview")?.unwrap_or_default().to_owned()));
    };
    let content = body.text("content")?.unwrap_or_default();
    let is_html = body.text("contentType")?.is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
    Ok(Some(if is_html { html::text(content, Newlines::Blank) } else { content.trim().replace("\r\n", "\n") }))
}

/// Who has not answered sees a meeting as tentative: only who has answered, or organises, means it.
fn status(event: &Fields<'_>, is_organiser: bool, response: Response) -> Result<Status, FieldError> {
    if event.flag("isCancelled")? == Some(true) {
        return Ok(Status::Cancelled);
    }
    let is_meant = is_organiser || response >= Response::Tentative;
    let is_tentative = event.text("showAs")? == Some("tentative") && is_meant;
    Ok(if is_tentative { Status::Tentative } else { Status::Confirmed })
}

fn transparency(event: &Fields<'_>) -> Result<Transparency, FieldError> {
    Ok(match event.text("showAs")? {
        Some("free" | "workingElsewhere") => Transparency::Transparent,
        _ => Transparency::Opaque,
    })
}

fn visibility(event: &Fields<'_>) -> Result<Option<Visibility>, FieldError> {
    Ok(match event.text("sensitivity")? {
        Some("personal" | "private") => Some(Visibility::Private),
        Some("confidential") => Some(Visibility::Confidential),
        _ => None,
    })
}

/// `{emailAddress: {name, address}}`.
fn person(who: &Fields<'_>) -> Result<Option<Person>, FieldError> {
    let Some(address) = who.inner("emailAddress")? else { return Ok(None) };
    let name = address.text("name")?.unwrap_or_default().to_owned();
    Ok(address.filled("address")?.map(|email| Person { email: email.trim().to_owned(), name }))
}

fn attendees(event: &Fields<'_>) -> Result<Vec<Attendee>, FieldError> {
    let max = usize::try_from(Limits::default().attendees_max).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for one in event.objects("attendees")?.iter().take(max) {
        let Some(person) = person(one)? else { continue };
        let kind = match one.text("type")? {
            Some("resource") => AttendeeKind::Resource,
            Some("optional") => AttendeeKind::Optional,
            _ => AttendeeKind::Required,
        };
        let status = one.inner("status")?;
        let response = status.map(|status| status.text("response")).transpose()?.flatten();
        found.push(Attendee { person, response: response_of(response), kind });
    }
    Ok(found)
}

fn own_response(event: &Fields<'_>) -> Result<Response, FieldError> {
    let status = event.inner("responseStatus")?;
    Ok(response_of(status.map(|status| status.text("response")).transpose()?.flatten()))
}

fn response_of(response: Option<&str>) -> Response {
    match response {
        Some("organizer" | "accepted") => Response::Accepted,
        Some("tentativelyAccepted") => Response::Tentative,
        Some("declined") => Response::Declined,
        _ => Response::NeedsAction,
    }
}

fn own_address(organizer: Option<&Person>, mailbox: &Mailbox<'_>) -> Option<String> {
    let own = mailbox.address.map(str::to_owned);
    own.or_else(|| organizer.map(|me| me.email.clone()))
}

fn join_url(event: &Fields<'_>) -> Result<Option<String>, FieldError> {
    let meeting = event.inner("onlineMeeting")?;
    let joined = meeting.map(|meeting| meeting.filled("joinUrl")).transpose()?.flatten();
    Ok(joined.or(event.filled("onlineMeetingUrl")?).map(str::to_owned))
}

fn reminders(event: &Fields<'_>) -> Result<Option<Vec<i64>>, FieldError> {
    let minutes = event.whole("reminderMinutesBeforeStart")?.filter(|minutes| (0..=1_000_000).contains(minutes));
    Ok(event.flag("isReminderOn")?.map(|on| minutes.filter(|_| on).into_iter().collect()))
}

/// A cancelled occurrence has no item of its own: the series names its day, `OID.<series>.<yyyy-MM-dd>`.
fn cancelled(
    event: &Fields<'_>,
    series: &str,
    times: &Times,
    mailbox: &Mailbox<'_>,
) -> Result<Vec<SourceRecord>, FieldError> {
    let mut records = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, id) in event.texts("cancelledOccurrences")?.into_iter().enumerate() {
        let day = id.rsplit('.').next().and_then(|day| day.parse().ok());
        let bad = || event.bad(&format!("cancelledOccurrences[{at}]"), "does not end in a day (.YYYY-MM-DD)");
        let original_start = times.on(day.ok_or_else(bad)?);
        if !seen.insert(id) {
            continue;
        }
        let part = Part::Instance { series: series.to_owned(), original_start, orphan: Orphan::Waits };
        let content = Content { part: Some(part), presence: Some(Presence::Deleted), ..Content::default() };
        let version = Version::of_generation(mailbox.generation);
        records.push(SourceRecord::partial(source(mailbox, id), version, content));
    }
    Ok(records)
}

/// The exceptions that came with their series; those that have only an id come by themselves.
fn exceptions(event: &Fields<'_>, series: &str, mailbox: &Mailbox<'_>) -> Result<Vec<SourceRecord>, FieldError> {
    let mut records = Vec::new();
    for value in event.list("exceptionOccurrences")? {
        let mut value = value.clone();
        let Some(fields) = value.as_object_mut() else { continue };
        if !fields.contains_key("start") || !fields.contains_key("lastModifiedDateTime") {
            continue;
        }
        fields.entry("seriesMasterId").or_insert_with(|| series.into());
        // Nothing of these can hold more of them: the recursion has one level.
        fields.remove("exceptionOccurrences");
        fields.remove("cancelledOccurrences");
        if let Mapped::Records(found) = map(&value, mailbox)? {
            records.extend(found);
        }
    }
    Ok(records)
}
