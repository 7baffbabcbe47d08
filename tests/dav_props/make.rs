use kalends::xml::ns;

use crate::answers::{Multistatus, ask, condition, document};
use crate::common::{Answer, TestApp};

const HOME: &str = "/dav/calendars/alice/";

async fn make(app: &TestApp, method: &str, path: &str, body: impl Into<String>) -> Answer {
    app.send(Some("alice"), method, path, &[], body.into()).await
}

async fn find(app: &TestApp, path: &str, names: &str) -> Multistatus {
    Multistatus::of(&app.send(Some("alice"), "PROPFIND", path, &[("depth", "0")], ask(names)).await)
}

fn components(found: &Multistatus, path: &str) -> Vec<String> {
    let set = found.prop(path, ns::CALDAV, "supported-calendar-component-set");
    set.children().filter_map(|comp| comp.attribute("name").map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_calendar_is_made_without_a_body() {
    let app = TestApp::with_users().await;
    let answer = make(&app, "MKCALENDAR", "/dav/calendars/alice/B%C3%BCro", "").await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-cache")));
    let path = "/dav/calendars/alice/B%C3%BCro/";
    let found = find(&app, path, "D:resourcetype D:displayname").await;
    assert!(found.prop(path, ns::DAV, "resourcetype").child(ns::CALDAV, "calendar").is_some());
    assert_eq!(found.text(path, ns::DAV, "displayname"), "Büro");
}

#[tokio::test]
async fn the_rfcs_own_example_works() {
    let app = TestApp::with_users().await;
    let body = r#"<?xml version="1.0" encoding="utf-8" ?>
   <C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
     <D:set><D:prop>
         <D:displayname>Lisa's Events</D:displayname>
         <C:calendar-description xml:lang="en">Calendar restricted to events.</C:calendar-description>
         <C:supported-calendar-component-set><C:comp name="VEVENT"/></C:supported-calendar-component-set>
         <C:calendar-timezone><![CDATA[BEGIN:VCALENDAR
PRODID:-//Example Corp.//CalDAV Client//EN
VERSION:2.0
BEGIN:VTIMEZONE
TZID:US-Eastern
LAST-MODIFIED:19870101T000000Z
BEGIN:STANDARD
DTSTART:19671029T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
TZNAME:Eastern Standard Time (US & Canada)
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19870405T020000
RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=4
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
TZNAME:Eastern Daylight Time (US & Canada)
END:DAYLIGHT
END:VTIMEZONE
END:VCALENDAR
]]></C:calendar-timezone>
     </D:prop></D:set>
   </C:mkcalendar>"#;
    let path = "/dav/calendars/alice/events/";
    let answer = make(&app, "MKCALENDAR", path, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let names = "D:displayname C:calendar-description C:calendar-timezone-id C:supported-calendar-component-set";
    let found = find(&app, path, names).await;
    assert_eq!(found.text(path, ns::DAV, "displayname"), "Lisa's Events");
    assert_eq!(found.prop(path, ns::CALDAV, "calendar-description").lang(), Some("en"));
    assert_eq!(found.text(path, ns::CALDAV, "calendar-timezone-id"), "US-Eastern");
    assert_eq!(components(&found, path), ["VEVENT"]);
}

#[tokio::test]
async fn clients_of_all_kinds_make_calendars() {
    let app = TestApp::with_users().await;
    let types = |inside: &str| format!("<D:set><D:prop><D:resourcetype>{inside}</D:resourcetype></D:prop></D:set>");
    let subscribed = types("<D:collection/><CS:subscribed/>")
        + "<D:set><D:prop><CS:source><D:href>http://example.com/a.ics</D:href></CS:source></D:prop></D:set>";
    for (name, method, root, inside) in [
        ("davx5", "MKCALENDAR", "C:mkcalendar", types("<D:collection/><C:calendar/>")),
        ("macos", "MKCALENDAR", "C:mkcalendar", subscribed),
        ("vdirsyncer", "MKCOL", "D:mkcol", types("<D:collection/><C:calendar/>")),
        (
            "two-sets",
            "MKCOL",
            "D:mkcol",
            types("<D:collection/><C:calendar/>") + "<D:set><D:prop><D:displayname>n</D:displayname></D:prop></D:set>",
        ),
    ] {
        let answer = make(&app, method, &format!("{HOME}{name}"), document(root, &inside)).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        let path = format!("{HOME}{name}/");
        let found = find(&app, &path, "D:resourcetype CS:source").await;
        let kinds = found.prop(&path, ns::DAV, "resourcetype");
        assert!(kinds.child(ns::CALDAV, "calendar").is_some());
        assert_eq!(kinds.child(ns::CS, "subscribed").is_some(), name == "macos");
        assert_eq!(found.status(&path, ns::CS, "source"), Some(if name == "macos" { 200 } else { 404 }));
    }
}

#[tokio::test]
async fn one_wrong_property_and_nothing_is_made() {
    let app = TestApp::with_users().await;
    let path = "/dav/calendars/alice/new/";
    let set = |inside: &str| format!("<D:set><D:prop><D:displayname>n</D:displayname>{inside}</D:prop></D:set>");
    let body = document("C:mkcalendar", &set("<C:calendar-timezone>no</C:calendar-timezone>"));
    let answer = make(&app, "MKCALENDAR", path, body).await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "valid-calendar-data"));
    let answer = make(&app, "MKCALENDAR", path, document("C:mkcalendar", &set("<D:getetag>x</D:getetag>"))).await;
    let told = Multistatus::of(&answer);
    assert_eq!(told.status(path, ns::DAV, "getetag"), Some(403));
    assert_eq!(told.status(path, ns::DAV, "displayname"), Some(424));
    let kind = "<D:resourcetype><D:collection/><x:special xmlns:x=\"urn:x\"/></D:resourcetype>";
    let answer = make(&app, "MKCOL", path, document("D:mkcol", &set(kind))).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("mkcol-response") && answer.text().contains("<D:valid-resourcetype/>"));
    assert!(answer.text().contains("424"));
    assert_eq!(make(&app, "PROPFIND", path, ask("D:displayname")).await.status, 404);
}

#[tokio::test]
async fn calendars_are_made_in_homes_alone_and_under_free_names() {
    let app = TestApp::with_users().await;
    let answer = make(&app, "MKCALENDAR", "/dav/calendars/alice/default/", "").await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "resource-must-be-null"));
    let calendar = "<D:set><D:prop><D:resourcetype><D:collection/><C:calendar/></D:resourcetype></D:prop></D:set>";
    let answer = make(&app, "MKCOL", "/dav/calendars/alice/default/", document("D:mkcol", calendar)).await;
    assert_eq!(answer.status, 405);
    for path in ["/dav/calendars/alice/default/inner", "/dav/files/alice/cal/"] {
        let answer = make(&app, "MKCALENDAR", path, "").await;
        assert_eq!((answer.status, condition(&answer).as_str()), (403, "calendar-collection-location-ok"), "{path}");
    }
    assert_eq!(make(&app, "MKCALENDAR", "/dav/calendars/bob/new/", "").await.status, 404);
    assert_eq!(make(&app, "MKCALENDAR", "/dav/calendars/nobody/new/", "").await.status, 404);
    assert_eq!(make(&app, "MKCALENDAR", "/dav/calendars/alice/new/", document("D:mkcol", "")).await.status, 415);
    assert_eq!(app.send(None, "MKCALENDAR", "/dav/calendars/alice/new/", &[], "").await.status, 401);
    assert_eq!(make(&app, "MKCOL", "/dav/calendars/alice/plain/", "").await.status, 403);
}

#[tokio::test]
async fn plain_collections_are_made_below_files() {
    let app = TestApp::with_users().await;
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/a/", "").await.status, 201);
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/a/b", "").await.status, 201);
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/a/", "").await.status, 405);
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/", "").await.status, 405);
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/none/b/", "").await.status, 409);
    assert_eq!(make(&app, "MKCOL", "/dav/files/bob/a/", "").await.status, 404);
    let headers = [("content-type", "xzy-foo/bar-512")];
    assert_eq!(app.send(Some("alice"), "MKCOL", "/dav/files/alice/c/", &headers, "afafafaf").await.status, 415);
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/c/", document("D:else", "")).await.status, 415);
    let body = document(
        "D:mkcol",
        "<D:set><D:prop><D:resourcetype><D:collection/></D:resourcetype><D:displayname>C</D:displayname></D:prop></D:set>",
    );
    assert_eq!(make(&app, "MKCOL", "/dav/files/alice/c/", body).await.status, 201);
    let found = find(&app, "/dav/files/alice/c/", "D:displayname D:resourcetype").await;
    assert_eq!(found.text("/dav/files/alice/c/", ns::DAV, "displayname"), "C");
    let listing = app.send(Some("alice"), "PROPFIND", "/dav/files/alice/", &[("depth", "1")], "").await;
    let hrefs = Multistatus::of(&listing).hrefs();
    assert_eq!(hrefs, ["/dav/files/alice/", "/dav/files/alice/a/", "/dav/files/alice/c/"]);
}

/// The limit collections_max holds for all that lies below a user's files, at whatever depth.
#[tokio::test]
async fn nested_collections_count_together() {
    let mut app = TestApp::with_users().await;
    std::sync::Arc::get_mut(&mut app.context).expect("nobody else has it").limits.collections_max = 3;
    for path in ["a/", "a/b/", "a/b/c/"] {
        assert_eq!(make(&app, "MKCOL", &format!("/dav/files/alice/{path}"), "").await.status, 201, "{path}");
    }
    let answer = make(&app, "MKCOL", "/dav/files/alice/a/b/c/d/", "").await;
    assert_eq!((answer.status, condition(&answer).as_str()), (507, "quota-not-exceeded"));
}
