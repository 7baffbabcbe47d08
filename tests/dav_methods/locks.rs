//! LOCK, UNLOCK and what locks keep from happening (RFC 4918 §6, §7, §9.10, §9.11).

use kalends::base::{Clock, Utc};

use super::*;

/// Asks for an exclusive lock.
pub const EXCLUSIVE: &str = "<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype><D:owner><D:href>http://a.example/?x=1&amp;y</D:href> me</D:owner></D:lockinfo>";
/// Asks for a shared lock.
pub const SHARED: &str = "<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:shared/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockinfo>";

async fn lock(app: &TestApp, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let answer = app.alice("LOCK", path, headers, body).await;
    assert!(matches!(answer.status, 200 | 201), "{path}: {} {}", answer.status, answer.text());
    let token = answer.header("lock-token").expect("a token").to_owned();
    assert!(answer.text().contains(token.trim_matches(['<', '>'])), "{}", answer.text());
    token
}

#[tokio::test]
async fn an_exclusive_lock_keeps_others_out() {
    let app = TestApp::with_users().await;
    app.with_file("a", "one").await;
    let token = lock(&app, &file("a"), &[("depth", "0")], EXCLUSIVE).await;
    let refused = app.alice("PUT", &file("a"), &[], "two").await;
    assert_eq!(refused.status, 423);
    assert!(refused.text().contains("lock-token-submitted"), "{}", refused.text());
    assert!(refused.text().contains("/dav/files/alice/a"), "{}", refused.text());
    for (method, headers) in [("DELETE", vec![]), ("MOVE", vec![("destination", "/dav/files/alice/b")])] {
        assert_eq!(app.alice(method, &file("a"), &headers, "").await.status, 423, "{method}");
    }
    assert_eq!(app.alice("COPY", &file("a"), &[("destination", "/dav/files/alice/b")], "").await.status, 201);
    assert_eq!(app.alice("COPY", &file("b"), &[("destination", "/dav/files/alice/a")], "").await.status, 423);
    let again = app.alice("LOCK", &file("a"), &[], SHARED).await;
    assert_eq!(again.status, 423);
    assert!(again.text().contains("no-conflicting-lock"), "{}", again.text());
    let submitted = format!("({token})");
    assert_eq!(app.alice("PUT", &file("a"), &[("if", &submitted)], "two").await.status, 204);
    // A tag that is not there, but a token that was submitted all the same (RFC 4918 §10.4.8).
    let either = format!("({token} [\"x\"]) (Not <DAV:no-lock>)");
    assert_eq!(app.alice("PUT", &file("a"), &[("if", &either)], "three").await.status, 204);
    assert_eq!(app.alice("PUT", &file("a"), &[("if", "(<urn:uuid:wrong>)")], "x").await.status, 412);
    assert_eq!(app.alice("PUT", &file("a"), &[("if", "(<urn:x>) (Not <DAV:no-lock>)")], "x").await.status, 423);
    assert_eq!(app.alice("UNLOCK", &file("a"), &[("lock-token", &token)], "").await.status, 204);
    assert_eq!(app.alice("PUT", &file("a"), &[], "four").await.status, 204);
}

#[tokio::test]
async fn shared_locks_stand_together() {
    let app = TestApp::with_users().await;
    app.with_file("a", "one").await;
    let first = lock(&app, &file("a"), &[], SHARED).await;
    let second = lock(&app, &file("a"), &[], SHARED).await;
    assert_ne!(first, second);
    assert_eq!(app.alice("LOCK", &file("a"), &[], EXCLUSIVE).await.status, 423);
    assert_eq!(app.alice("PUT", &file("a"), &[], "two").await.status, 423);
    for token in [first, second] {
        assert_eq!(app.alice("PUT", &file("a"), &[("if", &format!("({token})"))], &token).await.status, 204);
    }
}

#[tokio::test]
async fn an_unmapped_url_becomes_an_empty_file() {
    let app = TestApp::with_users().await;
    let answer = app.alice("LOCK", &file("new"), &[], EXCLUSIVE).await;
    assert_eq!(answer.status, 201);
    let got = app.alice("GET", &file("new"), &[], "").await;
    assert_eq!((got.status, got.header("content-length")), (200, Some("0")));
    assert_eq!(app.alice("LOCK", &file("none/new"), &[], EXCLUSIVE).await.status, 409);
    assert_eq!(app.alice("LOCK", &object("new.ics"), &[], EXCLUSIVE).await.status, 403);
    assert_eq!(app.alice("LOCK", "/dav/principals/alice/", &[], EXCLUSIVE).await.status, 405);
}

#[tokio::test]
async fn a_deep_lock_holds_for_all_below() {
    let app = TestApp::with_users().await;
    app.with_folder("d").await;
    app.with_folder("d/e").await;
    app.with_file("d/e/f", "one").await;
    let token = lock(&app, &file("d/"), &[("depth", "infinity")], EXCLUSIVE).await;
    for (method, path) in [("PUT", "d/e/f"), ("PUT", "d/new"), ("DELETE", "d/e/"), ("DELETE", "d/"), ("LOCK", "d/e/f")]
    {
        let body = if method == "LOCK" { EXCLUSIVE } else { "x" };
        let answer = app.alice(method, &file(path), &[], body).await;
        assert_eq!(answer.status, 423, "{method} {path}");
        assert!(answer.text().contains("<D:href>/dav/files/alice/d/</D:href>"), "{}", answer.text());
    }
    for value in [format!("({token})"), format!("</dav/files/alice/d/> ({token})")] {
        assert_eq!(app.alice("PUT", &file("d/e/f"), &[("if", &value)], &value).await.status, 204, "{value}");
        let new = app.alice("PUT", &file("d/new"), &[("if", &value)], &value).await.status;
        assert!(matches!(new, 201 | 204), "{value}: {new}");
    }
    // UNLOCK and refresh take any resource in the scope.
    let refreshed =
        app.alice("LOCK", &file("d/e/f"), &[("if", &format!("({token})")), ("timeout", "Second-60")], "").await;
    assert_eq!((refreshed.status, refreshed.header("lock-token")), (200, None));
    assert!(refreshed.text().contains("Second-60"), "{}", refreshed.text());
    assert_eq!(app.alice("UNLOCK", &file("d/e/f"), &[("lock-token", &token)], "").await.status, 204);
    assert_eq!(app.alice("DELETE", &file("d/"), &[], "").await.status, 204);
}

#[tokio::test]
async fn a_shallow_lock_holds_for_the_member_list_alone() {
    let app = TestApp::with_users().await;
    app.with_folder("d").await;
    app.with_file("d/f", "one").await;
    let token = lock(&app, &file("d/"), &[("depth", "0")], EXCLUSIVE).await;
    assert_eq!(app.alice("PUT", &file("d/f"), &[], "two").await.status, 204);
    assert_eq!(app.alice("PUT", &file("d/new"), &[], "x").await.status, 423);
    assert_eq!(app.alice("DELETE", &file("d/f"), &[], "").await.status, 423);
    let value = format!("</dav/files/alice/d/> ({token})");
    assert_eq!(app.alice("DELETE", &file("d/f"), &[("if", &value)], "").await.status, 204);
}

#[tokio::test]
async fn conflicts_below_are_told_one_by_one() {
    let app = TestApp::with_users().await;
    app.with_folder("d").await;
    app.with_file("d/f", "one").await;
    app.with_file("d/g", "one").await;
    let token = lock(&app, &file("d/f"), &[], EXCLUSIVE).await;
    let deep = app.alice("LOCK", &file("d/"), &[("depth", "infinity")], EXCLUSIVE).await;
    assert_eq!(deep.status, 207);
    let text = deep.text();
    assert!(text.contains("/dav/files/alice/d/f") && text.contains("423") && text.contains("424"), "{text}");
    lock(&app, &file("d/"), &[("depth", "0")], SHARED).await;
    let deleted = app.alice("DELETE", &file("d/"), &[], "").await;
    assert_eq!(deleted.status, 423);
    let other = format!("({token}) (Not <DAV:no-lock>)");
    assert_eq!(app.alice("DELETE", &file("d/"), &[("if", &other)], "").await.status, 423);
    assert_eq!(app.status(&file("d/g")).await, 200);
}

#[tokio::test]
async fn a_locked_member_keeps_its_collection_from_going() {
    let app = TestApp::with_users().await;
    app.with_folder("d").await;
    app.with_file("d/f", "one").await;
    let token = lock(&app, &file("d/f"), &[], EXCLUSIVE).await;
    for (method, headers) in [("DELETE", vec![]), ("MOVE", vec![("destination", "/dav/files/alice/n/")])] {
        let answer = app.alice(method, &file("d/"), &headers, "").await;
        assert_eq!(answer.status, 207, "{method}");
        assert!(answer.text().contains("/dav/files/alice/d/f"), "{}", answer.text());
        assert_eq!(app.status(&file("d/f")).await, 200);
    }
    let value = format!("</dav/files/alice/d/f> ({token})");
    let to = [("destination", "/dav/files/alice/n/"), ("if", value.as_str())];
    assert_eq!(app.alice("MOVE", &file("d/"), &to, "").await.status, 201);
    // The lock stayed behind, that is, it is gone (RFC 4918 §7.6).
    assert_eq!(app.alice("PUT", &file("n/f"), &[], "two").await.status, 204);
    assert!(app.context.store.locks().await.expect("reads").is_empty());
}

#[tokio::test]
async fn locks_end() {
    let app = TestApp::with_users().await;
    app.with_file("a", "one").await;
    let token = lock(&app, &file("a"), &[("timeout", "Infinite, Second-10")], EXCLUSIVE).await;
    let value = format!("({token})");
    let short = app.alice("LOCK", &file("a"), &[("if", &value), ("timeout", "Second-30")], "").await;
    assert_eq!(short.status, 200);
    app.clock.set(Utc(app.clock.now().0 + 31));
    assert_eq!(app.alice("PUT", &file("a"), &[], "two").await.status, 204);
    let late = app.alice("LOCK", &file("a"), &[("if", &value)], "").await;
    assert_eq!(late.status, 412);
    assert!(late.text().contains("lock-token-matches-request-uri"), "{}", late.text());
    lock(&app, &file("a"), &[], EXCLUSIVE).await;
    assert_eq!(app.context.store.locks().await.expect("reads").len(), 1, "the one that ended is removed");
}

#[tokio::test]
async fn requests_that_make_no_sense() {
    let app = TestApp::with_users().await;
    app.with_file("a", "one").await;
    app.with_file("b", "one").await;
    let token = lock(&app, &file("a"), &[], EXCLUSIVE).await;
    assert_eq!(app.alice("UNLOCK", &file("a"), &[], "").await.status, 400);
    assert_eq!(app.alice("UNLOCK", &file("a"), &[("lock-token", "nonsense")], "").await.status, 400);
    let elsewhere = app.alice("UNLOCK", &file("b"), &[("lock-token", &token)], "").await;
    assert_eq!(elsewhere.status, 409);
    assert!(elsewhere.text().contains("lock-token-matches-request-uri"), "{}", elsewhere.text());
    assert_eq!(app.alice("LOCK", &file("b"), &[], "").await.status, 400);
    assert_eq!(app.alice("LOCK", &file("b"), &[("depth", "1")], EXCLUSIVE).await.status, 400);
    for body in ["<x/>", "<D:lockinfo xmlns:D='DAV:'/>", "<broken"] {
        assert_eq!(app.alice("LOCK", &file("b"), &[], body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn calendars_can_be_locked_too() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    let token = lock(&app, CALENDAR, &[], EXCLUSIVE).await;
    let body = event("two", "20261201T090000Z", "x");
    assert_eq!(app.alice("PUT", &object("b.ics"), &[], &body).await.status, 423);
    assert_eq!(app.alice("POST", CALENDAR, &[], &body).await.status, 423);
    assert_eq!(app.alice("PUT", &object("b.ics"), &[("if", &format!("({token})"))], &body).await.status, 201);
    assert_eq!(app.alice("DELETE", CALENDAR, &[("if", &format!("({token})"))], "").await.status, 204);
    assert!(app.context.store.locks().await.expect("reads").is_empty());
}

#[tokio::test]
async fn the_owner_comes_back_as_it_was_sent() {
    let app = TestApp::with_users().await;
    let answer = app.alice("LOCK", &file("a"), &[], EXCLUSIVE).await;
    assert!(answer.text().contains("http://a.example/?x=1&amp;y"), "{}", answer.text());
    assert!(answer.text().contains("lockroot"), "{}", answer.text());
}
