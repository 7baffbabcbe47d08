//! COPY and MOVE (RFC 4918 §9.8, §9.9).

use super::*;

fn to(path: &str) -> [(&str, &str); 1] {
    [("destination", path)]
}

#[tokio::test]
async fn copy_and_move_of_files() {
    let app = TestApp::with_users().await;
    let headers = [("content-type", "text/x-test")];
    assert_eq!(app.alice("PUT", &file("a"), &headers, "one").await.status, 201);
    let copied = app.alice("COPY", &file("a"), &to("http://localhost:8008/dav/files/alice/b"), "").await;
    assert_eq!(copied.status, 201, "{}", copied.text());
    assert_eq!(copied.header("location"), Some("http://localhost:8008/dav/files/alice/b"));
    let got = app.alice("GET", &file("b"), &[], "").await;
    assert_eq!((got.text().as_str(), got.header("content-type")), ("one", Some("text/x-test")));
    let refused = [("destination", "/dav/files/alice/b"), ("overwrite", "F")];
    assert_eq!(app.alice("COPY", &file("a"), &refused, "").await.status, 412);
    assert_eq!(app.alice("COPY", &file("a"), &to("/dav/files/alice/b"), "").await.status, 204);
    assert_eq!(app.alice("MOVE", &file("a"), &to("/dav/files/alice/c"), "").await.status, 201);
    assert_eq!((app.status(&file("a")).await, app.status(&file("c")).await), (404, 200));
    assert_eq!(app.alice("MOVE", &file("c"), &refused, "").await.status, 412);
    assert_eq!(app.alice("MOVE", &file("c"), &to("/dav/files/alice/b"), "").await.status, 204);
}

#[tokio::test]
async fn destinations() {
    let app = TestApp::with_users().await;
    app.with_file("a", "one").await;
    app.with_folder("d").await;
    let table: &[(&str, u16)] = &[
        ("https://LOCALHOST:8008/dav/files/alice/x1", 201),
        ("/dav/files/alice/x%402", 201),
        ("http://other.example/dav/files/alice/x", 502),
        ("http://localhost:8008/elsewhere", 502),
        ("/dav/files/alice/none/x", 409),
        ("/dav/files/alice/a", 403),
        ("/dav/files/alice/", 403),
        ("/dav/principals/alice/", 403),
        ("/dav/calendars/alice/x", 403),
        ("not a path", 400),
        ("/dav/files/alice/../x", 400),
    ];
    for (destination, status) in table {
        let answer = app.alice("COPY", &file("a"), &to(destination), "").await;
        assert_eq!(answer.status, *status, "{destination}: {}", answer.text());
    }
    assert_eq!(app.alice("COPY", &file("a"), &[], "").await.status, 400);
    assert_eq!(app.alice("COPY", &file("none"), &to("/dav/files/alice/y"), "").await.status, 404);
}

/// Clients that forget to escape: the same place, and the same refusals.
#[tokio::test]
async fn destinations_in_plain_utf8() {
    let app = TestApp::with_users().await;
    app.with_file("a", "one").await;
    for (plain, escaped) in [
        ("/dav/files/alice/\u{fc}n\u{ef}", "%C3%BCn%C3%AF"),
        ("http://localhost:8008/dav/files/alice/\u{65e5}\u{672c}", "%E6%97%A5%E6%9C%AC"),
        ("/dav/files/alice/\u{e4}%C3%A4%20b", "%C3%A4%C3%A4%20b"),
        ("/dav/files/alice/end\u{a0}", "end%C2%A0"),
        ("/dav/files/alice/\u{2025}\u{ff0f}x", "%E2%80%A5%EF%BC%8Fx"),
    ] {
        let answer = app.alice("COPY", &file("a"), &to(plain), "").await;
        assert_eq!(answer.status, 201, "{plain}: {}", answer.text());
        assert_eq!(answer.header("location"), Some(format!("http://localhost:8008{}", file(escaped)).as_str()));
        assert_eq!(app.status(&file(escaped)).await, 200, "{plain}");
    }
    for (plain, status) in [
        ("http://\u{fc}.example/dav/files/alice/x", 502),
        ("/dav/files/alice/\u{fc}/../x", 400),
        ("/dav/files/alice/\u{fc}%2Fx", 400),
        ("/dav/files/alice/\u{fc}%00", 400),
        ("/dav/files/alice/\u{fc}%FF", 400),
        ("\u{fc}", 400),
    ] {
        assert_eq!(app.alice("COPY", &file("a"), &to(plain), "").await.status, status, "{plain}");
    }
    app.with_event("a.ics", "a").await;
    assert_eq!(app.alice("MOVE", &object("a.ics"), &to(&object("\u{fc}.ics")), "").await.status, 201);
    assert_eq!((app.status(&object("%C3%BC.ics")).await, app.status(&object("a.ics")).await), (200, 404));
}

async fn tree(app: &TestApp) {
    app.with_folder("d").await;
    app.with_folder("d/e").await;
    app.with_file("d/f", "one").await;
    app.with_file("d/e/g", "two").await;
}

#[tokio::test]
async fn copy_of_a_collection() {
    let app = TestApp::with_users().await;
    tree(&app).await;
    assert_eq!(app.alice("COPY", &file("d/"), &to("/dav/files/alice/all/"), "").await.status, 201);
    for there in ["d/f", "d/e/g", "all/f", "all/e/g"] {
        assert_eq!(app.status(&file(there)).await, 200, "{there}");
    }
    let shallow = [("destination", "/dav/files/alice/empty"), ("depth", "0")];
    assert_eq!(app.alice("COPY", &file("d/"), &shallow, "").await.status, 201);
    assert_eq!((app.status(&file("empty/")).await, app.status(&file("empty/f")).await), (200, 404));
    let one = [("destination", "/dav/files/alice/x"), ("depth", "1")];
    assert_eq!(app.alice("COPY", &file("d/"), &one, "").await.status, 400);
    // What was there is replaced as a whole, not merged.
    app.with_file("all/extra", "x").await;
    assert_eq!(app.alice("COPY", &file("d/"), &to("/dav/files/alice/all/"), "").await.status, 204);
    assert_eq!((app.status(&file("all/extra")).await, app.status(&file("all/e/g")).await), (404, 200));
}

#[tokio::test]
async fn nothing_goes_into_itself() {
    let app = TestApp::with_users().await;
    tree(&app).await;
    for (from, into) in [("d/", "d/"), ("d/", "d/e/x/"), ("d/e/", "d/"), ("d/f", "d/"), ("d/", "d")] {
        for method in ["COPY", "MOVE"] {
            let answer = app.alice(method, &file(from), &to(&file(into)), "").await;
            assert_eq!(answer.status, 403, "{method} {from} {into}");
        }
    }
}

#[tokio::test]
async fn move_of_a_collection() {
    let app = TestApp::with_users().await;
    tree(&app).await;
    assert_eq!(app.alice("MOVE", &file("d/"), &to("/dav/files/alice/n"), "").await.status, 201);
    assert_eq!((app.status(&file("d/")).await, app.status(&file("n/e/g")).await), (404, 200));
    app.with_file("old", "x").await;
    assert_eq!(app.alice("MOVE", &file("n/"), &to("/dav/files/alice/old"), "").await.status, 204);
    assert_eq!(app.status(&file("old/e/g")).await, 200);
    app.with_file("single", "x").await;
    assert_eq!(app.alice("MOVE", &file("single"), &to("/dav/files/alice/old"), "").await.status, 204);
    assert_eq!((app.status(&file("old")).await, app.status(&file("old/e/g")).await), (200, 404));
}

#[tokio::test]
async fn a_renamed_calendar_keeps_its_incarnation() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    let id = |app: &TestApp, name: &'static str| {
        let context = app.context.clone();
        async move {
            let user = kalends::model::UserName::new("alice").expect("a name");
            let home = context.store.principal_named(&user).await.expect("reads").expect("alice").home;
            context.store.child(home, name).await.expect("reads").map(|calendar| calendar.id)
        }
    };
    let before = id(&app, "default").await;
    let moved = app.alice("MOVE", CALENDAR, &to("/dav/calendars/alice/work/"), "").await;
    assert_eq!(moved.status, 201, "{}", moved.text());
    assert_eq!((id(&app, "work").await, id(&app, "default").await), (before, None));
    assert_eq!(app.status("/dav/calendars/alice/work/a.ics").await, 200);
    let copied = app.alice("COPY", "/dav/calendars/alice/work/", &to("/dav/calendars/alice/two/"), "").await;
    assert_eq!(copied.status, 201, "{}", copied.text());
    assert_ne!(id(&app, "two").await, before);
    assert_eq!(app.status("/dav/calendars/alice/two/a.ics").await, 200);
    for into in ["/dav/files/alice/c/", "/dav/calendars/alice/two/c"] {
        let answer = app.alice("COPY", "/dav/calendars/alice/work/", &to(into), "").await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("calendar-collection-location-ok"), "{}", answer.text());
    }
}

#[tokio::test]
async fn objects_among_calendars_and_files() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    app.with_event("b.ics", "two").await;
    assert_eq!(app.alice("MOVE", &object("a.ics"), &to(&object("c.ics")), "").await.status, 201);
    let same_uid = app.alice("COPY", &object("c.ics"), &to(&object("d.ics")), "").await;
    assert!(same_uid.text().contains("no-uid-conflict"), "{}", same_uid.text());
    let other_uid = app.alice("MOVE", &object("c.ics"), &to(&object("b.ics")), "").await;
    assert!(other_uid.text().contains("no-uid-conflict"), "{}", other_uid.text());
    assert_eq!(app.alice("COPY", &object("c.ics"), &to(&file("c.ics")), "").await.status, 201);
    let got = app.alice("GET", &file("c.ics"), &[], "").await;
    assert!(got.header("content-type").is_some_and(|t| t.starts_with("text/calendar")));
    assert_eq!(app.alice("DELETE", &object("c.ics"), &[], "").await.status, 204);
    assert_eq!(app.alice("MOVE", &file("c.ics"), &to(&object("e.ics")), "").await.status, 201);
    assert_eq!((app.status(&object("e.ics")).await, app.status(&file("c.ics")).await), (200, 404));
    app.with_file("text", "no calendar").await;
    let invalid = app.alice("COPY", &file("text"), &to(&object("f.ics")), "").await;
    assert_eq!(invalid.status, 403);
    assert!(invalid.text().contains("valid-calendar-data"), "{}", invalid.text());
}
