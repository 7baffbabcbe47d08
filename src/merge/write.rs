//! The meeting as a calendar object (RFC 5545, RFC 7986): the same meeting gives the same bytes, always and everywhere. Nothing in
//! it comes from a clock; DTSTAMP is the start, so that only what people can see changes the bytes.

use sha2::{Digest, Sha256};

use super::content::AttendeeKind;
use super::{
    Attachment, Attendee, Conference, Event, Instance, Meeting, Person, Recurrence, Status, Transparency, Visibility,
    further, time,
};
use crate::base::Utc;
use crate::ical::{Component, DateOrTime, Property, new_calendar, used_tzids};
use crate::zone::Zone;

/// The UID of the meeting with this key: its own, or one made from the key.
pub(super) fn uid_of(key: &str) -> String {
    match key.strip_prefix("uid:") {
        Some(uid) => uid.to_owned(),
        None => {
            let digest = Sha256::digest(key.as_bytes());
            let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}@meetings.kalends")
        }
    }
}

/// `meeting` as an iCalendar stream: VTIMEZONEs, the event or series, then its overrides.
pub fn to_ical(meeting: &Meeting) -> String {
    let mut calendar = new_calendar();
    let mut events = vec![master(meeting)];
    for instance in meeting.instances.values() {
        match instance {
            Instance::Changed(original, event) => {
                events.push(component(meeting, event, Some(original)));
            }
            Instance::Cancelled(original) => {
                if let Some(first) = events.first_mut().filter(|_| meeting.is_series()) {
                    first.properties.push(Property::with_date("EXDATE", original));
                }
            }
        }
    }
    let borrowed: Vec<&Component> = events.iter().collect();
    let since = time::instant(&meeting.event.start, &Zone::utc());
    for tzid in used_tzids(&borrowed) {
        if let Some(zone) = Zone::named(&tzid) {
            calendar = calendar.with_component(zone.vtimezone(&tzid, since));
        }
    }
    calendar.components.extend(events);
    calendar.to_ics()
}

fn master(meeting: &Meeting) -> Component {
    let mut event = component(meeting, &meeting.event, meeting.alone.as_ref());
    event.properties.extend(rule_properties(&meeting.recurrence));
    for (name, at) in [("X-KALENDS-STARTED", meeting.started), ("X-KALENDS-ENDED", meeting.ended)] {
        if let Some(at) = at {
            event.properties.push(Property::new(name, at.to_string()));
        }
    }
    event
}

fn rule_properties(recurrence: &Recurrence) -> Vec<Property> {
    let rules = recurrence.rules.iter().map(|rule| Property::new("RRULE", rule.as_str()));
    let exrules = recurrence.exrules.iter().map(|rule| Property::new("EXRULE", rule.as_str()));
    let mut rdates = recurrence.rdates.clone();
    rdates.sort();
    rdates.dedup();
    let rdates = rdates.iter().map(|date| Property::with_date("RDATE", date)).collect::<Vec<_>>();
    rules.chain(exrules).chain(rdates).collect()
}

/// A series with nothing but its times: for finding out which instances it has.
pub(super) fn bare(start: &DateOrTime, end: &DateOrTime, recurrence: &Recurrence) -> Component {
    let mut event = Component::new("VEVENT").with(Property::new("UID", "bare"));
    event.properties.push(Property::with_date("DTSTART", start));
    event.properties.push(Property::with_date("DTEND", end));
    event.properties.extend(rule_properties(recurrence));
    new_calendar().with_component(event)
}

fn component(meeting: &Meeting, event: &Event, original: Option<&DateOrTime>) -> Component {
    let stamp: Utc = time::instant(&event.start, &Zone::utc());
    let mut component = Component::new("VEVENT")
        .with(Property::with_text("UID", &meeting.uid))
        .with(Property::new("DTSTAMP", stamp.to_string()));
    if let Some(original) = original {
        component = component.with(Property::with_date("RECURRENCE-ID", original));
    }
    component = component.with(Property::with_date("DTSTART", &event.start));
    component = component.with(Property::with_date("DTEND", &event.end));
    for (name, text) in [("SUMMARY", &event.title), ("DESCRIPTION", &event.description), ("LOCATION", &event.location)]
    {
        if !text.is_empty() {
            component = component.with(Property::with_text(name, text));
        }
    }
    component.properties.extend(states(event));
    component.properties.extend(event.organizer.as_ref().map(|person| who("ORGANIZER", person)));
    let mut attendees: Vec<&Attendee> = event.attendees.iter().filter(|one| !one.person.email.is_empty()).collect();
    attendees.sort_by_key(|one| one.person.email.to_lowercase());
    attendees.dedup_by_key(|one| one.person.email.to_lowercase());
    component.properties.extend(attendees.into_iter().map(attendee));
    component.properties.extend(links(event));
    let done = further::dress(&mut component, &event.further, &event.reminders);
    let missing = event.reminders.iter().filter(|minutes| !done.contains(minutes));
    component.components.extend(missing.map(|minutes| alarm(*minutes, &event.title)));
    component
}

fn states(event: &Event) -> Vec<Property> {
    let status = match event.status {
        Status::Confirmed => "CONFIRMED",
        Status::Tentative => "TENTATIVE",
        Status::Cancelled => "CANCELLED",
    };
    let transparency = match event.transparency {
        Transparency::Opaque => "OPAQUE",
        Transparency::Transparent => "TRANSPARENT",
    };
    let mut states = vec![Property::new("STATUS", status), Property::new("TRANSP", transparency)];
    match event.visibility {
        Visibility::Public => {}
        Visibility::Private => states.push(Property::new("CLASS", "PRIVATE")),
        Visibility::Confidential => states.push(Property::new("CLASS", "CONFIDENTIAL")),
    }
    states
}

fn who(name: &str, person: &Person) -> Property {
    let property = Property::new(name, format!("mailto:{}", person.email));
    match person.name.as_str() {
        "" => property,
        name => property.with_param("CN", name),
    }
}

fn attendee(attendee: &Attendee) -> Property {
    let mut property = who("ATTENDEE", &attendee.person);
    let (kind, role) = match attendee.kind {
        AttendeeKind::Required => (None, "REQ-PARTICIPANT"),
        AttendeeKind::Optional => (None, "OPT-PARTICIPANT"),
        AttendeeKind::Resource => (Some("RESOURCE"), "NON-PARTICIPANT"),
        AttendeeKind::Chair => (None, "CHAIR"),
    };
    if let Some(kind) = kind {
        property = property.with_param("CUTYPE", kind);
    }
    property.with_param("ROLE", role).with_param("PARTSTAT", attendee.response.partstat())
}

fn links(event: &Event) -> Vec<Property> {
    let conference = event.join_url.as_ref().map(|url| {
        let property = Property::new("CONFERENCE", url.as_str()).with_param("VALUE", "URI");
        let mut features = crate::ical::Param::new("FEATURE", "AUDIO");
        features.values.push("VIDEO".to_owned());
        Property { params: [property.params, vec![features]].concat(), ..property }
    });
    let url = event.url.as_ref().map(|url| Property::new("URL", url.as_str()));
    let labels: Vec<String> = event.categories.iter().map(|label| crate::ical::escape_text(label)).collect();
    let labels = (!labels.is_empty()).then(|| Property::new("CATEGORIES", labels.join(",")));
    let further = event.conferences.iter().filter(|one| Some(&one.uri) != event.join_url.as_ref()).map(way_to_join);
    let attached = event.attachments.iter().map(attached);
    let geo = event.geo.as_ref().map(|geo| Property::new("GEO", geo.as_str()));
    let priority = event.priority.map(|priority| Property::new("PRIORITY", priority.to_string()));
    let color = event.color.as_ref().map(|color| Property::new("COLOR", color.as_str()));
    let links = conference.into_iter().chain(further).chain(url).chain(labels);
    links.chain(attached).chain(geo).chain(priority).chain(color).collect()
}

fn way_to_join(conference: &Conference) -> Property {
    let mut property = Property::new("CONFERENCE", conference.uri.as_str()).with_param("VALUE", "URI");
    if let Some((first, others)) = conference.features.split_first() {
        let mut features = crate::ical::Param::new("FEATURE", first);
        features.values.extend(others.iter().map(|one| crate::ical::encode_param(one)));
        property.params.push(features);
    }
    match conference.label.as_str() {
        "" => property,
        label => property.with_param("LABEL", label),
    }
}

fn attached(attachment: &Attachment) -> Property {
    let mut property = Property::new("ATTACH", attachment.uri.as_str());
    for (name, value) in [("FMTTYPE", &attachment.kind), ("FILENAME", &attachment.name)] {
        if !value.is_empty() {
            property = property.with_param(name, value);
        }
    }
    property
}

/// A reminder, so many minutes before the start.
fn alarm(minutes: i64, title: &str) -> Component {
    let before = crate::ical::Duration::of_seconds(-minutes.clamp(0, 525_600) * 60);
    let text = if title.is_empty() { "Reminder" } else { title };
    Component::new("VALARM")
        .with(Property::new("ACTION", "DISPLAY"))
        .with(Property::new("TRIGGER", before.to_string()))
        .with(Property::with_text("DESCRIPTION", text))
}
