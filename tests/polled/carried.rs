//! What an event says beside its times: all that people would miss comes along.

use kalends::ical::{CalendarObject, Component};
use kalends::merge::{Provider, Version, edits, to_ical};
use kalends::server::Options;

use crate::puller::{Ended, Puller};
use crate::sockets::{TestServer, request};
use crate::told::{calendar, told};

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
    fake.state().body = calendar(&without);
    puller.pull();
    let event = shown(&puller);
    for name in ["GEO", "PRIORITY", "COLOR", "ATTACH"] {
        assert_eq!(all(&event, name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(all(&event, "CONFERENCE").len(), 1);
}

/// The event with this title in the only object there is.
fn titled(puller: &Puller, title: &str) -> Component {
    let text = to_ical(&puller.world.only());
    let object = CalendarObject::parse(text.as_bytes(), &kalends::base::Limits::default()).expect("an object");
    let mut events = object.calendar.components.into_iter();
    events.find(|one| one.text("SUMMARY").is_some_and(|text| text == title)).expect("the event")
}

#[test]
fn an_override_without_a_link_has_none() {
    let other =
        "BEGIN:VEVENT\nUID:full\nRECURRENCE-ID:20261202T090000Z\nDTSTART:20261202T100000Z\nSUMMARY:In the garden\n";
    for (link, shown) in [
        ("", None),
        ("CONFERENCE;VALUE=URI:https://video.example/join?x=2\n", Some("https://video.example/join?x=2")),
        ("DESCRIPTION:https://meet.google.com/abc-defg-hij\n", Some("https://meet.google.com/abc-defg-hij")),
    ] {
        for more in ["", "LOCATION:https://us06web.zoom.us/j/84512345678\n"] {
            let series = EVENT.replace("DURATION", &format!("{more}RRULE:FREQ=DAILY;COUNT=3\nDURATION"));
            let (_fake, puller) = told(&format!("{series}{other}{link}END:VEVENT\n"));
            assert_eq!(all(&titled(&puller, "All of it"), "CONFERENCE").len(), 2);
            let found = all(&titled(&puller, "In the garden"), "CONFERENCE");
            assert_eq!(found, shown.into_iter().collect::<Vec<_>>(), "{link}{more}");
        }
    }
}

/// What no field has, as a server and a feed may say it.
const FURTHER: &str = "BEGIN:VEVENT
UID:further
DTSTAMP:20261101T000000Z
DTSTART:20261201T090000Z
DURATION:PT1H
SUMMARY;LANGUAGE=de:Fest
LOCATION;ALTREP=\"https://places.example/1\":Halle
ORGANIZER;CN=Jo;SENT-BY=\"mailto:office@x.example\":mailto:jo@x.example
ATTENDEE;CUTYPE=GROUP;RSVP=TRUE;DELEGATED-FROM=\"mailto:b@x.example\";SCHEDULE-STATUS=1.2:mailto:all@x.example
COMMENT;X-TAG=1:Bring cake\\, please
CONTACT:Jo\\, tel. 1
RESOURCES:Beamer,Stove
RELATED-TO;RELTYPE=PARENT:parent@x.example
REQUEST-STATUS:2.0;Success
X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=70;X-TITLE=Halle:geo:52.5,13.4
X-ANYTHING;VALUE=INTEGER:7
SOME-IANA-THING:x
X-ALT-DESC;FMTTYPE=text/html:<b>x</b>
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER;VALUE=DATE-TIME:20261130T170000Z
DESCRIPTION:Bake
UID:alarm-1
END:VALARM
BEGIN:VALARM
ACTION:EMAIL
TRIGGER:-PT1H
SUMMARY:Soon
DESCRIPTION:Go
ATTENDEE:mailto:Mara@northwind.example
END:VALARM
BEGIN:VALARM
ACTION:AUDIO
TRIGGER;RELATED=END:PT0S
ATTACH;VALUE=URI:Basso
END:VALARM
BEGIN:VALARM
ACTION:EMAIL
TRIGGER:-PT30M
SUMMARY:Soon
DESCRIPTION:Go
ATTENDEE:mailto:stranger@x.example
END:VALARM
END:VEVENT
";

/// Each line that is expected of what `FURTHER` says, unfolded.
fn further_is_all_there(text: &str) {
    let text = text.replace("\r\n ", "");
    for line in FURTHER.lines().skip_while(|line| !line.starts_with("COMMENT")) {
        let is_left_out = line.starts_with("X-ALT-DESC") || line.contains("stranger@x.example");
        assert_eq!(text.lines().any(|one| one == line), !is_left_out, "{line}\n{text}");
    }
    for line in [
        "SUMMARY;LANGUAGE=de:Fest",
        "LOCATION;ALTREP=\"https://places.example/1\":Halle",
        "ORGANIZER;CN=Jo;SENT-BY=\"mailto:office@x.example\":mailto:jo@x.example",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    let group = text.lines().find(|line| line.ends_with(":mailto:all@x.example")).expect("the group");
    assert!(group.contains(";RSVP=TRUE") && group.contains(";CUTYPE=GROUP") && !group.contains("SCHEDULE"), "{group}");
    let mails = text.lines().filter(|line| *line == "ACTION:EMAIL").count();
    let triggers: Vec<&str> = text.lines().filter(|line| line.starts_with("TRIGGER")).collect();
    assert_eq!((mails, triggers.len()), (1, 4), "none mails a stranger, none is there twice: {triggers:?}");
}

#[test]
fn what_no_field_has_comes_along_from_a_feed() {
    let (fake, mut puller) = told(FURTHER);
    further_is_all_there(&to_ical(&puller.world.only()));
    // What the source takes away is gone.
    let without: Vec<&str> =
        FURTHER.lines().filter(|line| !line.starts_with("X-") && !line.starts_with("COM")).collect();
    fake.state().body = calendar(&format!("{}\n", without.join("\n")));
    puller.pull();
    let text = to_ical(&puller.world.only());
    assert!(text.contains("CONTACT:") && !text.contains("COMMENT") && !text.contains("X-ANYTHING"), "{text}");
}

/// A client that puts what it got has changed nothing; one that moves the meeting elsewhere does not leave Apple's word for the old
/// place behind.
#[test]
fn edits_are_told_from_what_came_along() {
    let (_fake, mut puller) = told(FURTHER);
    let meeting = puller.world.only();
    let edits = |text: &str| {
        let object = CalendarObject::parse(text.as_bytes(), &kalends::base::Limits::default()).expect("an object");
        edits(&meeting, &meeting, &object, &puller.world.policy.addresses, Version::default()).expect("values")
    };
    let text = to_ical(&meeting);
    assert_eq!(edits(&text), []);
    let moved = edits(&text.replace(":Halle\r\n", ":Garten\r\n"));
    assert_eq!(moved.len(), 1);
    for edit in moved {
        puller.world.take(edit);
    }
    let text = to_ical(&puller.world.only());
    assert!(text.contains("LOCATION:Garten\r\n") && !text.contains("X-APPLE") && text.contains("X-ANYTHING"), "{text}");
}

#[test]
fn what_no_field_has_comes_along_from_an_upstream_server() {
    let server = TestServer::start(kalends::base::Limits::default(), Options::default());
    server.user("mara", "a long password");
    let put = request("PUT", "/dav/calendars/mara/default/a.ics").login("mara", "a long password");
    let text = calendar(&FURTHER.replace("BEGIN:VALARM", "BEGIN:VALARM\nX-SEEN:1")).replace('\n', "\r\n");
    let answer = put.header("Content-Type", "text/calendar").body(text.as_str()).send(server.address);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let base = format!("http://{}", server.address);
    let mut puller = Puller::new(Provider::Caldav, Some(base), Vec::new()).password("mara", "a long password");
    assert_eq!(puller.pull(), Ended::Done(None));
    further_is_all_there(&to_ical(&puller.world.only()));
}

#[test]
fn an_override_has_its_own_further_lines_and_no_others() {
    let series = FURTHER.replace("DURATION", "RRULE:FREQ=DAILY;COUNT=3\nDURATION");
    let other =
        "BEGIN:VEVENT\nUID:further\nRECURRENCE-ID:20261202T090000Z\nDTSTART:20261202T100000Z\nSUMMARY:Else\nX-OWN:1\n";
    let (_fake, puller) = told(&format!("{series}{other}END:VEVENT\n"));
    let found = titled(&puller, "Else");
    assert_eq!((all(&found, "X-OWN").len(), all(&found, "COMMENT").len(), found.components.len()), (1, 0, 0));
}

#[test]
fn a_floating_end_is_one_of_the_clock_of_its_start() {
    for (times, minutes) in [
        ("DTSTART;TZID=America/New_York:20261201T090000\nDTEND:20261201T100000", 60),
        ("DTSTART:20261201T090000Z\nDTEND:20261201T100000", 60),
        ("DTSTART:20261201T090000\nDTEND:20261201T100000", 60),
        ("DTSTART:20261201T090000\nDTEND;TZID=Europe/Berlin:20261201T113000", 150),
        ("DTSTART:20261201T090000\nDTEND;TZID=Europe/London:20261201T103000", 150),
        ("DTSTART:20261201T090000\nDTEND;TZID=Asia/Tokyo:20261201T100000", 0),
    ] {
        let floating = "X-WR-TIMEZONE:Europe/Berlin\n";
        let (_fake, puller) = told(&format!("{floating}BEGIN:VEVENT\nUID:a\n{times}\nSUMMARY:A\nEND:VEVENT\n"));
        let event = shown(&puller);
        let local = |name: &str| event.date(name).expect("a time").expect("there").local();
        assert_eq!((local("DTEND") - local("DTSTART")).num_minutes(), minutes, "{times}");
    }
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
    let (series, other) = (&titled(&puller, "All of it"), &titled(&puller, "Elsewhere"));
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
    puller.cursor = Some(cursor.replace("\"reading\":2", "\"reading\":1"));
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 1));
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 0));
}
