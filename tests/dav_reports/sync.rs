use super::*;

fn sync_body(token: &str, limit: Option<u32>) -> String {
    let limit = limit.map(|n| format!("<D:limit><D:nresults>{n}</D:nresults></D:limit>")).unwrap_or_default();
    format!(
        r#"<D:sync-collection xmlns:D="DAV:"><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{limit}<D:prop><D:getetag/></D:prop></D:sync-collection>"#
    )
}

async fn sync(app: &TestApp, path: &str, token: &str) -> Listing {
    Listing::of(&report(app, path, &sync_body(token, None)).await)
}

/// RFC 6578 §3.4, §3.5: first everything, then each changed member once with its last state.
#[tokio::test]
async fn a_delta_lists_each_changed_member_once() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    put(&app, "b.ics", &event("b", "20261201T100000Z", "")).await;
    let first = sync(&app, CALENDAR, "").await;
    assert_eq!(first.names(), ["a.ics", "b.ics"]);
    let token = first.token.expect("a token");
    assert_eq!(sync(&app, CALENDAR, &token).await.names(), Vec::<&str>::new());

    put(&app, "a.ics", &event("a", "20261202T090000Z", "")).await;
    put(&app, "a.ics", &event("a", "20261203T090000Z", "")).await;
    put(&app, "c.ics", &event("c", "20261203T090000Z", "")).await;
    delete(&app, "b.ics").await;
    let delta = sync(&app, CALENDAR, &token).await;
    let states: Vec<_> = delta.responses.iter().map(|(name, status, _)| (name.as_str(), *status)).collect();
    assert_eq!(states, [("a.ics", None), ("c.ics", None), ("b.ics", Some(404))]);
}

/// RFC 6578 §3.5.2: what came and went since the token is reported as gone, and never in a first synchronisation.
#[tokio::test]
async fn a_member_that_came_and_went_is_gone() {
    let app = TestApp::with_users().await;
    let token = sync(&app, CALENDAR, "").await.token.expect("a token");
    put(&app, "x.ics", &event("x", "20261201T090000Z", "")).await;
    delete(&app, "x.ics").await;
    let delta = sync(&app, CALENDAR, &token).await;
    assert!(delta.responses.iter().all(|(name, status, _)| name == "x.ics" && *status == Some(404)));
    assert_eq!(sync(&app, CALENDAR, "").await.names(), Vec::<&str>::new());
}

/// RFC 6578 §3.6: a limit cuts the answer, says so with 507 for the collection, and its token goes on.
#[tokio::test]
async fn pages_add_up_to_the_whole() {
    let app = TestApp::with_users().await;
    for n in 0..25 {
        put(&app, &format!("{n}.ics"), &event(&format!("u{n}"), "20261201T090000Z", "")).await;
    }
    for n in (0..25).step_by(5) {
        delete(&app, &format!("{n}.ics")).await;
    }
    let (mut seen, mut token, mut rounds) = (Vec::new(), String::new(), 0);
    loop {
        let page = Listing::of(&report(&app, CALENDAR, &sync_body(&token, Some(3))).await);
        let (cut, members): (Vec<_>, Vec<_>) = page.responses.iter().partition(|(name, ..)| name == "default");
        assert!(members.len() <= 3);
        seen.extend(members.iter().map(|(name, ..)| name.clone()));
        token = page.token.expect("a token");
        rounds += 1;
        assert!(rounds < 30, "the walk ends");
        match cut.first() {
            Some((_, status, response)) => {
                assert_eq!(*status, Some(507));
                assert!(find(response, ns::DAV, "number-of-matches-within-limits").is_some());
            }
            None => break,
        }
    }
    seen.sort();
    let mut expected: Vec<_> = (0..25).filter(|n| n % 5 != 0).map(|n| format!("{n}.ics")).collect();
    expected.sort();
    assert_eq!(seen, expected);
}

/// A first synchronisation in pages goes on although the change log forgets old deletions meanwhile, and hears of a
/// deletion of what an earlier page has told.
#[tokio::test]
async fn pages_outlive_forgotten_deletions() {
    let app = TestApp::with_tombstones(4).await;
    for n in 0..8 {
        put(&app, &format!("{n}.ics"), &event(&format!("u{n}"), "20261201T090000Z", "")).await;
    }
    for n in 100..110 {
        put(&app, &format!("{n}.ics"), &event(&format!("u{n}"), "20261201T090000Z", "")).await;
        delete(&app, &format!("{n}.ics")).await;
    }
    let page = |token: String| {
        let app = &app;
        async move { Listing::of(&report(app, CALENDAR, &sync_body(&token, Some(3))).await) }
    };
    let first = page(String::new()).await;
    assert_eq!(&first.names()[..3], ["0.ics", "1.ics", "2.ics"]);
    delete(&app, "1.ics").await;
    let (mut token, mut told) = (first.token.expect("a token"), Vec::new());
    for _ in 0..6 {
        let next = page(token).await;
        told.extend(next.responses.iter().map(|(name, status, _)| (name.clone(), *status)));
        token = next.token.expect("a token");
    }
    told.retain(|(name, _)| name != "default");
    let mut expected: Vec<_> = (3..8).map(|n| (format!("{n}.ics"), None)).collect();
    expected.push(("1.ics".to_owned(), Some(404)));
    assert_eq!(told, expected);
}

/// RFC 6578 §3.2: tokens that are not this collection's are refused by name, never answered wrongly.
#[tokio::test]
async fn foreign_and_future_tokens_are_refused() {
    let app = TestApp::with_users().await;
    let token = sync(&app, CALENDAR, "").await.token.expect("a token");
    let home = sync(&app, "/dav/calendars/alice/", "").await.token.expect("a token");
    let future = {
        let mut parts: Vec<&str> = token.split(':').collect();
        let revision = parts.len() - 2;
        parts[revision] = "4711";
        parts.join(":")
    };
    for bad in ["nonsense", "7B1C6F2E-0F4B-4B8E-A8F5-1E7B6B0F3C55", "http://example.com/ns/sync/1", &home, &future] {
        let answer = report(&app, CALENDAR, &sync_body(bad, None)).await;
        assert_eq!((answer.status, condition(&answer).as_str()), (403, "valid-sync-token"), "{bad}");
    }
    // A calendar made anew under the same name is another one.
    assert_eq!(app.send(Some("alice"), "DELETE", CALENDAR, &[], "").await.status, 204);
    assert_eq!(app.send(Some("alice"), "MKCALENDAR", CALENDAR, &[], "").await.status, 201);
    let answer = report(&app, CALENDAR, &sync_body(&token, None)).await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "valid-sync-token"));
}

/// Clients look at the home to learn which calendars changed (macOS, iOS).
#[tokio::test]
async fn a_home_tells_which_calendar_changed() {
    let app = TestApp::with_users().await;
    assert_eq!(app.send(Some("alice"), "MKCALENDAR", "/dav/calendars/alice/work/", &[], "").await.status, 201);
    let first = sync(&app, "/dav/calendars/alice/", "").await;
    let mut names = first.names();
    names.sort_unstable();
    assert_eq!(names, ["default", "work"]);
    let token = first.token.expect("a token");
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    assert_eq!(sync(&app, "/dav/calendars/alice/", &token).await.names(), ["default"]);
    assert_eq!(app.send(Some("alice"), "DELETE", "/dav/calendars/alice/work/", &[], "").await.status, 204);
    let delta = sync(&app, "/dav/calendars/alice/", &token).await;
    assert!(delta.responses.iter().any(|(name, status, _)| name == "work" && *status == Some(404)));
}

/// Clients send Depth 0, 1 or none, and some no sync-level (clients: Thunderbird, DAVx5, dav).
#[tokio::test]
async fn every_depth_is_accepted() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    let body = r#"<D:sync-collection xmlns:D="DAV:"><D:sync-token/><D:prop><D:getetag/></D:prop></D:sync-collection>"#;
    for headers in [&[][..], &[("depth", "0")], &[("depth", "1")]] {
        let answer = app.send(Some("alice"), "REPORT", CALENDAR, headers, body).await;
        assert_eq!(Listing::of(&answer).names(), ["a.ics"]);
    }
}

/// RFC 3253 §3.6: where something is that a report is not for, the answer names the condition, and 404 is left to what is not there.
#[tokio::test]
async fn reports_for_other_things_are_named() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    let object = format!("{CALENDAR}a.ics");
    let busy = r#"<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:time-range start="20261201T000000Z" end="20261202T000000Z"/></C:free-busy-query>"#;
    for (path, body) in [
        (object.as_str(), sync_body("", None)),
        ("/dav/principals/alice/", sync_body("", None)),
        ("/dav/", sync_body("", None)),
        ("/dav/principals/alice/", query_body("", "")),
        (&object, busy.to_owned()),
        ("/dav/principals/alice/", busy.to_owned()),
    ] {
        let answer = report(&app, path, &body).await;
        assert_eq!((answer.status, condition(&answer).as_str()), (403, "supported-report"), "{path} {body}");
    }
    for (user, path) in [("alice", "/dav/calendars/alice/none/"), ("bob", &object), ("bob", "/dav/principals/alice/")] {
        let answer = app.send(Some(user), "REPORT", path, &[], sync_body("", None)).await;
        assert_eq!(answer.status, 404, "{user} {path}");
    }
}

/// Nobody else's changes are told.
#[tokio::test]
async fn strangers_learn_nothing() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    for path in [CALENDAR, "/dav/calendars/alice/", "/dav/calendars/alice/none/", "/dav/calendars/nobody/default/"] {
        let answer = app.send(Some("bob"), "REPORT", path, &[("depth", "1")], sync_body("", None)).await;
        assert_eq!(answer.status, 404, "{path}");
        let answer = app.send(None, "REPORT", path, &[("depth", "1")], sync_body("", None)).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}
