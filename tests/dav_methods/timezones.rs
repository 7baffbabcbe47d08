//! Time zones by reference (RFC 7809), and jCal of whole calendars and in reports (RFC 7265).

use kalends::base::Limits;
use kalends::ical;

use super::*;

const T: (&str, &str) = ("caldav-timezones", "T");
const F: (&str, &str) = ("caldav-timezones", "F");
const JCAL: (&str, &str) = ("accept", "application/calendar+json");

/// A VTIMEZONE of one offset.
fn zone(tzid: &str, offset: &str) -> String {
    format!(
        "BEGIN:VTIMEZONE\r\nTZID:{tzid}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{offset}\r\n\
         TZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )
}

/// An event that starts in one zone and ends in another, with those VTIMEZONEs.
fn zoned(uid: &str, start: &str, end: &str, zones: &[String]) -> String {
    let own = event(uid, "20261201T090000Z", "x");
    let own = own.replace("DTSTART:20261201T090000Z", &format!("DTSTART;TZID={start}:20261201T090000"));
    let own = own.replace("DURATION:PT1H", &format!("DTEND;TZID=\"{end}\":20261202T200000"));
    own.replace("BEGIN:VEVENT", &format!("{}BEGIN:VEVENT", zones.concat()))
}

fn stored(name: &str) -> String {
    object(&format!("{name}.ics"))
}

/// The TZIDs that are defined in a stream, in order.
fn defined(text: &str) -> Vec<String> {
    let calendar = ical::parse(text.as_bytes(), &Limits::default()).expect("it is iCalendar");
    calendar.children("VTIMEZONE").map(|zone| zone.text("TZID").expect("a TZID").into_owned()).collect()
}

fn multiget(name: &str, data: &str) -> String {
    format!(
        r#"<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/>{data}</D:prop><D:href>{}</D:href></C:calendar-multiget>"#,
        stored(name)
    )
}

fn query(more: &str) -> String {
    format!(
        r#"<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter>{more}</C:calendar-query>"#
    )
}

const SYNC: &str = r#"<D:sync-collection xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:sync-token/><D:sync-level>1</D:sync-level><D:prop><D:getetag/><C:calendar-data/></D:prop></D:sync-collection>"#;

impl TestApp {
    async fn store(&self, name: &str, text: &str) -> String {
        let answer = self.alice("PUT", &stored(name), &[], text).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        answer.header("etag").expect("a new object has a tag").to_owned()
    }

    async fn read(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.alice("GET", path, headers, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    }
}

// clause 7809/3.1.1-a
#[tokio::test]
async fn options_tells_it() {
    let app = TestApp::with_users().await;
    for path in ["/dav/calendars/alice/", CALENDAR] {
        let answer = app.alice("OPTIONS", path, &[], "").await;
        let classes: Vec<_> = answer.header("dav").expect("DAV").split(", ").collect();
        assert!(classes.contains(&"calendar-no-timezone"), "{classes:?}");
    }
}

/// Each row: what is stored, and what is defined with T and with F. `US Eastern Standard Time` is known to us and is no IANA
/// name; `Customized` is known by its VTIMEZONE alone.
// clause 7809/3.1.3-a clause 7809/3.1.3-b clause 7809/3.1.3-c clause 7809/3.1.3-e
#[tokio::test]
async fn the_header_decides_which_zones_come() {
    let (berlin, custom) = (zone("Europe/Berlin", "+0100"), zone("Customized", "+0330"));
    let (named, alone) = ("Europe/Berlin", "Customized");
    let windows = "US Eastern Standard Time";
    type Row<'a> = (&'a str, &'a str, Vec<String>, &'a [&'a str], &'a [&'a str]);
    let table: [Row<'_>; 6] = [
        (named, "Asia/Tokyo", vec![], &[named, "Asia/Tokyo"], &[]),
        (named, "Asia/Tokyo", vec![berlin.clone()], &["Asia/Tokyo", named], &[]),
        (named, named, vec![berlin.clone()], &[named], &[]),
        (alone, named, vec![custom.clone(), berlin], &[alone, named], &[alone]),
        (windows, named, vec![], &[windows, named], &[windows]),
        (alone, alone, vec![custom], &[alone], &[alone]),
    ];
    for (row, (start, end, zones, with_t, with_f)) in table.into_iter().enumerate() {
        let app = TestApp::with_users().await;
        let text = zoned("one", start, end, &zones);
        let tag = app.store("a", &text).await;
        let plain = app.read(&stored("a"), &[]).await;
        assert_eq!((plain.text(), plain.header("etag")), (text.clone(), Some(tag.as_str())), "row {row}");
        assert_eq!(plain.header("vary"), Some("Accept, CalDAV-Timezones"));
        assert_eq!(app.read(&stored("a"), &[("caldav-timezones", "maybe")]).await.text(), text);
        for (header, wanted) in [(T, with_t), (F, with_f)] {
            let got = app.read(&stored("a"), &[header]).await;
            assert_eq!(defined(&got.text()), wanted, "row {row} {header:?}");
            // Other bytes never have the same strong tag, and the same bytes have no other.
            assert_eq!(got.text() == text, got.header("etag") == Some(&tag), "row {row} {header:?}");
            assert_eq!(defined(&app.read(CALENDAR, &[header]).await.text()), wanted, "row {row} {header:?}");
            let data = multiget("a", "<C:calendar-data/>");
            for body in [data.as_str(), &query(""), SYNC] {
                let answer = app.alice("REPORT", CALENDAR, &[header, ("depth", "1")], body).await;
                let (answered, all) = (answer.text(), answer.text().matches("BEGIN:VTIMEZONE").count());
                assert_eq!((answer.status, all), (207, wanted.len()), "row {row} {header:?}: {answered}");
                // What a listing tells is the tag of the state, for If-Match.
                assert!(answered.contains(tag.trim_matches('"')), "row {row}: {answered}");
            }
        }
    }
}

// clause 7809/3.1.3-d
#[tokio::test]
async fn the_tag_of_a_variant_names_the_state() {
    let app = TestApp::with_users().await;
    let text = zoned("one", "Europe/Berlin", "Europe/Berlin", &[]);
    let tag = app.store("a", &text).await;
    let variant = app.read(&stored("a"), &[T]).await.header("etag").expect("a tag").to_owned();
    let jcal = app.read(&stored("a"), &[T, JCAL]).await.header("etag").expect("a tag").to_owned();
    let plain = app.read(&stored("a"), &[JCAL]).await.header("etag").expect("a tag").to_owned();
    assert!(tag != variant && variant != jcal && jcal != plain && plain != tag);
    for (header, own, status) in [(T, &variant, 304), (F, &variant, 200), (T, &tag, 200), (F, &tag, 304)] {
        let answer = app.alice("GET", &stored("a"), &[header, ("if-none-match", own)], "").await;
        assert_eq!(answer.status, status, "{header:?} {own}");
    }
    let changed = text.replace("SUMMARY:x", "SUMMARY:y");
    assert_eq!(app.alice("PUT", &stored("a"), &[("if-match", &variant)], &changed).await.status, 204);
    assert_eq!(app.alice("PUT", &stored("a"), &[("if-match", &variant)], &text).await.status, 412);
    assert_eq!(app.alice("PUT", &stored("a"), &[("if-match", &jcal)], &text).await.status, 412);
}

/// Prefer: return=representation is an answer with calendar data too.
// clause 7809/3.1.3-e
#[tokio::test]
async fn a_put_gives_back_the_variant() {
    let app = TestApp::with_users().await;
    let text = zoned("one", "Europe/Berlin", "Europe/Berlin", &[]);
    let headers = [T, ("prefer", "return=representation")];
    let answer = app.alice("PUT", &stored("a"), &headers, &text).await;
    assert_eq!((answer.status, defined(&answer.text())), (201, vec!["Europe/Berlin".to_owned()]));
    let head = app.alice("HEAD", &stored("a"), &[T], "").await;
    assert_eq!(answer.header("etag"), head.header("etag"));
}

/// What is written for a TZID holds for the whole series: one from long ago, to this day.
// clause 7809/3.1.3-a
#[tokio::test]
async fn zones_that_are_written_fit_old_series() {
    let app = TestApp::with_users().await;
    let text = zoned("one", "Asia/Tehran", "Asia/Tehran", &[]).replace("202612", "199506");
    app.store("a", &text).await;
    let got = app.read(&stored("a"), &[T]).await.text();
    // Iran changed its clocks in 1995, not in 2007, last in 2022.
    assert!(got.contains("19950") && got.contains("2022"), "{got}");
    assert!(!got.contains("2007"), "{got}");
}

// clause 7809/3.1.4-a
#[tokio::test]
async fn a_zone_that_nobody_knows_is_refused() {
    let app = TestApp::with_users().await;
    for (uid, known) in
        ["Europe/Berlin", "W. Europe Standard Time", "/example.org/2026/Europe/Berlin"].iter().enumerate()
    {
        app.store(&uid.to_string(), &zoned(&uid.to_string(), known, known, &[])).await;
    }
    let refused = zoned("x", "Nowhere/At All", "Europe/Berlin", &[zone("Somewhere Else", "+0100")]);
    for method in ["PUT", "POST"] {
        let path = if method == "PUT" { stored("x") } else { CALENDAR.to_owned() };
        let answer = app.alice(method, &path, &[("content-type", "text/calendar")], &refused).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("<C:valid-timezone/>"), "{}", answer.text());
    }
    assert_eq!(app.status(&stored("x")).await, 404);
    // A TZID decides nothing at a time in UTC, at a day, or in somebody's own property.
    for (name, line) in [
        ("utc", "RDATE;TZID=Nowhere:20270101T000000Z"),
        ("day", "RDATE;TZID=Nowhere;VALUE=DATE:20270101"),
        ("own", "X-SEEN;TZID=Nowhere:20270101T000000"),
    ] {
        app.store(name, &event(name, "20261201T090000Z", "x").replace("SUMMARY:x", line)).await;
    }
}

/// RFC 7809 §3.1.4 gives a choice for definitions of zones that are not standard ones: they are kept.
// clause 7809/3.1.4-b
#[tokio::test]
async fn definitions_are_kept_as_they_came() {
    let app = TestApp::with_users().await;
    let text =
        zoned("one", "Customized", "Europe/Berlin", &[zone("Customized", "+0330"), zone("Europe/Berlin", "+0100")]);
    app.store("a", &text).await;
    assert_eq!(app.read(&stored("a"), &[]).await.text(), text);
}

// clause 7809/3.1.5-b
#[tokio::test]
async fn a_calendar_is_made_with_a_zone_by_name() {
    let app = TestApp::with_users().await;
    let make = |id: &str| {
        format!(
            r#"<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop><C:calendar-timezone-id>{id}</C:calendar-timezone-id></D:prop></D:set></C:mkcalendar>"#
        )
    };
    let path = "/dav/calendars/alice/work/";
    let refused = app.alice("MKCALENDAR", path, &[], &make("Mars/Olympus")).await;
    assert!(refused.status >= 400 && refused.text().contains("<C:valid-timezone/>"), "{}", refused.text());
    assert_eq!(app.status(path).await, 404);
    assert_eq!(app.alice("MKCALENDAR", path, &[], &make("America/New_York")).await.status, 201);
    let names = r#"<D:propfind xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-timezone/><C:calendar-timezone-id/></D:prop></D:propfind>"#;
    let found = app.alice("PROPFIND", path, &[("depth", "0"), F], names).await.text();
    assert!(found.contains(">America/New_York<") && found.contains("TZID:America/New_York"), "{found}");
}

// clause 7809/3.1.6-a clause 7809/6.1-a
#[tokio::test]
async fn a_query_names_its_zone() {
    let app = TestApp::with_users().await;
    app.store("a", &event("one", "20261201T090000", "x")).await;
    let ask = |id: &str| {
        let filter = r#"<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="20261130T230000Z" end="20261201T000000Z"/></C:comp-filter></C:comp-filter>"#;
        query(&format!("<C:timezone-id>{id}</C:timezone-id>")).replace(r#"<C:comp-filter name="VCALENDAR"/>"#, filter)
    };
    for (id, found) in [("Australia/Brisbane", 1), ("Europe/Berlin", 0)] {
        let answer = app.alice("REPORT", CALENDAR, &[("depth", "1")], &ask(id)).await;
        assert_eq!(answer.text().matches("BEGIN:VEVENT").count(), found, "{id}: {}", answer.text());
    }
    let answer = app.alice("REPORT", CALENDAR, &[("depth", "1")], &ask("Nowhere/None")).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("<C:valid-timezone/>"), "{}", answer.text());
}

// clause 7809/5.2-a
#[tokio::test]
async fn allprop_does_not_tell_the_zone() {
    let app = TestApp::with_users().await;
    let set = r#"<D:propertyupdate xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop><C:calendar-timezone-id>Europe/Berlin</C:calendar-timezone-id></D:prop></D:set></D:propertyupdate>"#;
    assert_eq!(app.alice("PROPPATCH", CALENDAR, &[], set).await.status, 207);
    let found = app.alice("PROPFIND", CALENDAR, &[("depth", "0")], "").await.text();
    assert!(!found.contains("Europe/Berlin") && found.contains("resourcetype"), "{found}");
}

// clause 7265/3-b
#[tokio::test]
async fn a_calendar_is_one_jcal_too() {
    let app = TestApp::with_users().await;
    let empty: serde_json::Value = serde_json::from_str(&app.read(CALENDAR, &[JCAL]).await.text()).expect("JSON");
    assert_eq!((&empty[0], empty[2].as_array().map(Vec::len)), (&"vcalendar".into(), Some(0)));
    for n in 0..200 {
        app.store(&n.to_string(), &zoned(&n.to_string(), "Europe/Berlin", "Asia/Tokyo", &[])).await;
    }
    let answer = app.read(CALENDAR, &[JCAL, T]).await;
    assert_eq!(answer.header("content-type"), Some("application/calendar+json"));
    let calendar = ical::parse_jcal(answer.text().as_bytes(), &Limits::default()).expect("jCal");
    assert_eq!((calendar.children("VEVENT").count(), calendar.children("VTIMEZONE").count()), (200, 2));
    let plain = app.read(CALENDAR, &[T]).await;
    let plain = ical::parse(plain.text().as_bytes(), &Limits::default()).expect("iCalendar");
    assert!(ical::to_jcal(&plain) == ical::to_jcal(&calendar), "both forms say the same");
    let mut seen = vec![answer.header("etag").map(str::to_owned)];
    for header in [JCAL, T, F] {
        let head = app.alice("HEAD", CALENDAR, &[header], "").await;
        let tag = head.header("etag").map(str::to_owned);
        assert!(tag.is_some() && !seen.contains(&tag), "{seen:?} {tag:?}");
        seen.push(tag);
    }
}

// clause 7265/7-a
#[tokio::test]
async fn a_report_gives_jcal() {
    let app = TestApp::with_users().await;
    app.store("a", &zoned("one", "Europe/Berlin", "Europe/Berlin", &[])).await;
    for (data, zones) in [("", 1), (r#"<C:expand start="20261201T000000Z" end="20261203T000000Z"/>"#, 0)] {
        let data = format!(r#"<C:calendar-data content-type="application/calendar+json">{data}</C:calendar-data>"#);
        let answer = app.alice("REPORT", CALENDAR, &[T], &multiget("a", &data)).await;
        let text = answer.text();
        assert!(text.contains(r#"content-type="application/calendar+json""#), "{text}");
        assert_eq!((text.matches("vevent").count(), text.matches("vtimezone").count()), (1, zones), "{text}");
    }
    let other = multiget("a", r#"<C:calendar-data content-type="application/calendar+xml"/>"#);
    let answer = app.alice("REPORT", CALENDAR, &[], &other).await;
    assert!(answer.status == 403 && answer.text().contains("supported-calendar-data"), "{}", answer.text());
}
