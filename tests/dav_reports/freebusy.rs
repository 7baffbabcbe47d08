use super::*;

async fn busy(app: &TestApp, user: &str, path: &str, start: &str, end: &str) -> Answer {
    let body = format!(
        r#"<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:time-range start="{start}" end="{end}"/></C:free-busy-query>"#
    );
    app.send(Some(user), "REPORT", path, &[("depth", "1")], body).await
}

/// The FREEBUSY lines of an answer.
fn lines(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let unfolded = answer.text().replace("\r\n ", "");
    unfolded.lines().filter(|line| line.starts_with("FREEBUSY")).map(str::to_owned).collect()
}

/// RFC 4791 §7.10: opaque, not cancelled events; merged and clipped; tentative on its own.
#[tokio::test]
async fn busy_time_is_merged_and_clipped() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    put(&app, "b.ics", &event("b", "20261201T093000Z", "")).await;
    put(&app, "c.ics", &event("c", "20261201T113000Z", "STATUS:TENTATIVE\r\n")).await;
    put(&app, "d.ics", &event("d", "20261201T150000Z", "TRANSP:TRANSPARENT\r\n")).await;
    put(&app, "e.ics", &event("e", "20261201T170000Z", "STATUS:CANCELLED\r\n")).await;
    let answer = busy(&app, "alice", CALENDAR, "20261201T091500Z", "20261202T000000Z").await;
    assert!(answer.header("content-type").is_some_and(|value| value.starts_with("text/calendar")));
    let found = lines(&answer).join("\n");
    assert!(
        found.contains("20261201T091500Z/20261201T103000Z") || found.contains("20261201T091500Z/PT1H15M"),
        "{found}"
    );
    assert!(found.contains("FBTYPE=BUSY-TENTATIVE"), "{found}");
    assert!(!found.contains("T15") && !found.contains("T17"), "{found}");
}

/// Invariant F2: a mask that was used once is never used after a change that touches it.
#[tokio::test]
async fn masks_follow_every_change() {
    let app = TestApp::with_users().await;
    let ask = || busy(&app, "alice", CALENDAR, "20261130T000000Z", "20261228T000000Z");
    assert!(lines(&ask().await).is_empty());
    put(&app, "w.ics", &event("w", "20261201T090000Z", "RRULE:FREQ=WEEKLY\r\n")).await;
    assert_eq!(lines(&ask().await).join(",").matches('/').count(), 4);
    put(&app, "w.ics", &event("w", "20261201T090000Z", "RRULE:FREQ=WEEKLY;COUNT=2\r\n")).await;
    assert_eq!(lines(&ask().await).join(",").matches('/').count(), 2);
    delete(&app, "w.ics").await;
    assert!(lines(&ask().await).is_empty());
}

/// A window that is too long is refused by name. One that is none is a bad request: there is no filter that could be invalid.
#[tokio::test]
async fn windows_are_checked() {
    let app = TestApp::with_users().await;
    let answer = busy(&app, "alice", CALENDAR, "19000101T000000Z", "20990101T000000Z").await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "max-date-time"));
    let answer = busy(&app, "alice", CALENDAR, "tomorrow", "20990101T000000Z").await;
    assert_eq!(answer.status, 400);
}

/// A stranger's free-busy-query tells nothing, not even that there is a calendar.
#[tokio::test]
async fn strangers_learn_nothing() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    for path in [CALENDAR, "/dav/calendars/alice/", "/dav/calendars/nobody/x/"] {
        assert_eq!(busy(&app, "bob", path, "20261201T000000Z", "20261202T000000Z").await.status, 404, "{path}");
    }
}

/// RFC 4791 §7.10: without read-free-busy it is 404, also for whoever may do other things with the calendar.
#[tokio::test]
async fn other_privileges_show_no_busy_time() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    for (privilege, status) in [("D:write", 404), ("D:read-acl", 404), ("C:read-free-busy", 200), ("D:read", 200)] {
        let acl = format!(
            r#"<D:acl xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:ace><D:principal><D:href>/dav/principals/bob/</D:href></D:principal><D:grant><D:privilege><{privilege}/></D:privilege></D:grant></D:ace></D:acl>"#
        );
        assert_eq!(app.send(Some("alice"), "ACL", CALENDAR, &[], acl).await.status, 200, "{privilege}");
        let answer = busy(&app, "bob", CALENDAR, "20261201T000000Z", "20261202T000000Z").await;
        assert_eq!(answer.status, status, "{privilege}: {}", answer.text());
    }
}

fn calendar(body: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Tests//EN\r\n{body}END:VCALENDAR\r\n")
}

/// A VAVAILABILITY of one that is there at the hours of the UTC day that `hours` says, on 1 December 2026.
fn availability(uid: &str, more: &str, hours: &str) -> String {
    let (from, to) = hours.split_once('-').expect("hours");
    format!(
        "BEGIN:VAVAILABILITY\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20261201T000000Z\r\nDTEND:20261202T000000Z\r\n{more}BEGIN:AVAILABLE\r\nUID:{uid}-a\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20261201T{from}0000Z\r\nDTEND:20261201T{to}0000Z\r\nEND:AVAILABLE\r\nEND:VAVAILABILITY\r\n"
    )
}

async fn set_availability(app: &TestApp, text: &str) {
    let body = format!(
        r#"<D:propertyupdate xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop><C:calendar-availability>
{text}</C:calendar-availability></D:prop></D:set></D:propertyupdate>"#
    );
    let answer = app.send(Some("alice"), "PROPPATCH", CALENDAR, &[], body).await;
    assert!(answer.status == 207 && answer.text().contains("200 OK"), "{}", answer.text());
}

/// RFC 7953 §5: of all availability, stored as objects and set as a property, the one of the higher priority holds.
#[tokio::test]
async fn availability_counts_together() {
    let app = TestApp::with_users().await;
    put(&app, "low.ics", &calendar(&availability("low", "PRIORITY:9\r\n", "08-12"))).await;
    put(&app, "high.ics", &calendar(&availability("high", "PRIORITY:1\r\n", "10-16"))).await;
    let ask = || busy(&app, "alice", CALENDAR, "20261201T000000Z", "20261202T000000Z");
    let unavailable =
        "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261201T000000Z/20261201T100000Z,20261201T160000Z/20261202T000000Z";
    assert_eq!(lines(&ask().await), [unavailable]);
    delete(&app, "high.ics").await;
    let both = availability("one", "PRIORITY:2\r\n", "09-10") + &availability("two", "PRIORITY:2\r\n", "11-12");
    set_availability(&app, &calendar(&both)).await;
    let unavailable = "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261201T000000Z/20261201T090000Z,20261201T100000Z/20261201T110000Z,20261201T120000Z/20261202T000000Z";
    assert_eq!(lines(&ask().await), [unavailable]);
}

/// Invariant F2: what was computed with another calendar-availability is never used.
#[tokio::test]
async fn masks_follow_the_availability() {
    let app = TestApp::with_users().await;
    let ask = || busy(&app, "alice", CALENDAR, "20261201T000000Z", "20261202T000000Z");
    assert!(lines(&ask().await).is_empty());
    set_availability(&app, &calendar(&availability("one", "", "00-20"))).await;
    assert_eq!(lines(&ask().await), ["FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261201T200000Z/20261202T000000Z"]);
    set_availability(&app, &calendar(&availability("one", "", "00-22"))).await;
    assert_eq!(lines(&ask().await), ["FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261201T220000Z/20261202T000000Z"]);
}

/// The periods of a stored VFREEBUSY count wherever they lie, however long it is and whatever its DTSTART and DTEND say.
#[tokio::test]
async fn long_stored_busy_time_counts_everywhere() {
    let stored = |bounds: &str| {
        calendar(&format!(
            "BEGIN:VFREEBUSY\r\nUID:busy\r\nDTSTAMP:20260101T000000Z\r\n{bounds}FREEBUSY:20260105T090000Z/PT1H,20260601T090000Z/PT1H,20261201T090000Z/PT1H\r\nEND:VFREEBUSY\r\n"
        ))
    };
    for bounds in ["", "DTSTART:20260101T000000Z\r\nDTEND:20260201T000000Z\r\n"] {
        let app = TestApp::with_users().await;
        put(&app, "busy.ics", &stored(bounds)).await;
        for day in ["20260105", "20260601", "20261201"] {
            let answer = busy(&app, "alice", CALENDAR, &format!("{day}T000000Z"), &format!("{day}T120000Z")).await;
            assert_eq!(lines(&answer), [format!("FREEBUSY:{day}T090000Z/{day}T100000Z")], "{bounds}");
        }
    }
}

/// A request that is given up in the middle of placing a week's series leaves nothing half placed.
#[tokio::test]
async fn a_request_given_up_leaves_nothing_half_placed() {
    let app = TestApp::with_users().await;
    for n in 0..1_100 {
        put(&app, &format!("{n}.ics"), &event(&format!("{n}"), "20261201T090000Z", "RRULE:FREQ=WEEKLY\r\n")).await;
    }
    for polls in 1..4 {
        let day = 20_270_100 + 7 * polls;
        let (start, end) = (format!("{day}T000000Z"), format!("{}T000000Z", day + 7));
        let mut given_up = std::pin::pin!(busy(&app, "alice", CALENDAR, &start, &end));
        for _ in 0..polls {
            std::future::poll_fn(|cx| std::task::Poll::Ready(given_up.as_mut().poll(cx).is_ready())).await;
        }
    }
    for start in [7, 14, 21, 28] {
        let (from, to) = (format!("202701{start:02}T000000Z"), format!("202701{:02}T235959Z", (start + 6).min(31)));
        let body = query_body(&window_filter("VEVENT", &from, &to), "");
        let listing = Listing::of(&report(&app, CALENDAR, &body).await);
        assert_eq!(listing.names().len(), if start == 28 { 0 } else { 1_100 }, "{from}");
    }
}

/// Invariant B2: a rule of every second is busy all the time, and harms nobody's answer.
#[tokio::test]
async fn a_rule_of_every_second_is_one_period() {
    let app = TestApp::with_users().await;
    put(&app, "other.ics", &event("other", "20261201T090000Z", "")).await;
    put(&app, "endless.ics", &endless("endless", "20261203T000000Z", "PT1S", "")).await;
    let answer = busy(&app, "alice", CALENDAR, "20261130T000000Z", "20261228T000000Z").await;
    let found = lines(&answer).join(",");
    assert_eq!(found.matches('/').count(), 2, "{found}");
    assert!(found.contains("20261203T000000Z/"), "{found}");
}

/// Where a week has more periods than the limit allows, an hour of it is still answered.
#[tokio::test]
async fn what_is_too_much_for_a_week_is_answered_for_an_hour() {
    let app = TestApp::with_users().await;
    put(&app, "holes.ics", &endless("holes", "20261203T000000Z", "PT1S", ";INTERVAL=3")).await;
    let answer = busy(&app, "alice", CALENDAR, "20261130T000000Z", "20261228T000000Z").await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "number-of-matches-within-limits"));
    let answer = busy(&app, "alice", CALENDAR, "20261205T100000Z", "20261205T110000Z").await;
    assert_eq!(lines(&answer).join(",").matches('/').count(), 1_200);
}

fn endless(uid: &str, start: &str, length: &str, more: &str) -> String {
    calendar(&format!(
        "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\nDURATION:{length}\r\n\
         RRULE:FREQ=SECONDLY{more}\r\nEND:VEVENT\r\n"
    ))
}
