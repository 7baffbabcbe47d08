//! PUT, POST and DELETE.

use super::*;

#[tokio::test]
async fn what_is_put_comes_back_byte_for_byte() {
    let app = TestApp::with_users().await;
    let odd = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20261101T000000Z\n\
               DTSTART:20261201T090000Z\nX-ODD;X=\"a:b\":  kept \nEND:VEVENT\nEND:VCALENDAR";
    let put = app.alice("PUT", &object("a.ics"), &[("content-type", "text/calendar")], odd).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let got = app.alice("GET", &object("a.ics"), &[], "").await;
    assert_eq!((got.status, got.text().as_str()), (200, odd));
    assert_eq!(got.header("etag"), put.header("etag"));
    assert_eq!(got.header("content-type"), Some("text/calendar; charset=utf-8; component=vevent"));
}

/// RFC 9110 §8.4: an encoded body is not read as if it were the text.
#[tokio::test]
async fn an_encoded_body_is_refused() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "1").await;
    let before = app.alice("GET", &object("a.ics"), &[], "").await;
    let body = event("1", "20261202T090000Z", "x");
    for coding in ["gzip", "identity, br"] {
        let answer = app.alice("PUT", &object("a.ics"), &[("content-encoding", coding)], &body).await;
        assert_eq!(answer.status, 415, "{coding}: {}", answer.text());
        assert_eq!(app.alice("GET", &object("a.ics"), &[], "").await.text(), before.text(), "{coding}");
    }
    let encoded = app.alice("PROPFIND", &object(""), &[("content-encoding", "gzip"), ("depth", "0")], "x").await;
    assert_eq!(encoded.status, 415, "{}", encoded.text());
    assert_eq!(app.alice("PUT", &object("a.ics"), &[("content-encoding", "identity")], &body).await.status, 204);
}

#[tokio::test]
async fn names_that_clients_use_survive() {
    let app = TestApp::with_users().await;
    for (n, name) in ["a%20b.ics", "100%25", "%C3%A4.ics", "a%0Ab", "x@y.ics", "%2540"].iter().enumerate() {
        let body = event(&n.to_string(), "20261201T090000Z", "x");
        assert_eq!(app.alice("PUT", &object(name), &[], &body).await.status, 201, "{name}");
        assert_eq!(app.status(&object(name)).await, 200, "{name}");
    }
    assert_eq!(app.status(&object("x%40y.ics")).await, 200);
}

#[tokio::test]
async fn every_precondition_of_put_has_its_name() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "taken").await;
    let valid = event("1", "20261201T090000Z", "x");
    let no_uid = valid.replace("UID:1\r\n", "");
    let two = valid
        .replace("END:VCALENDAR", "BEGIN:VTODO\r\nUID:2\r\nDTSTAMP:20261101T000000Z\r\nEND:VTODO\r\nEND:VCALENDAR");
    let method = valid.replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:PUBLISH");
    let bad_rule = valid.replace("DURATION", "RRULE:FREQ=SOMETIMES\r\nDURATION");
    let year_0 = event("1", "00000101T090000Z", "x");
    let many = valid.replace("DURATION", "RRULE:FREQ=SECONDLY;UNTIL=20361201T090000Z\r\nDURATION");
    let table = [
        ("text/vcard", valid.as_str(), "supported-calendar-data"),
        ("text/calendar", "nonsense", "valid-calendar-data"),
        ("text/calendar", "", "valid-calendar-data"),
        ("text/calendar", bad_rule.as_str(), "valid-calendar-data"),
        ("text/calendar", no_uid.as_str(), "valid-calendar-object-resource"),
        ("text/calendar", two.as_str(), "valid-calendar-object-resource"),
        ("text/calendar", method.as_str(), "valid-calendar-object-resource"),
        ("text/calendar", many.as_str(), "max-instances"),
        ("application/calendar+json", "[\"vcalendar\"", "valid-calendar-data"),
    ];
    for (media_type, body, element) in table {
        let answer = app.alice("PUT", &object("new.ics"), &[("content-type", media_type)], body).await;
        assert_eq!(answer.status, 403, "{element}: {}", answer.text());
        assert!(answer.text().contains(element), "{element}: {}", answer.text());
        assert_eq!(app.status(&object("new.ics")).await, 404, "{element}");
    }
    let early = app.alice("PUT", &object("new.ics"), &[], &year_0).await;
    assert_eq!(early.status, 403, "{}", early.text());
    let conflict = app.alice("PUT", &object("b.ics"), &[], &event("taken", "20261201T090000Z", "x")).await;
    assert_eq!(conflict.status, 403);
    assert!(conflict.text().contains("no-uid-conflict"), "{}", conflict.text());
    assert!(conflict.text().contains("/dav/calendars/alice/default/a.ics"), "{}", conflict.text());
}

#[tokio::test]
async fn an_object_keeps_its_uid() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    let answer = app.alice("PUT", &object("a.ics"), &[], &event("two", "20261201T090000Z", "x")).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("no-uid-conflict"), "{}", answer.text());
}

#[tokio::test]
async fn media_types_are_taken_as_clients_send_them() {
    let app = TestApp::with_users().await;
    let types = ["text/calendar; charset=utf-8; charset=utf-8", "TEXT/CALENDAR", "", "application/octet-stream"];
    for (n, media_type) in types.iter().enumerate() {
        let body = event(&n.to_string(), "20261201T090000Z", "x");
        let answer = app.alice("PUT", &object(&n.to_string()), &[("content-type", media_type)], &body).await;
        assert_eq!(answer.status, 201, "{media_type}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let app = TestApp::with_users().await;
    let tag = app.with_event("a.ics", "one").await;
    let page = |app: &TestApp| {
        let context = app.context.clone();
        async move { context.store.events(0, 100).await.expect("events").rows.len() }
    };
    let before = (app.alice("HEAD", CALENDAR, &[], "").await.header("etag").map(str::to_owned), page(&app).await);
    let again = app.alice("PUT", &object("a.ics"), &[], &event("one", "20261201T090000Z", "x")).await;
    assert_eq!((again.status, again.header("etag")), (204, Some(tag.as_str())));
    let after = (app.alice("HEAD", CALENDAR, &[], "").await.header("etag").map(str::to_owned), page(&app).await);
    assert_eq!(before, after);
}

#[tokio::test]
async fn jcal_is_stored_as_icalendar_and_has_no_tag_then() {
    let app = TestApp::with_users().await;
    app.with_event("a.ics", "one").await;
    let accept = [("accept", "application/calendar+json")];
    let jcal = app.alice("GET", &object("a.ics"), &accept, "").await;
    assert!(jcal.header("content-type").is_some_and(|t| t.starts_with("application/calendar+json")));
    assert_eq!(jcal.header("vary"), Some("Accept, CalDAV-Timezones"));
    let other = jcal.text().replace("\"one\"", "\"two\"");
    let media_type = [("content-type", "application/calendar+json")];
    let put = app.alice("PUT", &object("b.ics"), &media_type, &other).await;
    assert_eq!((put.status, put.header("etag")), (201, None), "{}", put.text());
    let got = app.alice("GET", &object("b.ics"), &[], "").await;
    assert!(got.text().contains("UID:two"), "{}", got.text());
}

#[tokio::test]
async fn collections_and_fixed_places_take_no_put() {
    let app = TestApp::with_users().await;
    app.with_folder("d").await;
    let table = [
        (CALENDAR, 405),
        ("/dav/calendars/alice/none", 403),
        ("/dav/calendars/alice/", 405),
        ("/dav/principals/alice/", 405),
        ("/dav/", 405),
        ("/dav/files/alice/d", 405),
        ("/dav/files/alice/d/", 405),
        ("/dav/files/alice/", 405),
        ("/dav/files/alice/none/x", 409),
        ("/dav/calendars/alice/none/x.ics", 409),
    ];
    for (path, status) in table {
        let answer = app.alice("PUT", path, &[], "x").await;
        assert_eq!(answer.status, status, "{path}");
        // What is allowed is told, and never the method that just was not (RFC 9110 §15.5.6).
        let allow = answer.header("allow").unwrap_or("");
        assert_eq!((allow.contains("GET"), allow.contains("PUT")), (status == 405, false), "{path}: {allow}");
    }
}

#[tokio::test]
async fn files_keep_type_and_language() {
    let app = TestApp::with_users().await;
    let headers = [("content-type", "text/html; charset=x"), ("content-language", "de, en")];
    assert_eq!(app.alice("PUT", &file("a"), &headers, "<b>").await.status, 201);
    let got = app.alice("GET", &file("a"), &[], "").await;
    assert_eq!(got.header("content-type"), Some("text/html; charset=x"));
    assert_eq!(got.header("content-language"), Some("de, en"));
    assert!(got.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
}

#[tokio::test]
async fn a_part_cannot_be_put() {
    let app = TestApp::with_users().await;
    let answer = app.alice("PUT", &file("a"), &[("content-range", "bytes 0-1/4")], "ab").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn prefer_representation_saves_a_get() {
    let app = TestApp::with_users().await;
    let body = event("one", "20261201T090000Z", "x");
    let prefer = ("prefer", "return=representation");
    let answer = app.alice("PUT", &object("a.ics"), &[prefer], &body).await;
    assert_eq!((answer.status, answer.text()), (201, body.clone()));
    assert_eq!(answer.header("preference-applied"), Some("return=representation"));
    assert_eq!(answer.header("content-location"), Some("/dav/calendars/alice/default/a.ics"));
    let refused = app.alice("PUT", &object("a.ics"), &[prefer, ("if-none-match", "*")], &body).await;
    assert_eq!((refused.status, refused.text()), (412, body));
}

#[tokio::test]
async fn post_adds_a_member_under_a_name_of_the_server() {
    let app = TestApp::with_users().await;
    let answer = app.alice("POST", CALENDAR, &[], &event("one", "20261201T090000Z", "x")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let location = answer.header("location").expect("where it is").to_owned();
    let path = location.strip_prefix("http://localhost:8008").expect("an absolute URL");
    assert_eq!(app.status(path).await, 200);
    assert!(answer.header("etag").is_some());
    let again = app.alice("POST", CALENDAR, &[], &event("one", "20261201T090000Z", "x")).await;
    assert!(again.text().contains("no-uid-conflict"), "{}", again.text());
    let slug = app.alice("POST", FILES, &[("slug", "A%20title/.."), ("content-type", "text/plain")], "hello").await;
    assert_eq!(slug.header("location"), Some("http://localhost:8008/dav/files/alice/A%20title"));
    let second = app.alice("POST", FILES, &[("slug", "A%20title")], "hello").await;
    assert_eq!(second.status, 201);
    assert_ne!(second.header("location"), slug.header("location"));
    assert_eq!(app.alice("POST", &file("A%20title"), &[], "x").await.status, 405);
}

#[tokio::test]
async fn delete_takes_objects_and_whole_collections() {
    let app = TestApp::with_users().await;
    let tag = app.with_event("a.ics", "one").await;
    assert_eq!(app.alice("DELETE", &object("a.ics"), &[("if-match", "\"other\"")], "").await.status, 412);
    assert_eq!(app.alice("DELETE", &object("a.ics"), &[("if-match", &tag)], "").await.status, 204);
    assert_eq!(app.alice("DELETE", &object("a.ics"), &[], "").await.status, 404);
    app.with_event("a.ics", "one").await;
    assert_eq!(app.alice("DELETE", CALENDAR, &[("depth", "0")], "").await.status, 204);
    assert_eq!(app.status(&object("a.ics")).await, 404);
    app.with_folder("d").await;
    app.with_folder("d/e").await;
    app.with_file("d/e/f", "x").await;
    assert_eq!(app.alice("DELETE", &file("d/"), &[], "").await.status, 204);
    for gone in ["d/", "d/e/", "d/e/f"] {
        assert_eq!(app.status(&file(gone)).await, 404, "{gone}");
    }
}

#[tokio::test]
async fn homes_roots_and_principals_stay() {
    let app = TestApp::with_users().await;
    for path in ["/", "/dav/", "/dav/calendars/alice/", "/dav/files/alice/", "/dav/principals/alice/"] {
        assert_eq!(app.alice("DELETE", path, &[], "").await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn options_tells_by_the_shape_of_the_path_alone() {
    let app = TestApp::with_users().await;
    for path in [CALENDAR, "/dav/calendars/nobody/none/", "/dav/", "/dav/principals/alice/"] {
        let answer = app.send(None, "OPTIONS", path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
        let dav = answer.header("dav").expect("compliance classes");
        assert!(dav.starts_with("1, 2, 3, access-control, calendar-access"), "{dav}");
    }
    let mine = app.send(None, "OPTIONS", CALENDAR, &[], "").await;
    let none = app.send(None, "OPTIONS", "/dav/calendars/nobody/none/", &[], "").await;
    assert_eq!(mine.headers, none.headers);
}
