//! Writers and readers at the same time: nothing that was acknowledged is lost, and nothing is shown that never was.

use std::sync::Arc;

use kalends::base::ETag;

use super::*;

const ROUNDS: usize = 60;

fn property(name: &str) -> String {
    format!(
        r#"<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x:{name} xmlns:x="urn:x">1</x:{name}></D:prop></D:set></D:propertyupdate>"#
    )
}

async fn patch(app: &TestApp, path: &str, name: &str) {
    let answer = app.alice("PROPPATCH", path, &[], &property(name)).await;
    assert!(answer.status == 207 && answer.text().contains("200 OK"), "{}", answer.text());
    tokio::task::yield_now().await;
}

/// Stores another event of the same UID again and again, as long as it is where `path` says.
async fn rewrite(app: Arc<TestApp>, path: String) {
    for n in 0..3 * ROUNDS {
        let text = event("u", "20261201T090000Z", &format!("round {n}"));
        let answer = app.alice("PUT", &path, &[("if-match", "*")], &text).await;
        assert!(matches!(answer.status, 204 | 412), "{}", answer.text());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_put_never_undoes_a_proppatch() {
    let app = Arc::new(TestApp::with_users().await);
    app.with_event("x.ics", "u").await;
    let writer = tokio::spawn(rewrite(Arc::clone(&app), object("x.ics")));
    for n in 0..ROUNDS {
        patch(&app, &object("x.ics"), &format!("p{n}")).await;
    }
    writer.await.expect("the writer is done");
    let all = app.alice("PROPFIND", &object("x.ics"), &[("depth", "0")], "").await.text();
    for n in 0..ROUNDS {
        assert!(all.contains(&format!("p{n} ")) || all.contains(&format!("p{n}>")), "p{n} was lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_proppatches_of_a_principal_both_stay() {
    let app = Arc::new(TestApp::with_users().await);
    let path = "/dav/principals/alice/";
    let other = Arc::clone(&app);
    let second = tokio::spawn(async move {
        for n in 0..ROUNDS {
            patch(&other, path, &format!("b{n}")).await;
        }
    });
    for n in 0..ROUNDS {
        patch(&app, path, &format!("a{n}")).await;
    }
    second.await.expect("the second is done");
    let all = app.alice("PROPFIND", path, &[("depth", "0")], "").await.text();
    for name in (0..ROUNDS).flat_map(|n| [format!("a{n}"), format!("b{n}")]) {
        assert!(all.contains(&format!("{name} ")) || all.contains(&format!("{name}>")), "{name} was lost");
    }
}

/// A client that is told 404 by MOVE stores the event anew, and has it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_move_waits_for_writers() {
    let app = Arc::new(TestApp::with_users().await);
    app.with_event("x.ics", "u").await;
    let writer = tokio::spawn(rewrite(Arc::clone(&app), object("x.ics")));
    for _ in 0..ROUNDS {
        for (from, to) in [("x.ics", "y.ics"), ("y.ics", "x.ics")] {
            let answer = app.alice("MOVE", &object(from), &[("destination", &object(to))], "").await;
            assert_eq!(answer.status, 201, "{from}: {}", answer.text());
        }
    }
    writer.await.expect("the writer is done");
}

/// An object that is changed again and again is in every answer, once, with the tag of the very data that is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reports_show_what_was_there() {
    let app = Arc::new(TestApp::with_users().await);
    app.with_event("x.ics", "u").await;
    let writer = tokio::spawn(rewrite(Arc::clone(&app), object("x.ics")));
    let wanted =
        r#"xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop>"#;
    let query = format!(
        r#"<C:calendar-query {wanted}<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:prop-filter name="SUMMARY"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"#
    );
    let multiget = format!("<C:calendar-multiget {wanted}<D:href>{}</D:href></C:calendar-multiget>", object("x.ics"));
    for body in [&query, &multiget].into_iter().cycle().take(2 * ROUNDS) {
        let answer = app.alice("REPORT", CALENDAR, &[("depth", "1")], body).await;
        let root = kalends::xml::parse(&answer.body, &kalends::base::Limits::default()).expect("XML");
        let found = texts(&root);
        let [tag, data] = found.as_slice() else { panic!("{}", answer.text()) };
        assert_eq!(*tag, ETag::of(data.as_bytes()).to_string());
    }
    writer.await.expect("the writer is done");
}

/// The texts of all DAV:getetag and CALDAV:calendar-data elements, in order.
fn texts(element: &kalends::xml::Element) -> Vec<String> {
    let own = matches!(element.name.local.as_str(), "getetag" | "calendar-data").then(|| element.text());
    own.into_iter().chain(element.children().flat_map(texts)).collect()
}

/// A calendar that is written to all the time can be given another colour, shared and deleted nevertheless: its members are none
/// of its own properties.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_busy_calendar_can_be_changed() {
    let app = Arc::new(TestApp::with_users().await);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..8).map(|n| tokio::spawn(fill(Arc::clone(&app), Arc::clone(&stop), n))).collect();
    for n in 0..ROUNDS / 4 {
        patch(&app, CALENDAR, &format!("p{n}")).await;
        let grants = r#"<D:acl xmlns:D="DAV:"><D:ace><D:principal><D:href>/dav/principals/bob/</D:href></D:principal><D:grant><D:privilege><D:read/></D:privilege></D:grant></D:ace></D:acl>"#;
        let answer = app.alice("ACL", CALENDAR, &[], grants).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answer = app.alice("DELETE", CALENDAR, &[], "").await;
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("the writer is done");
    }
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(app.alice("PROPFIND", CALENDAR, &[("depth", "0")], "").await.status, 404);
}

/// Stores an event of this writer's own again and again.
async fn fill(app: Arc<TestApp>, stop: Arc<std::sync::atomic::AtomicBool>, writer: usize) {
    let mut round = 0;
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        let uid = format!("w{writer}");
        let text = event(&uid, "20261201T090000Z", &format!("round {round}"));
        let answer = app.alice("PUT", &object(&format!("{uid}.ics")), &[], &text).await;
        assert!(matches!(answer.status, 201 | 204 | 409), "{}", answer.text());
        round += 1;
    }
}
