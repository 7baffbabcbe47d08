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

/// A window that is too long is refused by name, and so is one that is none.
#[tokio::test]
async fn windows_are_checked() {
    let app = TestApp::with_users().await;
    let answer = busy(&app, "alice", CALENDAR, "19000101T000000Z", "20990101T000000Z").await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "max-date-time"));
    let answer = busy(&app, "alice", CALENDAR, "tomorrow", "20990101T000000Z").await;
    assert_eq!(answer.status, 403);
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
