//! A VEVENT as content: for feeds, upstream CalDAV servers and edits made here.

use super::content::AttendeeKind;
use super::{
    Attachment, Attendee, Conference, Content, End, Part, Person, Recurrence, Response, Status, Transparency,
    Visibility, further,
};
use crate::ical::{Component, DateOrTime, Property, ValueError};
use crate::zone::{Zone, Zones};

/// What the VEVENT `event` says, times being read with the zones of its stream (invariant T2). A time in a zone that only the
/// stream's own VTIMEZONE knows comes out in UTC. All texts are set: a VEVENT says by leaving out that there is none.
///
/// # Errors
/// If there is no DTSTART, or a date, duration or rule cannot be read.
pub fn read_event(event: &Component, zones: &Zones) -> Result<Content, ValueError> {
    let start = event.date("DTSTART")?.map(|start| known_time(&start, zones));
    let text = |name: &str| Some(event.text(name).unwrap_or_default().into_owned());
    let zone = start.as_ref().and_then(|start| start.tzid().map(str::to_owned));
    let join_url = join_url(event);
    Ok(Content {
        part: Some(Part::Event),
        uid: text("UID"),
        title: text("SUMMARY"),
        description: text("DESCRIPTION"),
        location: text("LOCATION"),
        end: end(event, start.as_ref(), zones)?,
        start,
        zone,
        recurrence: Some(recurrence(event, zones)?),
        status: Some(status(event)),
        transparency: Some(transparency(event)),
        visibility: Some(visibility(event)),
        organizer: event.property("ORGANIZER").map(person),
        attendees: Some(event.all("ATTENDEE").map(attendee).collect()),
        conferences: conferences(event, join_url.as_deref()),
        join_url,
        reminders: Some(reminders(event)),
        sequence: event.integer("SEQUENCE").ok().flatten(),
        url: event.property("URL").map(|url| url.value.clone()).filter(|url| !further::is_active(url)),
        categories: Some(event.all("CATEGORIES").flat_map(Property::texts).collect()),
        attachments: attachments(event),
        geo: event.property("GEO").map(|geo| geo.value.trim().to_owned()).filter(|geo| is_geo(geo)),
        priority: event
            .integer("PRIORITY")
            .ok()
            .flatten()
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (1..=9).contains(n)),
        color: event.text("COLOR").map(|color| color.trim().to_ascii_lowercase()).filter(|color| is_color(color)),
        ..Content::default()
    })
}

/// A time that means the same without its stream.
pub fn known_time(value: &DateOrTime, zones: &Zones) -> DateOrTime {
    match value {
        DateOrTime::Zoned(local, tzid) if Zone::named(tzid).is_none_or(|zone| zone != zones.named(tzid)) => {
            let zone = zones.named(tzid);
            match (zone.iana_name(), zone == *zones.floating()) {
                (Some(name), _) if name != "UTC" => DateOrTime::Zoned(*local, name.to_owned()),
                (_, true) => DateOrTime::Floating(*local),
                _ => DateOrTime::Utc(zone.to_utc(*local).naive()),
            }
        }
        other => other.clone(),
    }
}

fn end(event: &Component, start: Option<&DateOrTime>, zones: &Zones) -> Result<Option<End>, ValueError> {
    if let Some(end) = event.date("DTEND")? {
        return Ok(Some(beside(&end, event.date("DTSTART")?.as_ref(), zones)));
    }
    let (Some(length), Some(start)) = (event.duration("DURATION")?, start) else { return Ok(None) };
    if length.is_negative() {
        return Ok(None);
    }
    let days = chrono::Days::new(length.days.unsigned_abs());
    Ok(match start.local().checked_add_days(days) {
        Some(local) if length.days > 0 && length.seconds == 0 => Some(End::At(start.at(local))),
        _ => Some(End::After(length.days.saturating_mul(super::time::DAY).saturating_add(length.seconds))),
    })
}

/// What `end` means beside `start`, as in [`crate::recur`].
fn beside(end: &DateOrTime, start: Option<&DateOrTime>, zones: &Zones) -> End {
    let end = start.map_or_else(|| end.clone(), |start| end.beside(start));
    match start {
        // Two clocks: only the length is known.
        Some(start @ DateOrTime::Floating(_)) if matches!(end, DateOrTime::Zoned(..) | DateOrTime::Utc(_)) => {
            End::After((zones.to_utc(&end).0 - zones.to_utc(start).0).max(0))
        }
        _ => End::At(known_time(&end, zones)),
    }
}

/// The recurrence of `event`.
pub(super) fn recurrence(event: &Component, zones: &Zones) -> Result<Recurrence, ValueError> {
    let values = |name: &str| event.all(name).map(|p| p.value.trim().to_owned()).collect::<Vec<_>>();
    let mut recurrence = Recurrence { rules: values("RRULE"), exrules: values("EXRULE"), ..Recurrence::default() };
    for property in event.all("EXDATE") {
        recurrence.exdates.extend(property.dates()?.iter().map(|date| known_time(date, zones)));
    }
    for property in event.all("RDATE") {
        match property.value_is("PERIOD") || property.value.contains('/') {
            true => recurrence.rdates.extend(property.periods()?.iter().map(|period| known_time(&period.start, zones))),
            false => recurrence.rdates.extend(property.dates()?.iter().map(|date| known_time(date, zones))),
        }
    }
    recurrence.rdates.sort();
    recurrence.rdates.dedup();
    recurrence.exdates.sort();
    recurrence.exdates.dedup();
    Ok(recurrence)
}

/// What Exchange says beside STATUS and TRANSP.
fn busy_status(event: &Component) -> Option<String> {
    event.property("X-MICROSOFT-CDO-BUSYSTATUS").map(|p| p.value.trim().to_ascii_uppercase())
}

fn status(event: &Component) -> Status {
    if event.value_is("STATUS", "CANCELLED") {
        return Status::Cancelled;
    }
    let is_tentative = event.value_is("STATUS", "TENTATIVE") || busy_status(event).as_deref() == Some("TENTATIVE");
    if is_tentative { Status::Tentative } else { Status::Confirmed }
}

fn transparency(event: &Component) -> Transparency {
    let is_free = matches!(busy_status(event).as_deref(), Some("FREE" | "WORKINGELSEWHERE"));
    if is_free || event.value_is("TRANSP", "TRANSPARENT") { Transparency::Transparent } else { Transparency::Opaque }
}

fn visibility(event: &Component) -> Visibility {
    match () {
        () if event.value_is("CLASS", "PRIVATE") => Visibility::Private,
        () if event.value_is("CLASS", "CONFIDENTIAL") => Visibility::Confidential,
        () => Visibility::Public,
    }
}

/// Most ways to join, and most documents, of one event; those behind them in their order are left out.
const PLACES_MAX: usize = 100;

/// Properties that hold a link to join, the best one first.
const LINKS: [&str; 4] =
    ["CONFERENCE", "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL", "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK"];

/// The link to join: one for a browser, if there is one.
fn join_url(event: &Component) -> Option<String> {
    let links = || LINKS.iter().flat_map(|name| event.all(name)).map(|link| link.value.trim());
    let is_safe = |link: &&str| !link.is_empty() && !further::is_active(link);
    let is_web = |link: &&str| link.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
    let any = || event.all("CONFERENCE").map(|link| link.value.trim()).find(is_safe);
    links().find(is_web).or_else(any).map(str::to_owned)
}

/// The ways to join beside `join_url`.
fn conferences(event: &Component, join_url: Option<&str>) -> Option<Vec<Conference>> {
    let others = event.all("CONFERENCE").filter(|one| Some(one.value.trim()) != join_url);
    let mut found: Vec<Conference> = others
        .filter(|one| one.value.contains(':') && !further::is_active(&one.value))
        .map(|one| Conference {
            uri: one.value.trim().to_owned(),
            features: words(one, "FEATURE"),
            label: one.param_value("LABEL").unwrap_or_default().into_owned(),
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(PLACES_MAX);
    (!found.is_empty()).then_some(found)
}

/// The words that a parameter lists, in capitals.
fn words(property: &Property, name: &str) -> Vec<String> {
    let values = property.param(name).map(|param| param.decoded().map(|one| one.to_ascii_uppercase()).collect());
    values.unwrap_or_default()
}

/// What is attached by its place; contents are left where they are.
fn attachments(event: &Component) -> Option<Vec<Attachment>> {
    let is_place =
        |one: &&Property| !one.value_is("BINARY") && one.value.contains(':') && !further::is_active(&one.value);
    let text = |one: &Property, name: &str| one.param_value(name).unwrap_or_default().into_owned();
    let mut found: Vec<Attachment> = event
        .all("ATTACH")
        .filter(is_place)
        .map(|one| Attachment {
            uri: one.value.trim().to_owned(),
            kind: text(one, "FMTTYPE"),
            name: text(one, "FILENAME"),
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(PLACES_MAX);
    (!found.is_empty()).then_some(found)
}

/// `48.85299;2.36885`
fn is_geo(text: &str) -> bool {
    let number = |text: &str, most: f64| text.trim().parse::<f64>().is_ok_and(|number| number.abs() <= most);
    text.split_once(';').is_some_and(|(latitude, longitude)| number(latitude, 90.0) && number(longitude, 180.0))
}

/// A CSS3 name.
fn is_color(text: &str) -> bool {
    !text.is_empty() && text.len() <= 30 && text.bytes().all(|b| b.is_ascii_lowercase())
}

fn person(property: &Property) -> Person {
    let value = property.value.trim();
    let is_mail = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let email = if is_mail { value.get(7..).unwrap_or_default().to_owned() } else { String::new() };
    let email = match (email.is_empty(), property.param_value("EMAIL")) {
        (true, Some(email)) => email.into_owned(),
        _ => email,
    };
    Person { email, name: property.param_value("CN").unwrap_or_default().into_owned() }
}

fn attendee(property: &Property) -> Attendee {
    let response = property.param_value("PARTSTAT").map(|value| Response::of_partstat(&value)).unwrap_or_default();
    let kind = match () {
        () if property.param_is("CUTYPE", "RESOURCE") || property.param_is("CUTYPE", "ROOM") => AttendeeKind::Resource,
        () if property.param_is("ROLE", "CHAIR") => AttendeeKind::Chair,
        () if property.param_is("ROLE", "OPT-PARTICIPANT") => AttendeeKind::Optional,
        () => AttendeeKind::Required,
    };
    Attendee { person: person(property), response, kind }
}

/// Minutes before the start, of the alarms that are so.
fn reminders(event: &Component) -> Vec<i64> {
    let mut minutes: Vec<i64> = event.children("VALARM").filter_map(further::minutes).collect();
    minutes.sort_unstable();
    minutes.dedup();
    minutes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;

    fn said(lines: &str) -> Content {
        let text = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n");
        let calendar = crate::ical::parse(text.as_bytes(), &Limits::default()).expect(lines);
        read_event(&calendar.components[0], &Zones::of(&calendar, &Zone::utc())).expect(lines)
    }

    #[test]
    fn addresses_that_do_more_than_tell_stay_away() {
        let content = said(
            "URL:JavaScript:alert(1)\r\nATTACH:file:///etc/passwd\r\nATTACH:x:y\r\n\
             CONFERENCE:javascript:alert(2)\r\nCONFERENCE:tel:1\r\nCONFERENCE:tel:2\r\n",
        );
        assert_eq!((content.url, content.join_url.as_deref()), (None, Some("tel:1")));
        let attached: Vec<String> = content.attachments.into_iter().flatten().map(|one| one.uri).collect();
        let joined: Vec<String> = content.conferences.into_iter().flatten().map(|one| one.uri).collect();
        assert_eq!((attached, joined), (vec!["x:y".to_owned()], vec!["tel:2".to_owned()]));
    }

    #[test]
    fn documents_are_bounded() {
        let lines: String = (0..300).map(|at| format!("ATTACH;FILENAME={at}:x:y\r\n")).collect();
        assert_eq!(said(&lines).attachments.map(|all| all.len()), Some(PLACES_MAX));
    }
}
