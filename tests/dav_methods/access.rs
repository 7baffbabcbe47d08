//! Who may do what (RFC 3744 appendix B), and what a stranger learns.

use super::*;

#[tokio::test]
async fn nobody_is_asked_to_log_in() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "MOVE", "LOCK", "UNLOCK"] {
        for path in [object("a.ics"), object("none"), CALENDAR.into(), "/dav/calendars/nobody/x/y".into()] {
            let headers = [("destination", "/dav/calendars/alice/default/z"), ("lock-token", "<urn:x>")];
            let body = if method == "LOCK" { super::locks::EXCLUSIVE } else { "" };
            let answer = app.send(None, method, &path, &headers, body).await;
            assert_eq!(answer.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn to_a_stranger_all_looks_missing() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    let body = event("x", "20261201T090000Z", "x");
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "MOVE", "LOCK", "UNLOCK"] {
        let there = [object("a.ics"), CALENDAR.into(), "/dav/calendars/alice/".into(), FILES.into()];
        let missing = [
            "/dav/calendars/nobody/default/a.ics",
            "/dav/calendars/nobody/default/",
            "/dav/calendars/nobody/",
            "/dav/files/nobody/",
        ];
        for (there, missing) in there.iter().zip(missing) {
            let headers = [("destination", "/dav/calendars/bob/default/z"), ("lock-token", "<urn:x>")];
            let sent = if method == "LOCK" { super::locks::EXCLUSIVE } else { body.as_str() };
            let one = app.send(Some("bob"), method, there, &headers, sent.to_owned()).await;
            let other = app.send(Some("bob"), method, missing, &headers, sent.to_owned()).await;
            assert_eq!((one.status, &one.body), (404, &other.body), "{method} {there}");
            assert_eq!(one.status, other.status, "{method} {there}");
        }
    }
}

#[tokio::test]
async fn nothing_goes_into_what_is_another_users() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    for method in ["COPY", "MOVE"] {
        let to = [("destination", "/dav/calendars/bob/default/a.ics")];
        let answer = app.alice(method, &object("a.ics"), &to, "").await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(app.status(&object("a.ics")).await, 200);
}
