//! Conditional requests: RFC 9110 §13 and RFC 4918 §10.4.

use super::*;

/// Method, path, headers, status.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

#[tokio::test]
async fn the_table_of_conditions() {
    let app = TestApp::with_users().await;
    let tag = app.with_event("a.ics", "one").await;
    let list = format!("\"x\", {tag}");
    let weak = format!("W/{tag}");
    let (a, none) = (object("a.ics"), object("none.ics"));
    let (past, now) = ("Sat, 21 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 12:00:00 GMT");
    let table: &[Row<'_>] = &[
        ("GET", &a, &[("if-none-match", &tag)], 304),
        ("GET", &a, &[("if-none-match", &weak)], 304),
        ("GET", &a, &[("if-none-match", &list)], 304),
        ("GET", &a, &[("if-none-match", "*")], 304),
        ("GET", &a, &[("if-none-match", "\"x\"")], 200),
        ("HEAD", &a, &[("if-none-match", &tag)], 304),
        ("GET", &a, &[("if-modified-since", now)], 304),
        ("GET", &a, &[("if-modified-since", past)], 200),
        ("GET", &a, &[("if-modified-since", "nonsense")], 200),
        ("GET", &a, &[("if-modified-since", now), ("if-none-match", "\"x\"")], 200),
        ("GET", &a, &[("if-match", "\"x\"")], 412),
        ("GET", &a, &[("if-unmodified-since", past)], 412),
        ("GET", &a, &[("if-unmodified-since", "Sunday, 22-Nov-26 12:00:00 GMT")], 200),
        ("GET", &a, &[("if-unmodified-since", "Sun Nov 22 12:00:00 2026")], 200),
        ("PUT", &a, &[("if-match", "\"x\"")], 412),
        ("PUT", &a, &[("if-match", &weak)], 412),
        ("PUT", &a, &[("if-none-match", "*")], 412),
        ("PUT", &a, &[("if-none-match", &tag)], 412),
        ("PUT", &a, &[("if-unmodified-since", past)], 412),
        ("PUT", &none, &[("if-match", "*")], 412),
        ("PUT", &none, &[("if-match", &tag)], 412),
        ("DELETE", &a, &[("if-match", "\"x\"")], 412),
        ("PUT", &a, &[("if-match", &list)], 204),
        ("PUT", &a, &[("if-match", "*")], 204),
        ("PUT", &none, &[("if-none-match", "*")], 201),
        ("GET", &object("gone"), &[("if-none-match", "*")], 404),
    ];
    for (n, (method, path, headers, status)) in table.iter().enumerate() {
        let uid = if *path == a { "one" } else { "two" };
        let body = if *method == "PUT" { event(uid, "20261201T090000Z", "x") } else { String::new() };
        let answer = app.alice(method, path, headers, &body).await;
        assert_eq!(answer.status, *status, "row {n}: {method} {path} {headers:?}");
    }
}

#[tokio::test]
async fn the_if_header_decides_by_etag() {
    let app = TestApp::with_users().await;
    let tag = app.with_file("a", "one").await;
    let table = [
        (format!("([{tag}])"), 204),
        ("([\"x\"])".to_owned(), 412),
        (format!("([\"x\"]) ([{tag}])"), 204),
        ("(Not [\"x\"])".to_owned(), 204),
        (format!("(Not [{tag}])"), 412),
        ("(<DAV:no-lock>)".to_owned(), 412),
        ("(Not <DAV:no-lock>)".to_owned(), 204),
        (format!("(<DAV:no-lock> [{tag}])"), 412),
        (format!("</dav/files/alice/a> ([{tag}])"), 204),
        (format!("<http://localhost:8008/dav/files/alice/a> ([{tag}])"), 204),
        (format!("<http://other.example/dav/files/alice/a> ([{tag}])"), 412),
        ("</dav/files/alice/none> (Not [\"x\"])".to_owned(), 204),
        ("</dav/files/alice/none> ([\"x\"])".to_owned(), 412),
        ("(".to_owned(), 400),
        ("()".to_owned(), 400),
        ("nonsense".to_owned(), 400),
        ("</a>".to_owned(), 400),
    ];
    for (value, status) in table {
        let answer = app.alice("PUT", &file("a"), &[("if", &value)], "one").await;
        assert_eq!(answer.status, status, "{value}");
    }
}

/// As many lists as a header has room for, of few resources and of many.
#[tokio::test]
async fn the_if_header_may_have_thousands_of_lists() {
    let app = TestApp::with_users().await;
    let tag = app.with_file("a", "one").await;
    let path = "/dav/files/alice/a";
    let others: String = (0..500).map(|n| format!("</dav/files/alice/none-{n}> ([\"x\"]) ")).collect();
    let table = [
        (format!("{}([{tag}])", "([\"x\"]) ".repeat(3_000)), 204),
        ("([\"x\"]) ".repeat(3_000), 412),
        (format!("{others}<{path}> ([\"x\"]) ([{tag}])"), 204),
        (format!("{others}<{path}> ([\"x\"]) <http://elsewhere.example/a> ([{tag}])"), 412),
        (format!("{others}<http://elsewhere.example/a> (Not <urn:x>)"), 204),
    ];
    for (n, (value, status)) in table.iter().enumerate() {
        let answer = app.alice("PUT", path, &[("if", value)], "one").await;
        assert_eq!(answer.status, *status, "row {n}");
    }
}

#[tokio::test]
async fn of_many_conditional_writers_one_wins() {
    let app = std::sync::Arc::new(TestApp::with_users().await);
    let tag = app.with_event("a.ics", "one").await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (app, tag) = (app.clone(), tag.clone());
            let body = event("one", "20261201T090000Z", &format!("by {n}"));
            tokio::spawn(async move { app.alice("PUT", &object("a.ics"), &[("if-match", &tag)], &body).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.expect("no panic"));
    }
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 15, "{statuses:?}");
}

#[tokio::test]
async fn unconditional_writers_all_get_through() {
    let app = std::sync::Arc::new(TestApp::with_users().await);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let app = app.clone();
            let body = event("one", "20261201T090000Z", &format!("by {n}"));
            tokio::spawn(async move { app.alice("PUT", &object("a.ics"), &[], &body).await.status })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            201 => created += 1,
            status => assert_eq!(status, 204),
        }
    }
    assert_eq!(created, 1);
}

/// What a broken or hostile client puts into headers is answered, never fatal.
#[test]
fn any_header_gets_an_answer() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let app = runtime.block_on(TestApp::with_users());
    runtime.block_on(app.with_file("a", "0123456789"));
    let pieces = prop::sample::select(vec![
        "(",
        ")",
        "<",
        ">",
        "[",
        "]",
        "Not ",
        "\"",
        "W/",
        "\"x\"",
        "urn:uuid:1",
        "DAV:no-lock",
        "/dav/files/alice/a",
        ",",
        "*",
        " ",
        "http://localhost:8008",
        "bytes=",
        "-",
        "1",
        "99999999999999999999",
        "Second-",
        "Infinite",
        ";q=",
        "~",
        "a",
    ]);
    let value = prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat());
    let names = prop::sample::select(vec![
        "if",
        "if-match",
        "if-none-match",
        "if-range",
        "range",
        "destination",
        "depth",
        "overwrite",
        "timeout",
        "lock-token",
        "prefer",
        "accept",
        "if-modified-since",
        "slug",
        "content-type",
    ]);
    let methods = prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "MOVE", "LOCK", "UNLOCK"]);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let cases = (methods, prop::collection::vec((names, value), 1..4));
    runner
        .run(&cases, |(method, headers)| {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = runtime.block_on(app.alice(method, &file("a"), &headers, ""));
            prop_assert!(answer.status < 500 || answer.status == 502, "{} {:?}", answer.status, headers);
            Ok(())
        })
        .expect("every answer is one");
}
