//! A Google event resource as a record: masters, exceptions, singles, and the deletions that have little more than an id.

use serde_json::Value;

use crate::base::Limits;
use crate::ical::DateOrTime;
use crate::merge::{
    Answer, Attendee, AttendeeKind, Content, End, Generation, Orphan, Part, Person, Presence, Provider, Recurrence,
    Response, Role, SourceId, SourceRecord, Status, Transparency, Version, Visibility,
};
use crate::provider::fields::{FieldError, Fields, Stamp};
use crate::provider::html::{self, Newlines};
use crate::provider::times;
use crate::recur::check_rule;
use crate::zone::Zone;

/// What an event is read in the light of: where it was listed, and what the listing says of all its events.
#[derive(Debug, Clone)]
pub struct Listing<'a> {
    /// The account.
    pub account: &'a str,
    /// The calendar that was listed.
    pub calendar: &'a str,
    /// The pull.
    pub generation: Generation,
    /// The calendar's zone, for times that have none.
    pub zone: Option<Zone>,
    /// The calendar's reminders, in minutes, for events that take the defaults.
    pub reminders: Vec<i64>,
}

/// What an event is to us.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapped {
    /// It says this.
    Record(Box<SourceRecord>),
    /// It is no meeting; why.
    Skipped(&'static str),
}

/// Kinds of events that tell where somebody is or whose birthday it is, and that keep nobody busy.
const NO_MEETINGS: [&str; 2] = ["workingLocation", "birthday"];

/// The record that the event resource `value` is.
///
/// # Errors
/// If a field that it needs is missing, or one has the wrong type or makes no sense.
pub fn map(value: &Value, listing: &Listing<'_>) -> Result<Mapped, FieldError> {
    let event = Fields::of(value)?;
    let id = event.required("id")?;
    let source = SourceId::new(Provider::Google, listing.account, id).in_calendar(listing.calendar);
    let part = part(&event, listing)?;
    if event.text("status")? == Some("cancelled") {
        return Ok(Mapped::Record(Box::new(deleted(source, part, listing))));
    }
    if event.text("eventType")?.is_some_and(|kind| NO_MEETINGS.contains(&kind)) {
        return Ok(Mapped::Skipped("keeps nobody busy"));
    }
    let version = version(&event, listing)?;
    let content = content(&event, part, listing)?;
    Ok(Mapped::Record(Box::new(SourceRecord::whole(source, version, content))))
}

/// What an event that cannot be read says all the same: it is there, so that a full listing does not sweep away what was known of it.
pub fn named(value: &Value, listing: &Listing<'_>) -> Option<SourceRecord> {
    let id = value.get("id")?.as_str().filter(|id| !id.trim().is_empty())?;
    let source = SourceId::new(Provider::Google, listing.account, id).in_calendar(listing.calendar);
    let content = Content { presence: Some(Presence::Live), ..Content::default() };
    Some(SourceRecord::partial(source, Version::new(listing.generation, 0, 0), content))
}

/// Only the id is certain of what is deleted, so that its version is the pull's.
fn deleted(source: SourceId, part: Option<Part>, listing: &Listing<'_>) -> SourceRecord {
    let version = Version::of_generation(listing.generation);
    let content = Content { part, presence: Some(Presence::Deleted), ..Content::default() };
    SourceRecord::partial(source, version, content)
}

/// (generation, `updated`, number in the etag).
fn version(event: &Fields<'_>, listing: &Listing<'_>) -> Result<Version, FieldError> {
    let etag = event.text("etag")?.and_then(etag_number).unwrap_or(0);
    let updated = match event.stamp("updated")? {
        Some(updated) => updated.micros(),
        // The etag of an event is seen to be twice its time of change.
        None => i64::try_from(etag / 2).unwrap_or(i64::MAX),
    };
    Ok(Version::new(listing.generation, updated, etag))
}

fn etag_number(etag: &str) -> Option<u64> {
    etag.trim().trim_start_matches("W/").trim_matches('"').parse().ok()
}

/// An instance if it names its series; `None` for a deleted event, which may have been either.
fn part(event: &Fields<'_>, listing: &Listing<'_>) -> Result<Option<Part>, FieldError> {
    let Some(series) = event.filled("recurringEventId")? else {
        return Ok((event.text("status")? != Some("cancelled")).then_some(Part::Event));
    };
    let original = moment(event, "originalStartTime", listing)?;
    let original_start = original.ok_or_else(|| event.bad("originalStartTime", "is missing"))?;
    Ok(Some(Part::Instance { series: series.to_owned(), original_start, orphan: Orphan::Waits }))
}

/// UTC where that is the event's zone, and not only the form of a time whose zone nobody knows.
fn stated_utc(event: &Fields<'_>, start: &DateOrTime, listing: &Listing<'_>) -> Result<Option<String>, FieldError> {
    let named = event.inner("start")?.map(|start| start.filled("timeZone")).transpose()?.flatten();
    let zone = named.map_or_else(|| listing.zone.clone(), Zone::named);
    let is_utc = matches!(start, DateOrTime::Utc(_)) && zone.is_some_and(|zone| zone.iana_name() == Some("UTC"));
    Ok(is_utc.then(|| "UTC".to_owned()))
}

fn content(event: &Fields<'_>, part: Option<Part>, listing: &Listing<'_>) -> Result<Content, FieldError> {
    let start = moment(event, "start", listing)?.ok_or_else(|| event.bad("start", "is missing"))?;
    let end = end(event, &start, listing)?;
    let is_series = part == Some(Part::Event);
    let organizer = event.inner("organizer")?;
    let is_mine = organizer.as_ref().map(|who| who.flag("self")).transpose()?.flatten().unwrap_or(false);
    let attendees = attendees(event)?;
    let sees_all = event.has("summary") || organizer.is_some();
    let said = |text: Option<&str>| text.map(str::to_owned).or_else(|| sees_all.then(String::new));
    let description = event.text("description")?.map(|text| html::text(text, Newlines::Kept));
    Ok(Content {
        role: Some(if is_mine { Role::Organiser } else { Role::Attendee }),
        zone: start.tzid().map(str::to_owned).or(stated_utc(event, &start, listing)?),
        recurrence: is_series.then(|| recurrence(event)).transpose()?,
        part,
        uid: event.filled("iCalUID")?.map(str::to_owned),
        title: said(event.text("summary")?),
        description: said(description.as_deref()),
        location: said(event.text("location")?),
        start: Some(start),
        end,
        status: Some(if event.text("status")? == Some("tentative") { Status::Tentative } else { Status::Confirmed }),
        transparency: Some(transparency(event)?),
        visibility: visibility(event)?,
        organizer: organizer.as_ref().map(person).transpose()?.flatten(),
        answer: answer(&attendees, organizer.as_ref(), is_mine)?,
        attendees: (event.has("attendees") || is_mine).then(|| attendees.into_iter().map(|one| one.0).collect()),
        attendees_partial: event.flag("attendeesOmitted")?.filter(|omitted| *omitted),
        join_url: join_url(event)?,
        reminders: reminders(event, listing)?,
        sequence: event.whole("sequence")?,
        url: event.filled("htmlLink")?.map(str::to_owned),
        ..Content::default()
    })
}

/// `{date}` or `{dateTime, timeZone}`.
fn moment(event: &Fields<'_>, name: &str, listing: &Listing<'_>) -> Result<Option<DateOrTime>, FieldError> {
    let Some(moment) = event.inner(name)? else { return Ok(None) };
    if let Some(day) = moment.day("date")? {
        return Ok(Some(DateOrTime::Date(day)));
    }
    let text = moment.required("dateTime")?;
    let zone = match moment.filled("timeZone")? {
        Some(name) => Zone::named(name),
        None => listing.zone.clone(),
    };
    if Stamp::parse(text).is_some() {
        return Ok(moment.stamp("dateTime")?.map(|at| times::in_zone(at.utc(), zone.as_ref())));
    }
    match (moment.local("dateTime")?, zone) {
        (Some(local), Some(zone)) => Ok(Some(times::of_local(local, &zone))),
        (Some(_), None) => Err(moment.bad("timeZone", "is missing or unknown, and dateTime has no offset")),
        (None, _) => Err(moment.bad("dateTime", "is missing")),
    }
}

fn end(event: &Fields<'_>, start: &DateOrTime, listing: &Listing<'_>) -> Result<Option<End>, FieldError> {
    let end = moment(event, "end", listing)?;
    if event.flag("endTimeUnspecified")? == Some(true) {
        return Ok(None);
    }
    let Some(end) = end else { return Ok(None) };
    if end.is_date() != start.is_date() {
        return Err(event.bad("end", "is a date where start is a time, or the other way round"));
    }
    if times::instant(&end) < times::instant(start) {
        return Err(event.bad("end", "is before start"));
    }
    Ok(Some(End::At(end)))
}

/// The lines of `recurrence`: RRULE, EXRULE, RDATE and EXDATE as in iCalendar.
fn recurrence(event: &Fields<'_>) -> Result<Recurrence, FieldError> {
    let mut recurrence = Recurrence::default();
    for (at, line) in event.texts("recurrence")?.into_iter().enumerate() {
        let bad = |problem: &str| event.bad(&format!("recurrence[{at}]"), problem);
        let (head, value) = line.split_once(':').ok_or_else(|| bad("is no content line (NAME:value)"))?;
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        match name.trim().to_ascii_uppercase().as_str() {
            "RRULE" | "EXRULE" if check_rule(value.trim()).is_err() => return Err(bad("is no recurrence rule")),
            "RRULE" => recurrence.rules.push(value.trim().to_owned()),
            "EXRULE" => recurrence.exrules.push(value.trim().to_owned()),
            "RDATE" => recurrence.rdates.extend(dates(parameters, value).ok_or_else(|| bad("has no dates"))?),
            "EXDATE" => recurrence.exdates.extend(dates(parameters, value).ok_or_else(|| bad("has no dates"))?),
            _ => return Err(bad("is none of RRULE, EXRULE, RDATE and EXDATE")),
        }
    }
    Ok(recurrence)
}

/// The dates of an RDATE or EXDATE; of periods the starts.
fn dates(parameters: &str, value: &str) -> Option<Vec<DateOrTime>> {
    let tzid = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("TZID").then(|| zone_name(value.trim().trim_matches('"')))
    });
    let starts = value.split(',').map(|item| item.split('/').next().unwrap_or(item));
    starts.map(|start| DateOrTime::parse(start, tzid.as_deref()).ok()).collect()
}

/// The IANA name of a TZID where we know one.
fn zone_name(tzid: &str) -> String {
    let zone = Zone::named(tzid);
    zone.as_ref().and_then(Zone::iana_name).unwrap_or(tzid).to_owned()
}

fn transparency(event: &Fields<'_>) -> Result<Transparency, FieldError> {
    let free = event.text("transparency")? == Some("transparent");
    Ok(if free { Transparency::Transparent } else { Transparency::Opaque })
}

fn visibility(event: &Fields<'_>) -> Result<Option<Visibility>, FieldError> {
    Ok(match event.text("visibility")? {
        Some("public") => Some(Visibility::Public),
        Some("private") => Some(Visibility::Private),
        Some("confidential") => Some(Visibility::Confidential),
        _ => None,
    })
}

fn person(who: &Fields<'_>) -> Result<Option<Person>, FieldError> {
    let name = who.text("displayName")?.unwrap_or_default();
    let email = who.filled("email")?;
    Ok(email.map(|email| Person { email: email.trim().to_owned(), name: name.to_owned() }))
}

/// The attendees, each with whether it is the one whose copy this is. Who has no address cannot be named in iCalendar.
fn attendees(event: &Fields<'_>) -> Result<Vec<(Attendee, bool)>, FieldError> {
    let max = usize::try_from(Limits::default().attendees_max).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for one in event.objects("attendees")?.iter().take(max) {
        let Some(person) = person(one)? else { continue };
        let is = |name: &str| Ok(one.flag(name)?.unwrap_or(false));
        let kind = match (is("resource")?, is("organizer")?, is("optional")?) {
            (true, _, _) => AttendeeKind::Resource,
            (_, true, _) => AttendeeKind::Chair,
            (_, _, true) => AttendeeKind::Optional,
            _ => AttendeeKind::Required,
        };
        let response = match one.text("responseStatus")? {
            Some("accepted") => Response::Accepted,
            Some("tentative") => Response::Tentative,
            Some("declined") => Response::Declined,
            _ => Response::NeedsAction,
        };
        found.push((Attendee { person, response, kind }, is("self")?));
    }
    Ok(found)
}

/// Mine is the answer of the attendee that is marked as the calendar's owner; who organises without attending has accepted.
fn answer(
    attendees: &[(Attendee, bool)],
    organizer: Option<&Fields<'_>>,
    is_mine: bool,
) -> Result<Option<Answer>, FieldError> {
    if let Some((me, _)) = attendees.iter().find(|(_, me)| *me) {
        return Ok(Some(Answer { address: me.person.email.clone(), response: me.response }));
    }
    let organizer = organizer.filter(|_| is_mine).map(person).transpose()?.flatten();
    Ok(organizer.map(|me| Answer { address: me.email, response: Response::Accepted }))
}

/// The conference's video link: the entry point of a conference, or the older field that only Meet has.
fn join_url(event: &Fields<'_>) -> Result<Option<String>, FieldError> {
    if let Some(conference) = event.inner("conferenceData")? {
        for entry in conference.objects("entryPoints")? {
            if entry.text("entryPointType")? == Some("video")
                && let Some(uri) = entry.filled("uri")?
            {
                return Ok(Some(uri.to_owned()));
            }
        }
    }
    Ok(event.filled("hangoutLink")?.map(str::to_owned))
}

/// The minutes of reminders that are shown on a screen.
fn reminders(event: &Fields<'_>, listing: &Listing<'_>) -> Result<Option<Vec<i64>>, FieldError> {
    let Some(reminders) = event.inner("reminders")? else { return Ok(None) };
    if reminders.flag("useDefault")? == Some(true) {
        return Ok(Some(listing.reminders.clone()));
    }
    popups(&reminders.objects("overrides")?).map(Some)
}

/// The minutes of those that pop up.
pub fn popups(reminders: &[Fields<'_>]) -> Result<Vec<i64>, FieldError> {
    let mut minutes = Vec::new();
    for reminder in reminders {
        if reminder.text("method")? == Some("popup") {
            minutes.extend(reminder.whole("minutes")?.filter(|minutes| (0..=40_320).contains(minutes)));
        }
    }
    Ok(minutes)
}
