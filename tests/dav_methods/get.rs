//! GET and HEAD.

use super::*;

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    app.with_file("f", "hello").await;
    for path in [object("a.ics"), file("f"), CALENDAR.into(), FILES.into(), "/dav/".into()] {
        let (get, head) = (app.alice("GET", &path, &[], "").await, app.alice("HEAD", &path, &[], "").await);
        assert_eq!((get.status, head.status, head.body.len()), (200, 200, 0), "{path}");
        assert_eq!(get.headers, head.headers, "{path}");
    }
}

#[tokio::test]
async fn ranges() {
    let app = TestApp::with_users().await;
    let tag = app.with_file("f", "0123456789").await;
    let table = [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=8-", 206, "89", "bytes 8-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=5-99", 206, "56789", "bytes 5-9/10"),
        ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
        ("bytes=3-1", 200, "0123456789", ""),
        ("bytes=0-1,3-4", 200, "0123456789", ""),
        ("lines=1-2", 200, "0123456789", ""),
        ("bytes=99999999999999999999-", 416, "", "bytes */10"),
    ];
    for (range, status, body, content_range) in table {
        let answer = app.alice("GET", &file("f"), &[("range", range)], "").await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{range}");
        assert_eq!(answer.header("content-range").unwrap_or(""), content_range, "{range}");
    }
    for (if_range, status) in [(tag.as_str(), 206), ("\"x\"", 200), ("Sun, 22 Nov 2026 12:00:00 GMT", 206)] {
        let headers = [("range", "bytes=0-3"), ("if-range", if_range)];
        assert_eq!(app.alice("GET", &file("f"), &headers, "").await.status, status, "{if_range}");
    }
}

#[tokio::test]
async fn a_calendar_is_one_stream_with_a_tag_of_its_own() {
    let app = TestApp::with_users().await;
    for n in 0..300 {
        app.with_event(&format!("{n}.ics"), &format!("uid-{n}")).await;
    }
    let answer = app.alice("GET", CALENDAR, &[], "").await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert_eq!(text.matches("BEGIN:VCALENDAR").count(), 1);
    assert_eq!(text.matches("BEGIN:VEVENT").count(), 300);
    assert!(text.contains("X-WR-CALNAME:default\r\n") && text.ends_with("END:VCALENDAR\r\n"));
    let tag = answer.header("etag").expect("a tag").to_owned();
    assert_eq!(app.alice("GET", CALENDAR, &[("if-none-match", &tag)], "").await.status, 304);
    assert_eq!(app.alice("DELETE", &object("0.ics"), &[], "").await.status, 204);
    assert_eq!(app.alice("GET", CALENDAR, &[("if-none-match", &tag)], "").await.status, 200);
}

#[tokio::test]
async fn a_page_lists_members_and_escapes_their_names() {
    let app = TestApp::with_users().await;
    app.with_file("%3Cscript%3E%22", "x").await;
    let page = app.alice("GET", FILES, &[], "").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("&lt;script&gt;&quot;") && !page.text().contains("<script>"), "{}", page.text());
}

#[tokio::test]
async fn accept_decides_between_icalendar_and_jcal() {
    let app = TestApp::with_users().await;
    let tag = app.with_event("a.ics", "one").await;
    let table = [
        ("*/*", "text/calendar"),
        ("text/html", "text/calendar"),
        ("application/calendar+json", "application/calendar+json"),
        ("text/calendar;q=0.5, application/calendar+json;q=0.9", "application/calendar+json"),
        ("text/calendar, application/calendar+json;q=0.9", "text/calendar"),
        ("application/*", "application/calendar+json"),
    ];
    for (accept, media_type) in table {
        let answer = app.alice("GET", &object("a.ics"), &[("accept", accept)], "").await;
        assert!(answer.header("content-type").is_some_and(|t| t.starts_with(media_type)), "{accept}");
    }
    // Two representations never share a strong tag, and either names the state for a write.
    let json = app.alice("GET", &object("a.ics"), &[("accept", "application/calendar+json")], "").await;
    let json_tag = json.header("etag").expect("a tag").to_owned();
    assert_ne!(json_tag, tag);
    let body = event("one", "20261202T090000Z", "y");
    assert_eq!(app.alice("PUT", &object("a.ics"), &[("if-match", &json_tag)], &body).await.status, 204);
}
