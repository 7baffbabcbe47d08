use kalends::xml::ns;

use crate::answers::{Multistatus, ask, condition, document, hrefs, propstats};
use crate::common::TestApp;

const HOME: &str = "/dav/calendars/alice/";
const CALENDAR: &str = "/dav/calendars/alice/default/";
const PRINCIPAL: &str = "/dav/principals/alice/";

fn event(uid: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\n\
         DTSTART:20261122T120000Z\r\nDTEND:20261122T130000Z\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

async fn find(app: &TestApp, user: &str, path: &str, depth: &str, names: &str) -> Multistatus {
    Multistatus::of(&app.send(Some(user), "PROPFIND", path, &[("depth", depth)], ask(names)).await)
}

#[tokio::test]
async fn a_client_finds_its_calendars_from_the_root() {
    let app = TestApp::with_users().await;
    for start in ["/", "/dav/", "/dav/principals/", HOME] {
        let answer = find(&app, "alice", start, "0", "D:current-user-principal D:resourcetype").await;
        assert_eq!(hrefs(answer.prop(start, ns::DAV, "current-user-principal")), [PRINCIPAL]);
        assert!(answer.prop(start, ns::DAV, "resourcetype").child(ns::DAV, "collection").is_some());
    }
    let names = "C:calendar-home-set C:calendar-user-address-set D:resourcetype D:displayname D:principal-URL";
    let answer = find(&app, "alice", PRINCIPAL, "0", names).await;
    assert_eq!(hrefs(answer.prop(PRINCIPAL, ns::CALDAV, "calendar-home-set")), [HOME]);
    assert!(answer.prop(PRINCIPAL, ns::DAV, "resourcetype").child(ns::DAV, "principal").is_some());
    assert_eq!(answer.text(PRINCIPAL, ns::DAV, "displayname"), "alice");
    let addresses = answer.prop(PRINCIPAL, ns::CALDAV, "calendar-user-address-set");
    assert_eq!(hrefs(addresses), ["mailto:alice@example.com", PRINCIPAL, "mailto:alice@example.com"]);
    assert_eq!(addresses.children().next().and_then(|href| href.attribute("preferred")), Some("1"));

    let names = "D:resourcetype D:displayname CS:getctag D:sync-token C:supported-calendar-component-set";
    let answer = find(&app, "alice", HOME, "1", names).await;
    assert_eq!(answer.hrefs(), [HOME, CALENDAR]);
    assert!(answer.prop(CALENDAR, ns::DAV, "resourcetype").child(ns::CALDAV, "calendar").is_some());
    assert_eq!(answer.text(CALENDAR, ns::DAV, "displayname"), "default");
    assert!(answer.text(HOME, ns::CS, "getctag").starts_with("urn:kalends:sync:"));
    let set = answer.prop(CALENDAR, ns::CALDAV, "supported-calendar-component-set");
    let kinds: Vec<_> = set.children().filter_map(|comp| comp.attribute("name")).collect();
    assert_eq!(kinds, ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"]);
}

#[tokio::test]
async fn nobody_without_a_login_gets_an_answer() {
    let app = TestApp::with_users().await;
    for path in ["/", "/dav/", "/dav/principals/", PRINCIPAL, HOME, CALENDAR, "/dav/calendars/nobody/"] {
        let answer = app.send(None, "PROPFIND", path, &[("depth", "0")], ask("D:current-user-principal")).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}

#[tokio::test]
async fn strangers_and_what_is_not_there_look_alike() {
    let app = TestApp::with_users().await;
    for path in [
        "/dav/calendars/bob/",
        "/dav/calendars/bob/default/",
        "/dav/calendars/bob/none/",
        "/dav/calendars/nobody/",
        "/dav/principals/bob/",
        "/dav/principals/nobody/",
        "/dav/files/bob/",
        "/dav/calendars/alice/none/",
    ] {
        let answer = app.send(Some("alice"), "PROPFIND", path, &[("depth", "0")], ask("D:displayname")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let listing = find(&app, "alice", "/dav/principals/", "1", "D:displayname").await;
    assert_eq!(listing.hrefs(), ["/dav/principals/", PRINCIPAL]);
    let listing = find(&app, "alice", "/dav/calendars/", "1", "D:displayname").await;
    assert_eq!(listing.hrefs(), ["/dav/calendars/", HOME]);
}

#[tokio::test]
async fn objects_show_what_clients_sync_by() {
    let app = TestApp::with_users().await;
    let object = "/dav/calendars/alice/default/a%20b%25%40.ics";
    let put = app.send(Some("alice"), "PUT", object, &[("content-type", "text/calendar")], event("1")).await;
    assert_eq!(put.status, 201);
    let listing =
        find(&app, "alice", CALENDAR, "1", "D:getetag D:getcontenttype D:getcontentlength D:resourcetype").await;
    let href = "/dav/calendars/alice/default/a%20b%25@.ics";
    assert_eq!(listing.hrefs(), [CALENDAR, href]);
    assert_eq!(Some(listing.text(href, ns::DAV, "getetag").as_str()), put.header("etag"));
    assert!(listing.text(href, ns::DAV, "getcontenttype").starts_with("text/calendar"));
    assert_eq!(listing.text(href, ns::DAV, "getcontentlength"), event("1").len().to_string());
    assert_eq!(listing.prop(href, ns::DAV, "resourcetype").children().count(), 0);
    assert_eq!(listing.status(CALENDAR, ns::DAV, "getetag"), Some(404));
    let get = app.send(Some("alice"), "GET", object, &[], "").await;
    assert_eq!(get.header("content-type"), Some(listing.text(href, ns::DAV, "getcontenttype").as_str()));
}

#[tokio::test]
async fn the_ctag_and_the_token_move_with_every_change() {
    let app = TestApp::with_users().await;
    let mut seen = Vec::new();
    for round in 0..3 {
        let answer = find(&app, "alice", HOME, "1", "CS:getctag D:sync-token").await;
        for path in [HOME, CALENDAR] {
            let ctag = answer.text(path, ns::CS, "getctag");
            assert!(!seen.contains(&ctag), "round {round}");
            seen.push(ctag);
        }
        let body = if round % 2 == 0 { event("1") } else { event("1").replace("SUMMARY:x", "SUMMARY:y") };
        app.send(Some("alice"), "PUT", "/dav/calendars/alice/default/1.ics", &[], body).await;
    }
}

#[tokio::test]
async fn infinity_is_refused_on_collections_and_served_on_principals() {
    let app = TestApp::with_users().await;
    let ask_for = |path: &'static str, headers: &'static [(&'static str, &'static str)]| {
        let app = &app;
        async move { app.send(Some("alice"), "PROPFIND", path, headers, ask("D:displayname")).await }
    };
    for path in ["/dav/", HOME, CALENDAR, "/dav/files/alice/"] {
        let answer = ask_for(path, &[("depth", "infinity")]).await;
        assert_eq!((answer.status, condition(&answer).as_str()), (403, "propfind-finite-depth"), "{path}");
        assert_eq!(ask_for(path, &[]).await.status, 207, "{path} without a Depth");
    }
    assert_eq!(Multistatus::of(&ask_for(PRINCIPAL, &[("depth", "infinity")]).await).hrefs(), [PRINCIPAL]);
    assert_eq!(ask_for(CALENDAR, &[("depth", "2")]).await.status, 400);
}

#[tokio::test]
async fn allprop_gives_what_rfc_4918_defines_and_dead_properties() {
    let app = TestApp::with_users().await;
    let patch = document(
        "D:propertyupdate",
        "<D:set><D:prop><A:calendar-color symbolic-color=\"red\">#FF0000FF</A:calendar-color></D:prop></D:set>",
    );
    assert_eq!(app.send(Some("alice"), "PROPPATCH", CALENDAR, &[], patch).await.status, 207);
    for body in [String::new(), document("D:propfind", "<D:allprop/>")] {
        let answer = Multistatus::of(&app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0")], body).await);
        for name in ["creationdate", "displayname", "getlastmodified", "lockdiscovery", "resourcetype", "supportedlock"]
        {
            assert_eq!(answer.status(CALENDAR, ns::DAV, name), Some(200), "{name}");
        }
        assert_eq!(answer.status(CALENDAR, ns::APPLE, "calendar-color"), Some(200));
        for name in ["acl", "supported-report-set", "sync-token", "quota-used-bytes"] {
            assert_eq!(answer.status(CALENDAR, ns::DAV, name), None, "{name}");
        }
        assert_eq!(propstats(answer.response(CALENDAR)).count(), 1);
    }
    let body = document("D:propfind", "<D:allprop/><D:include><D:sync-token/><D:displayname/><D:none/></D:include>");
    let answer = Multistatus::of(&app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0")], body).await);
    assert_eq!(answer.status(CALENDAR, ns::DAV, "sync-token"), Some(200));
    assert_eq!(answer.status(CALENDAR, ns::DAV, "none"), Some(404));
    let names = propstats(answer.response(CALENDAR)).next().expect("a propstat").1;
    assert_eq!(names.children().filter(|p| p.is(ns::DAV, "displayname")).count(), 1, "a property shows up once");
}

#[tokio::test]
async fn propname_names_what_is_there_without_values() {
    let app = TestApp::with_users().await;
    let body = document("D:propfind", "<D:propname/>");
    let answer = Multistatus::of(&app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0")], body).await);
    let named = propstats(answer.response(CALENDAR)).next().expect("a propstat").1;
    for (namespace, name) in
        [(ns::DAV, "acl"), (ns::DAV, "sync-token"), (ns::CALDAV, "max-resource-size"), (ns::CS, "getctag")]
    {
        assert!(named.child(namespace, name).is_some_and(|e| e.nodes.is_empty()), "{name}");
    }
    assert!(named.child(ns::CALDAV, "calendar-description").is_none(), "what has no value is not there");
    assert!(named.child(ns::DAV, "getetag").is_none());
    // What is named can be asked for.
    let all: String =
        named.children().map(|name| kalends::xml::Element::new(&name.name.ns, &name.name.local).to_xml()).collect();
    let body = document("D:propfind", &format!("<D:prop>{all}</D:prop>"));
    let answer = Multistatus::of(&app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0")], body).await);
    let statuses: Vec<u16> = propstats(answer.response(CALENDAR)).map(|(status, _)| status).collect();
    assert_eq!(statuses, [200]);
}

#[tokio::test]
async fn preferences_leave_out_what_is_missing_and_the_root() {
    let app = TestApp::with_users().await;
    for header in [
        ("prefer", "return=minimal"),
        ("brief", "t"),
        ("prefer", "return-minimal"),
        ("prefer", "respond-async, return=\"minimal\""),
    ] {
        let answer =
            app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0"), header], ask("D:displayname D:none")).await;
        let answer = Multistatus::of(&answer);
        assert_eq!(propstats(answer.response(CALENDAR)).map(|(s, _)| s).collect::<Vec<_>>(), [200], "{header:?}");
    }
    let only_missing =
        app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0"), ("brief", "t")], ask("D:none")).await;
    let answer = Multistatus::of(&only_missing);
    let (status, prop) = propstats(answer.response(CALENDAR)).next().expect("a propstat all the same");
    assert_eq!((status, prop.nodes.len()), (200, 0));
    let noroot = |depth| [("depth", depth), ("prefer", "depth-noroot, return=minimal")];
    let answer = app.send(Some("alice"), "PROPFIND", HOME, &noroot("1"), ask("D:displayname")).await;
    assert_eq!(answer.header("preference-applied"), Some("return=minimal, depth-noroot"));
    assert_eq!(Multistatus::of(&answer).hrefs(), [CALENDAR]);
    let answer = app.send(Some("alice"), "PROPFIND", HOME, &noroot("0"), ask("D:displayname")).await;
    assert_eq!(Multistatus::of(&answer).hrefs(), [HOME]);
}

#[tokio::test]
async fn bodies_that_ask_for_nothing_are_refused() {
    let app = TestApp::with_users().await;
    for body in [
        "<propfind xmlns=\"DAV:\"/>".to_owned(),
        "<D:propfind xmlns:D=\"DAV:\"><D:prop><bar:foo xmlns:bar=\"\"/></D:prop></D:propfind>".to_owned(),
        "<foo".to_owned(),
        document("D:propertyupdate", ""),
        document("D:propfind", "<D:prop/><D:allprop/>"),
        document(
            "D:propfind",
            &format!("<D:prop>{}</D:prop>", (0..2000).map(|i| format!("<D:p{i}/>")).collect::<String>()),
        ),
    ] {
        let answer = app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0")], body.clone()).await;
        assert_eq!(answer.status, 400, "{}", &body[..body.len().min(100)]);
    }
}

#[tokio::test]
async fn calendars_tell_their_limits() {
    let app = TestApp::with_users().await;
    let names = "C:max-resource-size C:min-date-time C:max-date-time C:max-instances C:max-attendees-per-instance \
                 C:supported-calendar-data C:supported-collation-set D:supported-report-set D:quota-available-bytes \
                 D:quota-used-bytes D:owner D:add-member D:supportedlock C:schedule-calendar-transp \
                 D:current-user-privilege-set D:supported-privilege-set D:acl-restrictions D:principal-collection-set";
    let answer = find(&app, "alice", CALENDAR, "0", names).await;
    assert_eq!(propstats(answer.response(CALENDAR)).map(|(s, _)| s).collect::<Vec<_>>(), [200]);
    assert_eq!(answer.text(CALENDAR, ns::CALDAV, "max-resource-size"), "10485760");
    assert_eq!(hrefs(answer.prop(CALENDAR, ns::DAV, "owner")), [PRINCIPAL]);
    let reports: Vec<&str> = answer
        .prop(CALENDAR, ns::DAV, "supported-report-set")
        .children()
        .filter_map(|one| one.child(ns::DAV, "report")?.children().next().map(|report| report.name.local.as_str()))
        .collect();
    for report in [
        "calendar-query",
        "calendar-multiget",
        "free-busy-query",
        "sync-collection",
        "expand-property",
        "principal-match",
    ] {
        assert!(reports.contains(&report), "{report}");
    }
    let privileges: Vec<&str> = answer
        .prop(CALENDAR, ns::DAV, "current-user-privilege-set")
        .children()
        .filter_map(|privilege| privilege.children().next().map(|name| name.name.local.as_str()))
        .collect();
    for privilege in ["all", "read", "write", "write-properties", "write-content", "bind", "unbind", "read-free-busy"] {
        assert!(privileges.contains(&privilege), "{privilege}");
    }
    assert!(answer.prop(CALENDAR, ns::CALDAV, "schedule-calendar-transp").child(ns::CALDAV, "opaque").is_some());
}

#[tokio::test]
async fn locks_are_shown_where_they_hold() {
    let app = TestApp::with_users().await;
    let lock = document(
        "D:lockinfo",
        "<D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype><D:owner>me</D:owner>",
    );
    let answer = app.send(Some("alice"), "LOCK", "/dav/files/alice/", &[("depth", "infinity")], lock).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(app.send(Some("alice"), "PROPFIND", "/dav/files/alice/", &[], "").await.status, 207);
    let found = find(&app, "alice", "/dav/files/alice/", "0", "D:lockdiscovery").await;
    let active =
        found.prop("/dav/files/alice/", ns::DAV, "lockdiscovery").child(ns::DAV, "activelock").expect("a lock");
    assert_eq!(hrefs(active.child(ns::DAV, "lockroot").expect("a root")), ["/dav/files/alice/"]);
    assert_eq!(active.child(ns::DAV, "depth").map(|depth| depth.text()).as_deref(), Some("infinity"));
}

#[tokio::test]
async fn a_long_listing_streams_and_is_whole() {
    let app = TestApp::with_users().await;
    for i in 0..1200 {
        let path = format!("/dav/calendars/alice/default/{i:05}.ics");
        assert_eq!(app.send(Some("alice"), "PUT", &path, &[], event(&i.to_string())).await.status, 201);
    }
    let listing = find(&app, "alice", CALENDAR, "1", "D:getetag D:resourcetype D:none").await;
    let hrefs = listing.hrefs();
    assert_eq!(hrefs.len(), 1201);
    assert!(hrefs[1..].is_sorted());
    assert_eq!(listing.status(&hrefs[1200], ns::DAV, "none"), Some(404));
}
