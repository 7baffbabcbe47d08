//! What an event says that no field of [`super::Content`] has: where it comes as a whole iCalendar object (feeds, upstream CalDAV
//! servers), it comes along as it is: COMMENT, CONTACT, RESOURCES, RELATED-TO, REQUEST-STATUS, other IANA and X- properties, the
//! parameters of those that are modelled, alarms and other components inside it.
//!
//! Left out is what is computed here or would contradict it, what belongs to another server's scheduling, and what does more than tell:
//! contents inside the event, HTML beside the text, alarms that run programs or send mail to others.

use std::collections::{BTreeMap, BTreeSet};

use super::known_time;
use crate::base::Limits;
use crate::ical::{Component, Property, parse_stream};
use crate::zone::Zones;

/// Properties that are computed here, or say how the object came to be.
const COMPUTED: &[&str] = &[
    "UID",
    "DTSTAMP",
    "CREATED",
    "LAST-MODIFIED",
    "SEQUENCE",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "COMPLETED",
    "FREEBUSY",
    "RECURRENCE-ID",
    "RRULE",
    "EXRULE",
    "RDATE",
    "EXDATE",
    "METHOD",
    "CATEGORIES",
    // STATUS, TRANSP and the times, said once more: an edit made here would leave them wrong.
    "X-MICROSOFT-CDO-BUSYSTATUS",
    "X-MICROSOFT-CDO-INTENDEDSTATUS",
    "X-MICROSOFT-CDO-ALLDAYEVENT",
    "X-MICROSOFT-CDO-INSTTYPE",
    // The link to join once more: it may be another copy's by now.
    "X-GOOGLE-CONFERENCE",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
    "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK",
    // The text once more, as HTML.
    "X-ALT-DESC",
    "STYLED-DESCRIPTION",
];

/// Properties that are modelled: only their parameters come along, for as long as the value is theirs.
const MODELLED: &[&str] = &[
    "SUMMARY",
    "DESCRIPTION",
    "LOCATION",
    "STATUS",
    "TRANSP",
    "CLASS",
    "ORGANIZER",
    "ATTENDEE",
    "CONFERENCE",
    "URL",
    "ATTACH",
    "GEO",
    "PRIORITY",
    "COLOR",
];

/// Parameters that belong to another server's scheduling (RFC 6638 §7).
const SCHEDULING: &[&str] = &["SCHEDULE-AGENT", "SCHEDULE-STATUS", "SCHEDULE-FORCE-SEND"];

/// Parameters that are modelled too, or say how to read the value.
const DECIDED: &[&str] = &["CN", "PARTSTAT", "FILENAME", "FMTTYPE", "LABEL", "FEATURE", "VALUE"];

/// Most parameters of one line that come along.
const PARAMS_MAX: usize = 32;

/// Properties of Apple's that say the place once more.
const PLACES: &[&str] = &["X-APPLE-STRUCTURED-LOCATION"];

/// Components that never stand inside an event.
const OUTSIDE: &[&str] =
    &["VCALENDAR", "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY", "AVAILABLE"];

/// What `event` says further, as the lines of a VEVENT in a fixed order; `None` if nothing. Times are read with the zones of its stream.
/// Alarms that send mail come along if they send it to nobody but `addresses`. What is more than `bytes_max` is left out.
pub fn further(event: &Component, zones: &Zones, addresses: &[String], bytes_max: u64) -> Option<String> {
    let mut properties: Vec<(bool, String)> = Vec::new();
    for property in event.properties.iter().filter_map(|property| carried(property, zones)) {
        let mut line = String::new();
        property.write_ics(&mut line);
        properties.push((is_one_of(&property, MODELLED), line));
    }
    properties.sort();
    properties.dedup();
    let inside = event.components.iter().filter_map(|inner| component(inner, zones, addresses));
    let mut inside: Vec<String> = inside.map(|inner| inner.to_ics()).collect();
    inside.sort();
    inside.dedup();
    let mut left = bytes_max;
    let (own, dressing): (Vec<_>, Vec<_>) = properties.into_iter().partition(|(is_modelled, _)| !is_modelled);
    // What nothing else here says comes before parameters of what is said anyway.
    let mut fitting = |text: &String| {
        let rest = left.checked_sub(text.len() as u64);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    let own: String = own.into_iter().map(|(_, line)| line).filter(&mut fitting).collect();
    let inside: String = inside.into_iter().filter(&mut fitting).collect();
    let dressing: String = dressing.into_iter().map(|(_, line)| line).filter(&mut fitting).collect();
    let all = [own, dressing, inside].concat();
    (!all.is_empty()).then_some(all)
}

/// What `text`, which [`further`] made, says, as a component.
fn read(text: &str) -> Component {
    if text.is_empty() {
        return Component::default();
    }
    let whole = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{text}END:VEVENT\r\nEND:VCALENDAR\r\n");
    let calendar = parse_stream(whole.as_bytes(), &Limits::default()).unwrap_or_default().pop();
    calendar.and_then(|mut calendar| calendar.components.pop()).unwrap_or_default()
}

fn written(further: &Component) -> String {
    let mut text = String::new();
    further.properties.iter().for_each(|property| property.write_ics(&mut text));
    further.components.iter().for_each(|inner| inner.write_ics(&mut text));
    text
}

fn is_one_of(property: &Property, names: &[&str]) -> bool {
    names.iter().any(|name| property.is(name))
}

/// `property` as it comes along; `None` if it does not.
fn carried(property: &Property, zones: &Zones) -> Option<Property> {
    let is_ours = property.name.get(..10).is_some_and(|name| name.eq_ignore_ascii_case("X-KALENDS-"));
    if is_ours || is_one_of(property, COMPUTED) {
        return None;
    }
    let mut property = plain(property, zones)?;
    if is_one_of(&property, MODELLED) {
        for decided in ["CN", "PARTSTAT"] {
            property.remove_param(decided);
        }
        property.params.truncate(PARAMS_MAX);
        return (!property.params.is_empty()).then_some(property);
    }
    Some(property)
}

/// `property` without what is another server's, its time in a zone that means the same without the stream; `None` if its content is one
/// that does more than tell.
fn plain(property: &Property, zones: &Zones) -> Option<Property> {
    let mut property = property.clone();
    let is_inside = property.value_is("BINARY") || property.param_is("ENCODING", "BASE64");
    if is_inside || is_active(&property.value) && (property.value_is("URI") || !is_text(&property)) {
        return None;
    }
    for name in SCHEDULING {
        property.remove_param(name);
    }
    if property.param_value("ALTREP").is_some_and(|text| is_active(&text)) {
        property.remove_param("ALTREP");
    }
    if property.tzid().is_some() {
        let known = Property::with_date(&property.name, &known_time(&property.date().ok()?, zones));
        property.remove_param("TZID");
        property.remove_param("VALUE");
        property.params.extend(known.params);
        property.value = known.value;
    }
    Some(property)
}

/// Whether its value is a text, which may begin with any word.
fn is_text(property: &Property) -> bool {
    const TEXTS: &[&str] =
        &["SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "CONTACT", "RESOURCES", "RELATED-TO", "REQUEST-STATUS"];
    is_one_of(property, TEXTS)
}

/// Whether a URI is one whose content is in it, or that runs or opens something on the reader's machine.
pub(super) fn is_active(uri: &str) -> bool {
    let scheme = uri.trim().split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| ["data", "cid", "file", "javascript", "vbscript"].contains(&scheme.as_str()))
}

/// A component inside of an event as it comes along; `None` if it does not.
fn component(inner: &Component, zones: &Zones, addresses: &[String]) -> Option<Component> {
    if OUTSIDE.iter().any(|name| inner.is(name)) {
        return None;
    }
    let mut found = Component::new(&inner.name);
    found.properties = inner.properties.iter().filter_map(|property| plain(property, zones)).collect();
    found.components = inner.components.iter().filter_map(|deeper| component(deeper, zones, addresses)).collect();
    match inner.is("VALARM") {
        true => alarm(found, zones, addresses),
        false => Some(found),
    }
}

fn alarm(mut alarm: Component, zones: &Zones, addresses: &[String]) -> Option<Component> {
    let is_mine = |one: &Property| {
        let address = one.value.trim();
        let address = address.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).and(address.get(7..));
        address.is_some_and(|address| addresses.iter().any(|mine| mine.eq_ignore_ascii_case(address)))
    };
    let is_foreign_mail = alarm.value_is("ACTION", "EMAIL")
        && (alarm.property("ATTENDEE").is_none() || !alarm.all("ATTENDEE").all(is_mine));
    let is_one = |name: &str| alarm.all(name).count() == 1;
    if is_foreign_mail || alarm.value_is("ACTION", "PROCEDURE") || !is_one("ACTION") || !is_one("TRIGGER") {
        return None;
    }
    if alarm.value_is("ACTION", "DISPLAY") && alarm.property("DESCRIPTION").is_none() {
        alarm.properties.push(Property::new("DESCRIPTION", "Reminder"));
    }
    let trigger = alarm.property_mut("TRIGGER")?;
    if trigger.duration().is_ok() {
        trigger.remove_param("VALUE");
    } else {
        // At a fixed time, which is one in UTC (RFC 5545 §3.8.6.3).
        let at = zones.to_utc(&trigger.date().ok()?);
        trigger.value = at.to_string();
        trigger.remove_param("TZID");
        trigger.remove_param("RELATED");
        trigger.set_param("VALUE", "DATE-TIME");
    }
    Some(alarm)
}

/// The minutes before the start at which `alarm` reminds, if it is one that [`super::Event::reminders`] knows of.
pub(super) fn minutes(alarm: &Component) -> Option<i64> {
    let trigger = alarm.property("TRIGGER")?;
    if trigger.param_is("RELATED", "END") {
        return None;
    }
    let length = trigger.duration().ok()?;
    let minutes = -(length.days.saturating_mul(1440).saturating_add(length.seconds / 60));
    (0..=525_600).contains(&minutes).then_some(minutes)
}

/// Without the lines that would say another place than LOCATION does.
pub(super) fn without_place(further: &str) -> String {
    without(further, |property| is_one_of(property, PLACES))
}

/// Without the parameters of people: they are those of another list.
pub(super) fn without_people(further: &str) -> String {
    without(further, |property| property.is("ATTENDEE"))
}

/// Without alarms: they are those of another list.
pub(super) fn without_alarms(further: &str) -> String {
    without_inside(further, |inner| inner.is("VALARM"))
}

/// Without the alarms at fixed times: they were meant for another start.
pub(super) fn without_fixed_alarms(further: &str) -> String {
    let is_fixed = |inner: &Component| inner.property("TRIGGER").is_some_and(|trigger| trigger.duration().is_err());
    without_inside(further, |inner| inner.is("VALARM") && is_fixed(inner))
}

fn without_inside(further: &str, is_out: impl Fn(&Component) -> bool) -> String {
    let mut component = read(further);
    if !component.components.iter().any(&is_out) {
        return further.to_owned();
    }
    component.components.retain(|inner| !is_out(inner));
    written(&component)
}

fn without(further: &str, is_out: impl Fn(&Property) -> bool) -> String {
    let mut component = read(further);
    if !component.properties.iter().any(&is_out) {
        return further.to_owned();
    }
    component.properties.retain(|property| !is_out(property));
    written(&component)
}

/// What tells properties of one event apart: name, value, and of what may be there more than once with one value, what else is modelled.
type Key = (String, String, String);

fn key(property: &Property) -> Key {
    /// Their values mean the same in capitals.
    const CASELESS: &[&str] = &["ORGANIZER", "ATTENDEE", "STATUS", "TRANSP", "CLASS", "COLOR"];
    let text = property.text();
    let value = if is_one_of(property, CASELESS) { text.trim().to_lowercase() } else { text.trim().to_owned() };
    let words: &[&str] = match () {
        () if property.is("ATTACH") => &["FMTTYPE", "FILENAME"],
        () if property.is("CONFERENCE") => &["LABEL", "FEATURE"],
        () => &[],
    };
    let mut kind = String::new();
    for word in words.iter().map(|name| property.param(name)) {
        for one in word.iter().flat_map(|param| param.decoded()) {
            kind.push_str(&one);
            kind.push(',');
        }
        kind.push(';');
    }
    (property.name.to_ascii_uppercase(), value, kind)
}

/// Gives `own` the parameters of `carried`; those that are modelled stay as they are, unless `is_link`: of the link to join no
/// features are known.
fn dress_one(own: &mut Property, carried: &Property, is_link: bool) {
    for param in carried.params.iter().take(PARAMS_MAX) {
        let is_decided = DECIDED.iter().any(|name| param.is(name)) && !(is_link && param.is("FEATURE"));
        match own.params.iter_mut().find(|known| known.is(&param.name)) {
            Some(_) if is_decided => {}
            Some(known) => known.clone_from(param),
            None => own.params.push(param.clone()),
        }
    }
}

/// Adds to `component`, which is otherwise done, what `further` says: parameters to the property that has the same value (one line
/// dresses one property), the other properties, the components. Of alarms before the start those that stand for one of `reminders`;
/// which of those are done is the answer.
pub(super) fn dress(component: &mut Component, further: &str, reminders: &[i64]) -> BTreeSet<i64> {
    let mut done = BTreeSet::new();
    let further = read(further);
    let mut bare: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    if further.properties.iter().any(|property| is_one_of(property, MODELLED)) {
        // The last one first, to be taken from the end.
        for (at, own) in component.properties.iter().enumerate().rev().filter(|(_, own)| is_one_of(own, MODELLED)) {
            bare.entry(key(own)).or_default().push(at);
        }
    }
    for property in further.properties {
        if is_one_of(&property, COMPUTED) {
            continue;
        }
        if !is_one_of(&property, MODELLED) {
            component.properties.push(property);
            continue;
        }
        let mut key = key(&property);
        let mut at = bare.get_mut(&key).and_then(Vec::pop);
        let is_link = at.is_none() && property.is("CONFERENCE");
        if is_link {
            ";AUDIO,VIDEO,;".clone_into(&mut key.2);
            at = bare.get_mut(&key).and_then(Vec::pop);
        }
        if let Some(own) = at.and_then(|at| component.properties.get_mut(at)) {
            dress_one(own, &property, is_link);
        }
    }
    for inner in further.components {
        match minutes(&inner).filter(|_| inner.is("VALARM")) {
            Some(minutes) if !reminders.contains(&minutes) => continue,
            // Mail goes to the person only; what other actions do nobody knows.
            Some(minutes) if ["DISPLAY", "AUDIO", "EMAIL"].iter().any(|action| inner.value_is("ACTION", action)) => {
                done.insert(minutes);
            }
            _ => {}
        }
        component.components.push(inner);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Zone;

    fn said(lines: &str, bytes_max: u64) -> Option<String> {
        let text = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n");
        let calendar = crate::ical::parse(text.as_bytes(), &Limits::default()).expect(lines);
        let zones = Zones::of(&calendar, &Zone::utc());
        further(&calendar.components[0], &zones, &["me@x.example".to_owned()], bytes_max)
    }

    #[test]
    fn what_does_more_than_tell_stays_away() {
        for lines in [
            "UID:a\r\nDTSTART:20261201T090000Z\r\nSEQUENCE:3\r\nCREATED:20261101T000000Z\r\nX-Kalends-Started:x\r\n",
            "X-ALT-DESC;FMTTYPE=text/html:<b>x</b>\r\nSTYLED-DESCRIPTION;VALUE=TEXT:x\r\n",
            "IMAGE;VALUE=BINARY;ENCODING=BASE64:AAAA\r\nIMAGE;VALUE=URI:data:image/png,x\r\nX-A:javascript:alert(1)\r\n",
            "DESCRIPTION;ALTREP=\"data:text/html,x\":x\r\nATTENDEE;SCHEDULE-STATUS=2.0;PARTSTAT=ACCEPTED:mailto:a@x\r\n",
            "BEGIN:VALARM\r\nACTION:PROCEDURE\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n",
            "BEGIN:VALARM\r\nACTION:EMAIL\r\nATTENDEE:mailto:you@x.example\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n",
            "BEGIN:VALARM\r\nACTION:EMAIL\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nBEGIN:AVAILABLE\r\nEND:AVAILABLE\r\n",
        ] {
            assert_eq!(said(lines, 1_000), None, "{lines}");
        }
    }

    #[test]
    fn it_is_the_same_in_any_order_and_bounded() {
        let one = said("X-B:2\r\nCOMMENT:data: first\r\nX-A:1\r\nX-A:1\r\n", 1_000).expect("lines");
        assert_eq!(one, "COMMENT:data: first\r\nX-A:1\r\nX-B:2\r\n");
        assert_eq!(said("COMMENT:data: first\r\nX-A:1\r\nX-B:2\r\n", 1_000), Some(one));
        let long = format!("X-B:2\r\nX-A:{}\r\n", "x".repeat(100));
        assert_eq!(said(&long, 50).as_deref(), Some("X-B:2\r\n"));
    }

    #[test]
    fn times_mean_the_same_without_their_stream() {
        let text = said(
            "X-A;TZID=Europe/Berlin:20261201T100000\r\nX-B;TZID=Europe/Berlin:soon\r\n\
             BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER;TZID=Europe/Berlin:20261201T100000\r\nEND:VALARM\r\n",
            1_000,
        );
        let text = text.expect("lines");
        assert!(text.contains("X-A;TZID=Europe/Berlin:20261201T100000\r\n") && !text.contains("X-B"), "{text}");
        assert!(text.contains("TRIGGER;VALUE=DATE-TIME:20261201T090000Z\r\n"), "{text}");
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let text = said("X-A;P=\"a,b\":1\r\nBEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:PT5M\r\nEND:VALARM\r\n", 1_000)
            .expect("lines");
        assert_eq!(written(&read(&text)), text);
        assert_eq!(without_place(&text), text);
        assert_eq!(without_place("X-A:1\r\nX-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:1,2\r\n"), "X-A:1\r\n");
    }

    fn dressed(own: &[Property], further: &str, reminders: &[i64]) -> String {
        let mut event = Component { properties: own.to_vec(), ..Component::new("VEVENT") };
        dress(&mut event, further, reminders);
        event.to_ics()
    }

    #[test]
    fn a_line_dresses_one_property_and_leaves_what_is_modelled() {
        let attached = |uri: &str, name: &str| Property::new("ATTACH", uri).with_param("FILENAME", name);
        let own = [attached("x:Y", "a.pdf"), attached("x:Y", "b.pdf"), attached("x:y", "a.pdf")];
        let lines = "ATTACH;FILENAME=a.pdf;SIZE=1:x:Y\r\nATTACH;FILENAME=b.pdf;SIZE=2:x:Y\r\n";
        let text = dressed(&own, lines, &[]);
        for line in
            ["ATTACH;FILENAME=a.pdf;SIZE=1:x:Y", "ATTACH;FILENAME=b.pdf;SIZE=2:x:Y", "ATTACH;FILENAME=a.pdf:x:y"]
        {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        let link = Property::new("CONFERENCE", "https://a/").with_param("VALUE", "URI");
        let text = dressed(&[link], "CONFERENCE;VALUE=TEXT;FEATURE=VIDEO:https://A/\r\nX-GOOGLE-CONFERENCE:x\r\n", &[]);
        assert!(text.contains("CONFERENCE;VALUE=URI:https://a/\r\n") && !text.contains("GOOGLE"), "{text}");
    }

    #[test]
    fn a_flood_of_attachments_and_parameters_is_bounded() {
        let own: Vec<Property> =
            (0..20_000).map(|at| Property::new("ATTACH", "x:y").with_param("FILENAME", &at.to_string())).collect();
        let params: String = (0..500).map(|at| format!(";X-{at}=1")).collect();
        let further = said(&format!("ATTACH;FILENAME=7{params}:x:y\r\n"), 65_536).expect("a line");
        let text = dressed(&own, &further, &[]);
        assert_eq!(text.replace("\r\n ", "").matches(";X-").count(), PARAMS_MAX - 1);
    }

    #[test]
    fn alarms_that_come_along_are_valid() {
        let alarm = |lines: &str| said(&format!("BEGIN:VALARM\r\n{lines}END:VALARM\r\n"), 1_000);
        for lines in [
            "TRIGGER:-PT5M\r\n",
            "ACTION:AUDIO\r\n",
            "ACTION:AUDIO\r\nACTION:EMAIL\r\nATTENDEE:mailto:you@x.example\r\nTRIGGER:-PT5M\r\n",
            "ACTION:AUDIO\r\nTRIGGER:-PT5M\r\nTRIGGER:-PT9M\r\n",
        ] {
            assert_eq!(alarm(lines), None, "{lines}");
        }
        let text = alarm("ACTION:DISPLAY\r\nTRIGGER;VALUE=DATE-TIME:-PT5M\r\n").expect("an alarm");
        assert!(text.contains("TRIGGER:-PT5M\r\n") && text.contains("DESCRIPTION:Reminder\r\n"), "{text}");
        assert!(dressed(&[], &text, &[5]).contains("-PT5M") && !dressed(&[], &text, &[]).contains("VALARM"));
        let fixed = alarm("ACTION:AUDIO\r\nTRIGGER;RELATED=START:20261201T090000Z\r\n").expect("an alarm");
        assert!(fixed.contains("TRIGGER;VALUE=DATE-TIME:20261201T090000Z\r\n"), "{fixed}");
        assert_eq!((without_fixed_alarms(&fixed), without_alarms(&text)), (String::new(), String::new()));
        assert_eq!(without_fixed_alarms(&text), text);
    }
}
