use kalends::xml::ns;

use crate::answers::{Multistatus, ask, document, propstats};
use crate::common::{Answer, TestApp};

const CALENDAR: &str = "/dav/calendars/alice/default/";

async fn patch(app: &TestApp, path: &str, inside: &str) -> Answer {
    app.send(Some("alice"), "PROPPATCH", path, &[], document("D:propertyupdate", inside)).await
}

async fn find(app: &TestApp, path: &str, names: &str) -> Multistatus {
    Multistatus::of(&app.send(Some("alice"), "PROPFIND", path, &[("depth", "0")], ask(names)).await)
}

fn zone(tzid: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//T//EN\r\nBEGIN:VTIMEZONE\r\nTZID:{tzid}\r\nBEGIN:STANDARD\r\n\
         DTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
         END:VCALENDAR\r\n"
    )
    .replace('\r', "&#13;")
}

#[tokio::test]
async fn dead_properties_keep_attributes_language_and_markup() {
    let app = TestApp::with_users().await;
    let inside = r##"<D:set xml:lang="de"><D:prop>
        <A:calendar-color symbolic-color="orange">#FF9500FF</A:calendar-color>
        <x:note xmlns:x="urn:x" x:weight="3">ein <x:b xml:lang="fr">deux</x:b> drei</x:note></D:prop></D:set>"##;
    for path in [CALENDAR, "/dav/calendars/alice/", "/dav/files/alice/", "/dav/principals/alice/"] {
        let answer = Multistatus::of(&patch(&app, path, inside).await);
        assert_eq!(answer.status(path, ns::APPLE, "calendar-color"), Some(200));
        assert_eq!(answer.status(path, "urn:x", "note"), Some(200));
        let body = document("D:propfind", "<D:prop><A:calendar-color/><note xmlns=\"urn:x\"/></D:prop>");
        let found = Multistatus::of(&app.send(Some("alice"), "PROPFIND", path, &[("depth", "0")], body).await);
        let color = found.prop(path, ns::APPLE, "calendar-color");
        assert_eq!((color.attribute("symbolic-color"), color.text().as_str()), (Some("orange"), "#FF9500FF"));
        let note = found.prop(path, "urn:x", "note");
        assert_eq!((note.lang(), note.attribute_in("urn:x", "weight")), (Some("de"), Some("3")));
        let inner = note.child("urn:x", "b").expect("the markup is kept");
        assert_eq!((inner.lang(), inner.text().as_str(), note.text().as_str()), (Some("fr"), "deux", "ein  drei"));
    }
}

#[tokio::test]
async fn instructions_go_in_document_order() {
    let app = TestApp::with_users().await;
    let set = |value: &str| format!("<D:set><D:prop><x:p xmlns:x=\"urn:x\">{value}</x:p></D:prop></D:set>");
    let remove = "<D:remove><D:prop><x:p xmlns:x=\"urn:x\"/><x:never xmlns:x=\"urn:x\"/></D:prop></D:remove>";
    let names = "<D:prop><p xmlns=\"urn:x\"/></D:prop>";
    for (inside, wanted) in [
        (format!("{}{}", set("1"), set("2")), Some("2")),
        (format!("{}{remove}", set("3")), None),
        (format!("{remove}{}", set("4")), Some("4")),
    ] {
        assert_eq!(patch(&app, CALENDAR, &inside).await.status, 207);
        let body = document("D:propfind", names);
        let found = Multistatus::of(&app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "0")], body).await);
        let value = found.find(CALENDAR, "urn:x", "p").filter(|(status, _)| *status == 200).map(|(_, p)| p.text());
        assert_eq!(value.as_deref(), wanted);
    }
}

#[tokio::test]
async fn a_protected_property_fails_the_whole_inside_the_multistatus() {
    let app = TestApp::with_users().await;
    for protected in ["D:getetag", "D:resourcetype", "C:supported-calendar-component-set", "CS:getctag", "D:acl"] {
        let inside = format!("<D:set><D:prop><D:displayname>new</D:displayname><{protected}/></D:prop></D:set>");
        let answer = patch(&app, CALENDAR, &inside).await;
        assert!(answer.text().contains("cannot-modify-protected-property"));
        let answer = Multistatus::of(&answer);
        let statuses: Vec<u16> = propstats(answer.response(CALENDAR)).map(|(status, _)| status).collect();
        assert_eq!(statuses, [403, 424], "{protected}");
        assert_eq!(answer.status(CALENDAR, ns::DAV, "displayname"), Some(424));
    }
    assert_eq!(find(&app, CALENDAR, "D:displayname").await.text(CALENDAR, ns::DAV, "displayname"), "default");
}

#[tokio::test]
async fn the_time_zone_is_checked_and_said_in_both_ways() {
    let app = TestApp::with_users().await;
    let set =
        |value: &str| format!("<D:set><D:prop><C:calendar-timezone>{value}</C:calendar-timezone></D:prop></D:set>");
    let event = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:1\nEND:VEVENT\nEND:VCALENDAR";
    for bad in ["", "Europe/Berlin", event] {
        let answer = patch(&app, CALENDAR, &set(bad)).await;
        assert!(answer.text().contains("<C:valid-calendar-data/>"), "{}", answer.text());
        assert_eq!(Multistatus::of(&answer).status(CALENDAR, ns::CALDAV, "calendar-timezone"), Some(403));
    }
    let answer = Multistatus::of(&patch(&app, CALENDAR, &set(&zone("Europe/Berlin"))).await);
    assert_eq!(answer.status(CALENDAR, ns::CALDAV, "calendar-timezone"), Some(200));
    let found = find(&app, CALENDAR, "C:calendar-timezone C:calendar-timezone-id").await;
    assert_eq!(found.text(CALENDAR, ns::CALDAV, "calendar-timezone"), zone("Europe/Berlin").replace("&#13;", "\r"));
    assert_eq!(found.text(CALENDAR, ns::CALDAV, "calendar-timezone-id"), "Europe/Berlin");

    let id =
        |id: &str| format!("<D:set><D:prop><C:calendar-timezone-id>{id}</C:calendar-timezone-id></D:prop></D:set>");
    let answer = patch(&app, CALENDAR, &id("Mars/Olympus")).await;
    assert!(answer.text().contains("<C:valid-timezone/>"), "{}", answer.text());
    patch(&app, CALENDAR, &id("America/New_York")).await;
    let found = find(&app, CALENDAR, "C:calendar-timezone C:calendar-timezone-id").await;
    assert_eq!(found.text(CALENDAR, ns::CALDAV, "calendar-timezone-id"), "America/New_York");
    let text = found.text(CALENDAR, ns::CALDAV, "calendar-timezone");
    assert!(text.contains("BEGIN:VTIMEZONE") && text.contains("TZID:America/New_York"), "{text}");
    patch(&app, CALENDAR, "<D:remove><D:prop><C:calendar-timezone/></D:prop></D:remove>").await;
    let found = find(&app, CALENDAR, "C:calendar-timezone C:calendar-timezone-id").await;
    assert_eq!(found.status(CALENDAR, ns::CALDAV, "calendar-timezone-id"), Some(404));
    assert_eq!(found.status(CALENDAR, ns::CALDAV, "calendar-timezone"), Some(404));
}

#[tokio::test]
async fn transparency_and_availability_are_understood() {
    let app = TestApp::with_users().await;
    let transp = |value: &str| {
        format!("<D:set><D:prop><C:schedule-calendar-transp>{value}</C:schedule-calendar-transp></D:prop></D:set>")
    };
    patch(&app, CALENDAR, &transp("<C:transparent/>")).await;
    let found = find(&app, CALENDAR, "C:schedule-calendar-transp").await;
    let value = found.prop(CALENDAR, ns::CALDAV, "schedule-calendar-transp");
    assert!(value.child(ns::CALDAV, "transparent").is_some());
    let answer = Multistatus::of(&patch(&app, CALENDAR, &transp("yes")).await);
    assert_eq!(answer.status(CALENDAR, ns::CALDAV, "schedule-calendar-transp"), Some(409));
    let availability = "<D:set><D:prop><C:calendar-availability>none</C:calendar-availability></D:prop></D:set>";
    let answer = Multistatus::of(&patch(&app, CALENDAR, availability).await);
    assert_eq!(answer.status(CALENDAR, ns::CALDAV, "calendar-availability"), Some(403));
}

#[tokio::test]
async fn a_display_name_is_kept_and_can_be_taken_back() {
    let app = TestApp::with_users().await;
    patch(&app, CALENDAR, "<D:set><D:prop><D:displayname>Ärger &amp; Co</D:displayname></D:prop></D:set>").await;
    assert_eq!(find(&app, CALENDAR, "D:displayname").await.text(CALENDAR, ns::DAV, "displayname"), "Ärger & Co");
    patch(&app, CALENDAR, "<D:remove><D:prop><D:displayname/></D:prop></D:remove>").await;
    assert_eq!(find(&app, CALENDAR, "D:displayname").await.text(CALENDAR, ns::DAV, "displayname"), "default");
}

#[tokio::test]
async fn minimal_success_has_no_body() {
    let app = TestApp::with_users().await;
    let body = document("D:propertyupdate", "<D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set>");
    let answer = app.send(Some("alice"), "PROPPATCH", CALENDAR, &[("prefer", "return=minimal")], body).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let body = document("D:propertyupdate", "<D:set><D:prop><D:getetag>x</D:getetag></D:prop></D:set>");
    let answer = app.send(Some("alice"), "PROPPATCH", CALENDAR, &[("prefer", "return=minimal")], body).await;
    assert_eq!(answer.status, 207);
}

#[tokio::test]
async fn too_much_is_refused_with_507() {
    let app = TestApp::with_users().await;
    let large = format!("<D:set><D:prop><D:large>{}</D:large></D:prop></D:set>", "x".repeat(300_000));
    assert_eq!(Multistatus::of(&patch(&app, CALENDAR, &large).await).status(CALENDAR, ns::DAV, "large"), Some(507));
    let many: String = (0..300).map(|i| format!("<D:p{i}/>")).collect();
    let answer = Multistatus::of(&patch(&app, CALENDAR, &format!("<D:set><D:prop>{many}</D:prop></D:set>")).await);
    assert_eq!(answer.status(CALENDAR, ns::DAV, "p299"), Some(507));
    assert_eq!(answer.status(CALENDAR, ns::DAV, "p0"), Some(424));
}

#[tokio::test]
async fn objects_and_files_have_properties_and_keep_their_tag() {
    let app = TestApp::with_users().await;
    let file = "/dav/files/alice/note.txt";
    assert_eq!(app.send(Some("alice"), "PUT", file, &[], "hello").await.status, 201);
    let before = find(&app, file, "D:getetag").await.text(file, ns::DAV, "getetag");
    let set = "<D:set><D:prop><x:p xmlns:x=\"urn:x\">v</x:p><D:displayname>Note</D:displayname></D:prop></D:set>";
    assert_eq!(Multistatus::of(&patch(&app, file, set).await).status(file, "urn:x", "p"), Some(200));
    let found = find(&app, file, "D:getetag D:displayname").await;
    assert_eq!(found.text(file, ns::DAV, "getetag"), before);
    assert_eq!(found.text(file, ns::DAV, "displayname"), "Note");
}

#[tokio::test]
async fn nobody_sets_properties_of_others() {
    let app = TestApp::with_users().await;
    let body = document("D:propertyupdate", "<D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set>");
    for path in ["/dav/calendars/bob/default/", "/dav/principals/bob/", "/dav/files/bob/"] {
        assert_eq!(app.send(Some("alice"), "PROPPATCH", path, &[], body.clone()).await.status, 404);
    }
    assert_eq!(app.send(Some("alice"), "PROPPATCH", "/dav/", &[], body.clone()).await.status, 403);
    assert_eq!(app.send(Some("alice"), "PROPPATCH", CALENDAR, &[], "<x/>").await.status, 400);
    assert_eq!(app.send(Some("alice"), "PROPPATCH", CALENDAR, &[], "").await.status, 400);
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let app = std::sync::Arc::new(TestApp::with_users().await);
    let tasks: Vec<_> = (0..16)
        .map(|i| {
            let app = app.clone();
            tokio::spawn(async move {
                let inside = format!("<D:set><D:prop><D:p{i}>v</D:p{i}></D:prop></D:set>");
                assert_eq!(patch(&app, CALENDAR, &inside).await.status, 207);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer");
    }
    let names: String = (0..16).map(|i| format!("D:p{i} ")).collect();
    let found = find(&app, CALENDAR, &names).await;
    assert_eq!(propstats(found.response(CALENDAR)).map(|(s, _)| s).collect::<Vec<_>>(), [200]);
}
