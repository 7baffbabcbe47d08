//! Properties of the whole module: nothing panics, nothing is lost between bytes, tree and jCal.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::Limits;

fn limits() -> Limits {
    Limits::default()
}

fn name() -> impl Strategy<Value = String> {
    // BEGIN and END are not names of properties.
    "[A-Z][A-Za-z0-9-]{0,12}".prop_filter("a mark", |n| !["BEGIN", "END"].iter().any(|m| n.eq_ignore_ascii_case(m)))
}

fn param() -> impl Strategy<Value = Param> {
    (name(), vec("[^\\p{Cc}\u{FFFE}\u{FFFF}]{0,20}", 0..3))
        .prop_map(|(name, values)| Param { name, values: values.iter().map(|v| encode_param(v)).collect() })
}

fn property() -> impl Strategy<Value = Property> {
    let value = "([^\\p{Cc}\u{FFFE}\u{FFFF}]|\u{9}){0,200}";
    (name(), vec(param(), 0..4), value).prop_map(|(name, params, value)| Property { name, params, value, line: 0 })
}

fn component() -> impl Strategy<Value = Component> {
    let leaf = (name(), vec(property(), 0..6)).prop_map(|(name, properties)| Component {
        name,
        properties,
        components: Vec::new(),
        line: 0,
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        (name(), vec(property(), 0..3), vec(inner, 0..3)).prop_map(|(name, properties, components)| Component {
            name,
            properties,
            components,
            line: 0,
        })
    })
}

fn calendar() -> impl Strategy<Value = Component> {
    vec(component(), 0..3).prop_map(|components| Component { components, ..Component::new("VCALENDAR") })
}

/// Text that looks enough like a calendar to reach the deeper checks.
fn almost_calendar() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("BEGIN:VEVENT".to_owned()),
        Just("END:VEVENT".to_owned()),
        Just("BEGIN:VALARM".to_owned()),
        Just("END:VALARM".to_owned()),
        Just("UID:1".to_owned()),
        Just("DTSTART;TZID=\"(UTC-1:0) x\":20240110T090000".to_owned()),
        "(DTSTART|DTEND|DUE|DURATION|RDATE|EXDATE|RECURRENCE-ID|RRULE|FREEBUSY|GEO)(;[A-Z]{1,5}=[^\\p{Cc}]{0,9})?:.{0,20}",
        "RRULE:(FREQ|BYDAY|UNTIL|COUNT)=[A-Z0-9,+é-]{0,6};FREQ=(DAILY|WEEKLY)",
        "DTSTART(;VALUE=DATE)?:[0-9]{8}(T[0-9]{6}Z?)?",
        " .{0,10}",
    ];
    vec(line, 0..20).prop_map(|lines| format!("BEGIN:VCALENDAR\r\n{}\r\nEND:VCALENDAR\r\n", lines.join("\r\n")))
}

fn survives(bytes: &[u8]) {
    let _ = CalendarObject::parse(bytes, &limits());
    for calendar in parse_stream(bytes, &limits()).unwrap_or_default() {
        assert_eq!(parse(calendar.to_ics().as_bytes(), &limits()), Ok(calendar.clone()));
        // A broken value under an explicit VALUE becomes `unknown`, and loses that VALUE; after that it is stable.
        let round = |c: &Component| from_jcal(&to_jcal(c), &limits()).expect("our own jCal is read");
        let once = round(&calendar);
        assert_eq!(to_jcal(&round(&once)), to_jcal(&once));
        let _ = split(&calendar);
    }
}

proptest! {
    #[test]
    fn trees_survive_writing_and_reading(calendar in calendar()) {
        let text = calendar.to_ics();
        prop_assert!(text.split("\r\n").all(|line| line.len() <= 75));
        let read = parse(text.as_bytes(), &limits()).expect("what was written is read");
        prop_assert_eq!(read, calendar);
    }

    #[test]
    fn text_survives_building_writing_and_reading(text in any::<String>(), param in any::<String>()) {
        let clean = |c: char| c == '\t' || !(c < ' ' || c == '\x7f' || c == '\u{FFFE}' || c == '\u{FFFF}');
        let same = |c: char| if clean(c) || c == '\n' { c } else { ' ' };
        let unified = |s: &str| s.replace("\r\n", "\n").replace('\r', "\n").chars().map(same).collect::<String>();
        let built = new_calendar().with(Property::with_text("X-TEXT", &text).with_param("X-P", &param));
        let read = parse(built.to_ics().as_bytes(), &limits()).expect("what was built is read");
        let property = read.property("X-TEXT").expect("it is there");
        prop_assert_eq!(property.text(), unified(&text));
        prop_assert_eq!(property.param_value("X-P"), Some(unified(&param).into()));
    }

    #[test]
    fn raw_values_cannot_leave_their_line(other in "\\PC{1,8}", value in any::<String>()) {
        let mut built = new_calendar().with(Property::new("X-A", value.as_str()));
        built.properties.push(Property { params: vec![Param { name: "X".into(), values: vec![value] }], ..Property::new("X-B", other) });
        let read = parse(built.to_ics().as_bytes(), &limits()).expect("what was built is read");
        prop_assert_eq!((read.properties.len(), read.components.len()), (4, 0));
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..400)) {
        survives(&bytes);
        let _ = parse_jcal(&bytes, &limits());
    }

    #[test]
    fn no_characters_panic(text in "(BEGIN:|END:|VCALENDAR|VEVENT|\r\n|\n| |\"|;|:|,|=|\\\\|\\^|[A-Z]|é|\\PC){0,60}") {
        survives(text.as_bytes());
    }

    #[test]
    fn no_almost_calendar_panics(text in almost_calendar()) {
        survives(text.as_bytes());
    }
}
