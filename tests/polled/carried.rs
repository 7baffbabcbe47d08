//! What an event says beside its times: all that people would miss comes along.

use kalends::ical::{CalendarObject, Component};
use kalends::merge::{Provider, to_ical};

use crate::fakes::{Api, Asked, Fake, Record, Reply};
use crate::puller::{Ended, Puller};

const EVENT: &str = "BEGIN:VEVENT
UID:full
DTSTAMP:20261101T000000Z
DTSTART:20261201T090000Z
DURATION:PT1H
SUMMARY:All of it
URL:https://example.com/page
GEO:48.85299;2.36885
PRIORITY:1
COLOR:Turquoise
CLASS:CONFIDENTIAL
TRANSP:TRANSPARENT
CATEGORIES:Work,Club
CATEGORIES:Odd\\, one
CONFERENCE;VALUE=URI;FEATURE=PHONE,MODERATOR;LABEL=\"Dial in, host\":tel:+1-412-555-0123,,,654321
CONFERENCE;VALUE=URI;FEATURE=VIDEO:https://video.example/join?x=1
ATTACH;FMTTYPE=application/pdf;FILENAME=plan.pdf:https://files.example/plan.pdf
ATTACH;VALUE=BINARY;ENCODING=BASE64:AAAA
ATTACH:CID:part3@example
ATTACH:data:text/plain,x
END:VEVENT
";

#[derive(Debug, Default)]
struct Told {
    record: Record,
    body: String,
}

impl Api for Told {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, _asked: &Asked) -> &'static str {
        "feed"
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        let etag = format!("\"{}\"", self.body.len());
        if asked.header("if-none-match") == Some(&etag) {
            return Reply::empty(304);
        }
        Reply { body: self.body.clone(), ..Reply::empty(200).header("etag", &etag) }
    }
}

fn told(event: &str) -> (Fake<Told>, Puller) {
    let body = format!("BEGIN:VCALENDAR\nVERSION:2.0\n{event}END:VCALENDAR\n");
    let fake = Fake::start(|_| Told { body, ..Told::default() });
    let mut puller = Puller::new(Provider::Ics, None, vec![format!("{}/x.ics", fake.url())]);
    assert!(matches!(puller.pull(), Ended::Done(_)));
    (fake, puller)
}

fn shown(puller: &Puller) -> Component {
    let text = to_ical(&puller.world.only());
    let object = CalendarObject::parse(text.as_bytes(), &kalends::base::Limits::default()).expect("an object");
    object.master().expect("an event").clone()
}

fn all(event: &Component, name: &str) -> Vec<String> {
    event.all(name).map(|property| property.value.clone()).collect()
}

#[test]
fn what_people_would_miss_comes_along() {
    let (fake, mut puller) = told(EVENT);
    let event = shown(&puller);
    for (name, values) in [
        ("URL", vec!["https://example.com/page"]),
        ("GEO", vec!["48.85299;2.36885"]),
        ("PRIORITY", vec!["1"]),
        ("COLOR", vec!["turquoise"]),
        ("CLASS", vec!["CONFIDENTIAL"]),
        ("TRANSP", vec!["TRANSPARENT"]),
        ("CATEGORIES", vec!["Work,Club,Odd\\, one"]),
        ("CONFERENCE", vec!["https://video.example/join?x=1", "tel:+1-412-555-0123,,,654321"]),
        ("ATTACH", vec!["https://files.example/plan.pdf"]),
    ] {
        assert_eq!(all(&event, name), values, "{name}");
    }
    let phone = event.all("CONFERENCE").nth(1).expect("the telephone");
    assert_eq!(
        phone.param("FEATURE").map(|param| param.values.clone()),
        Some(vec!["PHONE".into(), "MODERATOR".into()])
    );
    assert_eq!(phone.param_value("LABEL").as_deref(), Some("Dial in, host"));
    let plan = event.property("ATTACH").expect("the document");
    assert_eq!(plan.param_value("FMTTYPE").as_deref(), Some("application/pdf"));
    assert_eq!(plan.param_value("FILENAME").as_deref(), Some("plan.pdf"));
    // What the next version does not have is gone.
    let without: String = EVENT
        .lines()
        .filter(|line| {
            !["GEO", "PRIORITY", "COLOR", "ATTACH", "CONFERENCE;VALUE=URI;FEATURE=PHONE"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    fake.state().body = format!("BEGIN:VCALENDAR\nVERSION:2.0\n{without}END:VCALENDAR\n");
    puller.pull();
    let event = shown(&puller);
    for name in ["GEO", "PRIORITY", "COLOR", "ATTACH"] {
        assert_eq!(all(&event, name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(all(&event, "CONFERENCE").len(), 1);
}

#[test]
fn an_override_has_no_more_than_it_says() {
    let series = EVENT.replace("SUMMARY:All of it", "SUMMARY:All of it\nRRULE:FREQ=DAILY;COUNT=3\nLOCATION:Paris");
    let other = "BEGIN:VEVENT
UID:full
RECURRENCE-ID:20261202T090000Z
DTSTART:20261202T100000Z
DURATION:PT1H
SUMMARY:Elsewhere
LOCATION:London
CONFERENCE;VALUE=URI;FEATURE=VIDEO:https://video.example/join?x=2
END:VEVENT
";
    let (_fake, puller) = told(&format!("{series}{other}"));
    let text = to_ical(&puller.world.only());
    let object = CalendarObject::parse(text.as_bytes(), &kalends::base::Limits::default()).expect("an object");
    let of = |title: &str| {
        let mut events = object.calendar.components.iter();
        events.find(|one| one.text("SUMMARY").is_some_and(|text| text == title)).expect("the event")
    };
    let (series, other) = (of("All of it"), of("Elsewhere"));
    for name in ["URL", "GEO", "PRIORITY", "COLOR", "ATTACH", "CATEGORIES"] {
        assert_eq!(all(series, name).len(), 1, "{name}");
        assert_eq!(all(other, name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(all(other, "LOCATION"), ["London"]);
    assert_eq!(all(other, "CONFERENCE"), ["https://video.example/join?x=2"]);
}

#[test]
fn links_of_exchange_and_google_and_values_that_are_none() {
    let event =
        |lines: &str| format!("BEGIN:VEVENT\nUID:a\nDTSTART:20261201T090000Z\nSUMMARY:A\n{lines}\nEND:VEVENT\n");
    let (_fake, puller) = told(&event(
        "X-MICROSOFT-SKYPETEAMSMEETINGURL:https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0\nGEO:north\nPRIORITY:0\nCOLOR:#ff0000",
    ));
    let shown_event = shown(&puller);
    assert!(all(&shown_event, "CONFERENCE")[0].starts_with("https://teams.microsoft.com/"));
    for name in ["GEO", "PRIORITY", "COLOR"] {
        assert_eq!(all(&shown_event, name), Vec::<String>::new(), "{name}");
    }
    let (_fake, puller) =
        told(&event("X-GOOGLE-CONFERENCE:https://meet.google.com/abc-defg-hij\nCONFERENCE;VALUE=URI:tel:+49-30-1"));
    assert_eq!(all(&shown(&puller), "CONFERENCE"), ["https://meet.google.com/abc-defg-hij", "tel:+49-30-1"]);
}

#[test]
fn a_feed_that_was_read_by_an_earlier_version_is_read_again() {
    let (_fake, mut puller) = told(EVENT);
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 0));
    let cursor = puller.cursor.take().expect("a cursor");
    puller.cursor = Some(cursor.replace("\"reading\":1", "\"reading\":0"));
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 1));
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 0));
}
