use kalends::xml::{self, ns};

use crate::answers::{Multistatus, document, hrefs, propstats};
use crate::common::{Answer, TestApp};

const CALENDAR: &str = "/dav/calendars/alice/default/";
const ALICE: &str = "/dav/principals/alice/";
const BOB: &str = "/dav/principals/bob/";

async fn report(app: &TestApp, path: &str, root: &str, inside: &str) -> Answer {
    app.send(Some("alice"), "REPORT", path, &[("depth", "0")], document(root, inside)).await
}

fn search(property: &str, attributes: &str, text: &str) -> String {
    format!(
        "<D:property-search><D:prop><{property}/></D:prop><D:match {attributes}>{text}</D:match></D:property-search>\
         <D:prop><D:displayname/><C:calendar-home-set/></D:prop>"
    )
}

async fn share_back(app: &TestApp) {
    let ace = format!(
        "<D:ace><D:principal><D:href>{ALICE}</D:href></D:principal><D:grant><D:privilege><D:read/></D:privilege></D:grant></D:ace>"
    );
    let answer = app.send(Some("bob"), "ACL", "/dav/calendars/bob/default/", &[], document("D:acl", &ace)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn who_has_granted_something_is_found_by_name() {
    let app = TestApp::with_users().await;
    let found = |inside: String, path: &'static str| {
        let app = &app;
        async move { Multistatus::of(&report(app, path, "D:principal-property-search", &inside).await).hrefs() }
    };
    let none: [&str; 0] = [];
    assert_eq!(found(search("D:displayname", "", "bo"), "/dav/principals/").await, none);
    share_back(&app).await;
    assert_eq!(found(search("D:displayname", "", "BO"), "/dav/principals/").await, [BOB]);
    assert_eq!(found(search("D:displayname", "match-type=\"starts-with\"", "ob"), "/dav/principals/").await, none);
    assert_eq!(found(search("D:displayname", "match-type=\"ends-with\"", "ob"), "/dav/principals/").await, [BOB]);
    assert_eq!(found(search("D:displayname", "match-type=\"equals\"", "bo"), "/dav/principals/").await, none);
    assert_eq!(found(search("D:none", "", "bo"), "/dav/principals/").await, none);
    assert_eq!(found(search("D:displayname", "", "bo"), CALENDAR).await, none);
    let everywhere = search("C:calendar-user-address-set", "", "bob@") + "<D:apply-to-principal-collection-set/>";
    assert_eq!(found(everywhere, CALENDAR).await, [BOB]);
}

#[tokio::test]
async fn strangers_are_found_by_a_whole_address_and_by_nothing_less() {
    let app = TestApp::with_users().await;
    for (text, wanted) in [
        ("bob@example.com", vec![BOB]),
        ("mailto:BOB@example.com", vec![BOB]),
        ("bob@example", vec![]),
        ("example.com", vec![ALICE]),
        ("", vec![ALICE]),
    ] {
        for property in ["C:calendar-user-address-set", "CS:email-address-set"] {
            let answer =
                report(&app, "/dav/principals/", "D:principal-property-search", &search(property, "", text)).await;
            assert_eq!(Multistatus::of(&answer).hrefs(), wanted, "{property} {text}");
        }
    }
    let tokens = "<CS:search-token>ali</CS:search-token><CS:search-token>example</CS:search-token><D:prop><D:displayname/></D:prop>";
    let answer = report(&app, "/dav/principals/", "CS:calendarserver-principal-search", tokens).await;
    assert_eq!(Multistatus::of(&answer).hrefs(), [ALICE]);
}

#[tokio::test]
async fn what_can_be_searched_is_told() {
    let app = TestApp::with_users().await;
    let answer = report(&app, "/dav/principals/", "D:principal-search-property-set", "").await;
    assert_eq!(answer.status, 200);
    let root = xml::parse(&answer.body, &kalends::base::Limits::default()).expect("XML");
    assert!(root.is(ns::DAV, "principal-search-property-set"));
    let first = root.children().next().and_then(|one| one.child(ns::DAV, "prop")).expect("a property");
    assert!(first.child(ns::DAV, "displayname").is_some());
    let deep = app
        .send(
            Some("alice"),
            "REPORT",
            "/dav/principals/",
            &[("depth", "1")],
            document("D:principal-search-property-set", ""),
        )
        .await;
    assert_eq!(deep.status, 400);
}

#[tokio::test]
async fn one_finds_oneself_and_what_one_owns() {
    let app = TestApp::with_users().await;
    let own = report(&app, "/dav/principals/", "D:principal-match", "<D:self/>").await;
    assert_eq!(Multistatus::of(&own).hrefs(), [ALICE]);
    app.send(Some("alice"), "PUT", "/dav/files/alice/x.txt", &[], "x").await;
    let inside = "<D:principal-property><D:owner/></D:principal-property><D:prop><D:owner/></D:prop>";
    let owned = Multistatus::of(&report(&app, "/dav/files/alice/", "D:principal-match", inside).await);
    assert_eq!(owned.hrefs(), ["/dav/files/alice/x.txt"]);
    assert_eq!(hrefs(owned.prop("/dav/files/alice/x.txt", ns::DAV, "owner")), [ALICE]);
    let inside = "<D:principal-property><D:owner/></D:principal-property>";
    let owned = Multistatus::of(&report(&app, "/dav/calendars/alice/", "D:principal-match", inside).await);
    assert_eq!(owned.hrefs(), [CALENDAR]);
    assert_eq!(propstats(owned.response(CALENDAR)).count(), 0);
}

#[tokio::test]
async fn the_principals_of_a_list_are_told_once() {
    let app = TestApp::with_users().await;
    share_back(&app).await;
    let inside = "<D:prop><D:displayname/></D:prop>";
    let path = "/dav/calendars/bob/default/";
    let body = document("D:acl-principal-prop-set", inside);
    let answer = app.send(Some("bob"), "REPORT", path, &[], body.clone()).await;
    let answer = Multistatus::of(&answer);
    assert_eq!(answer.hrefs(), [BOB, ALICE]);
    assert_eq!(answer.text(ALICE, ns::DAV, "displayname"), "alice");
    assert_eq!(app.send(Some("alice"), "REPORT", path, &[], body).await.status, 403);
}

#[tokio::test]
async fn hrefs_are_expanded() {
    let app = TestApp::with_users().await;
    let inside = r#"<D:property name="current-user-principal"><D:property name="displayname"/>
        <D:property name="calendar-home-set" namespace="urn:ietf:params:xml:ns:caldav"><D:property name="owner"/></D:property>
        </D:property><D:property name="displayname"/><D:property name="a b"/>
        <D:property name="calendar-proxy-read-for" namespace="http://calendarserver.org/ns/"><D:property name="displayname"/></D:property>"#;
    let answer = Multistatus::of(&report(&app, CALENDAR, "D:expand-property", inside).await);
    assert_eq!(answer.status(CALENDAR, ns::CS, "calendar-proxy-read-for"), Some(404));
    assert_eq!(answer.text(CALENDAR, ns::DAV, "displayname"), "default");
    let user = answer.prop(CALENDAR, ns::DAV, "current-user-principal");
    let response = user.child(ns::DAV, "response").expect("the href is a response now");
    assert_eq!(hrefs(response), [ALICE]);
    let (status, prop) = propstats(response).next().expect("a propstat");
    assert_eq!((status, prop.child(ns::DAV, "displayname").map(|name| name.text()).as_deref()), (200, Some("alice")));
    let homes = prop.child(ns::CALDAV, "calendar-home-set").and_then(|set| set.child(ns::DAV, "response"));
    assert_eq!(homes.map(hrefs), Some(vec!["/dav/calendars/alice/".to_owned()]));
    let nothing = report(&app, ALICE, "D:expand-property", "").await;
    assert_eq!(Multistatus::of(&nothing).hrefs(), [ALICE]);
}

#[tokio::test]
async fn unknown_reports_are_refused_by_name() {
    let app = TestApp::with_users().await;
    let answer = report(&app, CALENDAR, "D:no-such-report", "").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("<D:supported-report/>"));
    assert_eq!(app.send(Some("alice"), "REPORT", CALENDAR, &[], "").await.status, 400);
}

/// python-caldav lists without a DAV:property-search, and writes the names beside an empty DAV:prop.
#[tokio::test]
async fn the_search_of_python_caldav_names_oneself() {
    let app = TestApp::with_users().await;
    let inside = "<D:prop/><C:calendar-home-set/><D:displayname/>";
    let answer = report(&app, "/dav/principals/", "D:principal-property-search", inside).await;
    assert_eq!(Multistatus::of(&answer).hrefs(), [ALICE]);
    assert!(answer.text().contains("<C:calendar-home-set><D:href>/dav/calendars/alice/</D:href>"), "{}", answer.text());
}
