use kalends::xml::{Element, ns};

use crate::answers::{Multistatus, ask, condition, document, hrefs};
use crate::common::{Answer, TestApp};

const CALENDAR: &str = "/dav/calendars/alice/default/";

fn ace(principal: &str, privileges: &str) -> String {
    let granted: String = privileges.split_whitespace().map(|p| format!("<D:privilege><{p}/></D:privilege>")).collect();
    format!("<D:ace><D:principal>{principal}</D:principal><D:grant>{granted}</D:grant></D:ace>")
}

const BOB: &str = "<D:href>/dav/principals/bob/</D:href>";

async fn grant(app: &TestApp, path: &str, aces: &str) -> Answer {
    app.send(Some("alice"), "ACL", path, &[], document("D:acl", aces)).await
}

async fn find(app: &TestApp, user: &str, path: &str, depth: &str, names: &str) -> Answer {
    app.send(Some(user), "PROPFIND", path, &[("depth", depth)], ask(names)).await
}

fn privileges(element: &Element) -> Vec<&str> {
    element.children().filter_map(|p| p.children().next()).map(|p| p.name.local.as_str()).collect()
}

#[tokio::test]
async fn what_is_granted_is_shown_and_works() {
    let app = TestApp::with_users().await;
    assert_eq!(find(&app, "bob", CALENDAR, "0", "D:displayname").await.status, 404);
    let answer = grant(&app, CALENDAR, &ace(BOB, "D:read D:read-current-user-privilege-set")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let seen =
        Multistatus::of(&find(&app, "bob", CALENDAR, "0", "D:displayname D:current-user-privilege-set D:acl").await);
    assert_eq!(seen.text(CALENDAR, ns::DAV, "displayname"), "default");
    let own = privileges(seen.prop(CALENDAR, ns::DAV, "current-user-privilege-set"));
    assert_eq!(own, ["read", "read-free-busy", "read-current-user-privilege-set"]);
    assert_eq!(seen.status(CALENDAR, ns::DAV, "acl"), Some(403));

    let shown = Multistatus::of(&find(&app, "alice", CALENDAR, "0", "D:acl D:inherited-acl-set").await);
    let acl = shown.prop(CALENDAR, ns::DAV, "acl");
    let aces: Vec<_> = acl.children().collect();
    assert_eq!(aces.len(), 2);
    assert!(aces[0].child(ns::DAV, "protected").is_some(), "the owner's comes first and stays");
    let principal = aces[1].child(ns::DAV, "principal").expect("a principal");
    assert_eq!(hrefs(principal), ["/dav/principals/bob/"]);

    // Bob sees the way there, and nothing beside it.
    let home = Multistatus::of(&find(&app, "bob", "/dav/calendars/alice/", "1", "D:displayname D:resourcetype").await);
    assert_eq!(home.hrefs(), ["/dav/calendars/alice/", CALENDAR]);
    assert_eq!(find(&app, "bob", "/dav/principals/alice/", "0", "D:displayname").await.status, 207);

    // He reads and does not write.
    let patch = document("D:propertyupdate", "<D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set>");
    let answer = app.send(Some("bob"), "PROPPATCH", CALENDAR, &[], patch).await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "need-privileges"));
    let answer = app.send(Some("bob"), "ACL", CALENDAR, &[], document("D:acl", "")).await;
    assert_eq!((answer.status, condition(&answer).as_str()), (403, "need-privileges"));

    // What is taken back is gone.
    assert_eq!(grant(&app, CALENDAR, "").await.status, 200);
    assert_eq!(find(&app, "bob", CALENDAR, "0", "D:displayname").await.status, 404);
}

#[tokio::test]
async fn a_home_s_grants_are_inherited_by_its_calendars() {
    let app = TestApp::with_users().await;
    assert_eq!(grant(&app, "/dav/calendars/alice/", &ace("<D:authenticated/>", "D:read")).await.status, 200);
    assert_eq!(find(&app, "bob", CALENDAR, "0", "D:displayname").await.status, 207);
    let shown = Multistatus::of(&find(&app, "alice", CALENDAR, "0", "D:acl D:inherited-acl-set").await);
    assert_eq!(hrefs(shown.prop(CALENDAR, ns::DAV, "inherited-acl-set")), ["/dav/calendars/alice/"]);
    let acl = shown.prop(CALENDAR, ns::DAV, "acl");
    let inherited = acl.children().find_map(|ace| ace.child(ns::DAV, "inherited")).expect("an inherited entry");
    assert_eq!(hrefs(inherited), ["/dav/calendars/alice/"]);
    // What DAV:acl shows can be sent back as it is.
    let again: String = acl.children().map(Element::to_xml).collect();
    assert_eq!(grant(&app, CALENDAR, &again).await.status, 200);
    let after = Multistatus::of(&find(&app, "alice", CALENDAR, "0", "D:acl").await);
    assert_eq!(after.prop(CALENDAR, ns::DAV, "acl"), acl);
}

#[tokio::test]
async fn busy_time_alone_tells_nothing_else() {
    let app = TestApp::with_users().await;
    let patch = document(
        "D:propertyupdate",
        "<D:set><D:prop><D:displayname>Secret</D:displayname><A:calendar-color>#1</A:calendar-color></D:prop></D:set>",
    );
    app.send(Some("alice"), "PROPPATCH", CALENDAR, &[], patch).await;
    assert_eq!(grant(&app, CALENDAR, &ace(BOB, "C:read-free-busy")).await.status, 200);
    let names =
        "D:resourcetype D:displayname D:owner D:current-user-privilege-set CS:getctag D:sync-token A:calendar-color";
    let answer = find(&app, "bob", CALENDAR, "1", names).await;
    assert!(!answer.text().contains("Secret"));
    let seen = Multistatus::of(&answer);
    assert_eq!(seen.hrefs(), [CALENDAR]);
    assert_eq!(seen.text(CALENDAR, ns::DAV, "displayname"), "default");
    assert_eq!(privileges(seen.prop(CALENDAR, ns::DAV, "current-user-privilege-set")), ["read-free-busy"]);
    assert_eq!(seen.status(CALENDAR, ns::CS, "getctag"), Some(403));
    assert_eq!(seen.status(CALENDAR, ns::DAV, "sync-token"), Some(403));
    assert_eq!(seen.status(CALENDAR, ns::APPLE, "calendar-color"), Some(404));
    for body in [document("D:propfind", "<D:allprop/>"), document("D:propfind", "<D:propname/>")] {
        let answer = app.send(Some("bob"), "PROPFIND", CALENDAR, &[("depth", "0")], body).await;
        assert!(!answer.text().contains("Secret") && !answer.text().contains("calendar-color"), "{}", answer.text());
    }
}

#[tokio::test]
async fn every_condition_has_its_name() {
    let app = TestApp::with_users().await;
    let deny =
        format!("<D:ace><D:principal>{BOB}</D:principal><D:deny><D:privilege><D:read/></D:privilege></D:deny></D:ace>");
    let invert = format!(
        "<D:ace><D:invert><D:principal>{BOB}</D:principal></D:invert><D:grant><D:privilege><D:read/></D:privilege></D:grant></D:ace>"
    );
    let many = ace(BOB, "D:read").repeat(501);
    for (aces, wanted) in [
        (deny, "grant-only"),
        (invert, "no-invert"),
        (ace(BOB, "D:fly"), "not-supported-privilege"),
        (ace("<D:href>/dav/principals/nobody/</D:href>", "D:read"), "recognized-principal"),
        (ace("<D:href>http://elsewhere.example/</D:href>", "D:read"), "recognized-principal"),
        (ace("<D:unauthenticated/>", "D:read"), "allowed-principal"),
        (ace("<D:self/>", "D:read"), "allowed-principal"),
        (many, "limited-number-of-aces"),
    ] {
        let answer = grant(&app, CALENDAR, &aces).await;
        assert_eq!((answer.status, condition(&answer).as_str()), (403, wanted));
    }
    assert_eq!(grant(&app, "/dav/calendars/bob/default/", "").await.status, 404);
    assert_eq!(grant(&app, "/dav/", "").await.status, 403);
    assert_eq!(app.send(Some("alice"), "ACL", CALENDAR, &[], "").await.status, 400);
    let whole = ace("<D:href>http://localhost:8008/dav/principals/bob</D:href>", "D:all");
    assert_eq!(grant(&app, CALENDAR, &whole).await.status, 200);
}
