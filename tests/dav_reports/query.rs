use super::*;

const DATA: &str = "<C:calendar-data/>";

async fn names_in(app: &TestApp, start: &str, end: &str) -> Vec<String> {
    let body = query_body(&window_filter("VEVENT", start, end), "");
    let listing = Listing::of(&report(app, CALENDAR, &body).await);
    listing.names().into_iter().map(str::to_owned).collect()
}

/// RFC 4791 §9.9 and traps 24: occurrences count, overrides at their moved place, excluded ones not.
#[tokio::test]
async fn a_window_finds_occurrences() {
    let app = TestApp::with_users().await;
    put(&app, "once.ics", &event("once", "20261201T090000Z", "")).await;
    put(&app, "weekly.ics", &event("weekly", "20200106T090000Z", "RRULE:FREQ=WEEKLY\r\nEXDATE:20261207T090000Z\r\n"))
        .await;
    assert_eq!(names_in(&app, "20261201T000000Z", "20261202T000000Z").await, ["once.ics"]);
    assert_eq!(names_in(&app, "20261130T000000Z", "20261201T000000Z").await, ["weekly.ics"]);
    assert!(names_in(&app, "20261207T000000Z", "20261208T000000Z").await.is_empty(), "the excluded one is not found");
    assert_eq!(names_in(&app, "20261214T000000Z", "20261215T000000Z").await, ["weekly.ics"]);
    // The same again after changes: what was placed before must move.
    put(&app, "weekly.ics", &event("weekly", "20200107T090000Z", "RRULE:FREQ=WEEKLY\r\n")).await;
    assert!(names_in(&app, "20261214T000000Z", "20261215T000000Z").await.is_empty());
    assert_eq!(names_in(&app, "20261215T000000Z", "20261216T000000Z").await, ["weekly.ics"]);
    delete(&app, "weekly.ics").await;
    assert!(names_in(&app, "20261215T000000Z", "20261216T000000Z").await.is_empty());
}

/// RFC 4791 §7.8.3: expanded instances come one by one, in UTC, with their RECURRENCE-ID.
#[tokio::test]
async fn expansion_with_etag_and_property_filter() {
    let app = TestApp::with_users().await;
    put(&app, "daily.ics", &event("daily", "20261201T090000Z", "RRULE:FREQ=DAILY\r\n")).await;
    let filter = r#"<C:comp-filter name="VEVENT"><C:time-range start="20261205T000000Z" end="20261207T000000Z"/><C:prop-filter name="UID"><C:text-match>daily</C:text-match></C:prop-filter></C:comp-filter>"#;
    let data = r#"<C:calendar-data><C:expand start="20261205T000000Z" end="20261207T000000Z"/></C:calendar-data>"#;
    let listing = Listing::of(&report(&app, CALENDAR, &query_body(filter, data)).await);
    let text = listing.data("daily.ics");
    assert_eq!(text.matches("BEGIN:VEVENT").count(), 2, "{text}");
    assert!(
        text.contains("RECURRENCE-ID:20261205T090000Z") && text.contains("RECURRENCE-ID:20261206T090000Z"),
        "{text}"
    );
    assert!(!text.contains("RRULE"), "{text}");
}

/// traps 26 and RFC 4791 §9.6: without restrictions calendar-data is what was stored.
#[tokio::test]
async fn whole_data_is_what_was_stored() {
    let app = TestApp::with_users().await;
    let text = event("a", "20261201T090000Z", "X-ODD;X-P=\"a;b\":1,2\\n\r\n");
    put(&app, "a.ics", &text).await;
    let body = query_body(r#"<C:comp-filter name="VEVENT"/>"#, DATA);
    assert_eq!(Listing::of(&report(&app, CALENDAR, &body).await).data("a.ics"), text);
}

/// What goes through a large calendar as a whole leaves no more behind than a bound.
#[tokio::test]
async fn a_query_for_everything_keeps_little_of_it_parsed() {
    let app = TestApp::with_users().await;
    for n in 0..2_100 {
        put(&app, &format!("{n}.ics"), &event(&n.to_string(), "20261201T090000Z", "")).await;
    }
    let before = app.context.parsed.kept();
    let body = query_body(r#"<C:comp-filter name="VEVENT"/>"#, DATA);
    for _ in 0..2 {
        assert_eq!(Listing::of(&report(&app, CALENDAR, &body).await).names().len(), 2_100);
        let kept = app.context.parsed.kept();
        assert!(kept <= before + 2_000, "{kept} after {before}");
    }
}

/// traps 18: the zone of the query, else of the calendar, decides where a floating time falls.
#[tokio::test]
async fn floating_times_fall_by_the_zone() {
    let app = TestApp::with_users().await;
    put(&app, "day.ics", &event("day", "20261201T230000", "")).await;
    let filter = window_filter("VEVENT", "20261202T030000Z", "20261202T050000Z");
    let query =
        |zone: &str| query_body(&filter, "").replace("</C:calendar-query>", &format!("{zone}</C:calendar-query>"));
    assert!(Listing::of(&report(&app, CALENDAR, &query("")).await).names().is_empty());
    let zone = "<C:timezone-id>America/New_York</C:timezone-id>";
    assert_eq!(Listing::of(&report(&app, CALENDAR, &query(zone)).await).names(), ["day.ics"]);
    let answer = report(&app, CALENDAR, &query("<C:timezone-id>Mars/Olympus</C:timezone-id>")).await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "valid-timezone"));
}

/// RFC 4791 §7.8 preconditions, by name.
#[tokio::test]
async fn broken_filters_are_named() {
    let app = TestApp::with_users().await;
    let inner = |inner: &str| query_body(&format!(r#"<C:comp-filter name="VEVENT">{inner}</C:comp-filter>"#), "");
    let cases = [
        (inner(r#"<C:time-range/>"#), "valid-filter"),
        (inner(r#"<C:time-range start="20261201"/>"#), "valid-filter"),
        (inner(r#"<C:time-range start="20261202T000000Z" end="20261201T000000Z"/>"#), "valid-filter"),
        (inner(r#"<C:is-not-defined/><C:prop-filter name="UID"/>"#), "valid-filter"),
        (inner(r#"<C:prop-filter/>"#), "valid-filter"),
        (inner(r#"<C:x-filter xmlns:C="urn:x"/>"#), "supported-filter"),
        (
            inner(r#"<C:prop-filter name="UID"><C:text-match collation="i;klingon">a</C:text-match></C:prop-filter>"#),
            "supported-collation",
        ),
        (query_body("", "").replace("VCALENDAR", "VEVENT"), "valid-filter"),
    ];
    for (body, expected) in cases {
        let answer = report(&app, CALENDAR, &body).await;
        assert_eq!((answer.status, condition(&answer).as_str()), (403, expected), "{body}");
    }
}

/// traps 8 and clients 15: without a Depth, and with 0, a query on a calendar means its members.
#[tokio::test]
async fn every_depth_means_the_members() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    let body = query_body(r#"<C:comp-filter name="VEVENT"/>"#, "");
    for headers in [&[][..], &[("depth", "0")], &[("depth", "1")], &[("depth", "infinity")]] {
        let answer = app.send(Some("alice"), "REPORT", CALENDAR, headers, body.clone()).await;
        assert_eq!(Listing::of(&answer).names(), ["a.ics"]);
    }
    // On the home, Depth 1 reaches into the calendars; nothing found is an empty 207.
    assert_eq!(Listing::of(&report(&app, "/dav/calendars/alice/", &body).await).names(), ["a.ics"]);
    let todo = query_body(r#"<C:comp-filter name="VTODO"/>"#, "");
    assert!(Listing::of(&report(&app, CALENDAR, &todo).await).names().is_empty());
    let one = app.send(Some("alice"), "REPORT", &format!("{CALENDAR}a.ics"), &[("depth", "0")], body).await;
    assert_eq!(Listing::of(&one).names(), ["a.ics"]);
}

/// traps 13: each missing href gets its 404, in the order asked; others' calendars look missing.
#[tokio::test]
async fn multiget_answers_every_href() {
    let app = TestApp::with_users().await;
    put(&app, "a b.ics".replace(' ', "%20").as_str(), &event("a", "20261201T090000Z", "")).await;
    let hrefs = [
        "/dav/calendars/alice/default/a%20b.ics",
        "/dav/calendars/alice/default/none.ics",
        "/dav/calendars/bob/default/a.ics",
        "http://localhost:8008/dav/calendars/alice/default/a%20b.ics",
        "../../etc/passwd",
    ];
    let hrefs: String = hrefs.iter().map(|href| format!("<D:href>{href}</D:href>")).collect();
    let body = format!(
        r#"<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/>{DATA}</D:prop>{hrefs}</C:calendar-multiget>"#
    );
    let listing = Listing::of(&report(&app, CALENDAR, &body).await);
    let statuses: Vec<_> = listing.responses.iter().map(|(_, status, _)| *status).collect();
    // The fourth is the first once more, and a multistatus names a resource once (RFC 4918 §13).
    assert_eq!(statuses, [None, Some(404), Some(404), Some(404)]);
}

/// However often it is named, whether it is there, missing, elsewhere or no path at all: once, where it was named first.
#[tokio::test]
async fn multiget_answers_a_href_once() {
    let app = TestApp::with_users().await;
    put(&app, "a@b.ics", &event("a", "20261201T090000Z", "")).await;
    let named = [
        "/dav/calendars/alice/default/none.ics",
        "/dav/calendars/alice/default/a@b.ics",
        "/dav/calendars/alice/default/a%40b.ics",
        "/dav/calendars/alice/default/%61%40b.ics",
        "https://elsewhere.example/dav/calendars/alice/default/a%40b.ics",
        "/dav/calendars/bob/default/a.ics",
        "/nowhere/else",
        "../../etc/passwd",
        "",
    ];
    let hrefs: String = named.iter().map(|href| format!("<D:href>{href}</D:href>")).collect();
    let body = format!(
        r#"<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/></D:prop>{}</C:calendar-multiget>"#,
        hrefs.repeat(500)
    );
    let listing = Listing::of(&report(&app, CALENDAR, &body).await);
    let found: Vec<_> = listing.responses.iter().map(|(name, status, _)| (name.as_str(), *status)).collect();
    let expected = [
        ("none.ics", Some(404)),
        ("a@b.ics", None),
        ("a.ics", Some(404)),
        ("else", Some(404)),
        ("passwd", Some(404)),
        ("", Some(404)),
    ];
    assert_eq!(found, expected);
}
