//! Who may see busy time learns nothing else, from no edge (invariant F4).

use crate::common::{Answer, TestApp};
use crate::requests::{OPS, document, places, send, send_with};
use crate::{event, world};
use kalends::dav::props;

const CALENDAR: &str = "/dav/calendars/alice/default/";

/// What must never be seen: alice's texts, and the validators of what she has.
async fn secrets(app: &TestApp) -> Vec<String> {
    let all = "<D:prop><D:getetag/><D:sync-token/><S:getctag/><D:getlastmodified/></D:prop>";
    let answer =
        app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", "1")], document("D:propfind", all)).await.text();
    let mut secrets: Vec<String> =
        ["Hidden", "hidden-uid-1", "hidden-uid-2", "hidden.ics", "hidden.txt"].map(str::to_owned).into();
    for tag in ["getetag>", "sync-token>"] {
        let found = answer.split(tag).skip(1).step_by(2).map(|part| part.split('<').next().unwrap_or_default());
        let found: Vec<String> = found.map(|value| value.replace("&quot;", "").replace('"', "")).collect();
        assert!(found.iter().any(|value| value.len() > 8), "{tag} in {answer}");
        secrets.extend(found.into_iter().filter(|value| value.len() > 8));
    }
    secrets
}

fn tells(answer: &Answer, secrets: &[String], but: &str) -> Option<String> {
    let mut all = answer.text();
    for (name, value) in &answer.headers {
        all.push_str(&format!("\n{name}: {}", value.to_str().expect("a header of ASCII")));
    }
    secrets.iter().find(|secret| all.contains(secret.as_str()) && !but.contains(secret.as_str())).cloned()
}

#[tokio::test]
async fn no_request_tells_more_than_busy_time() {
    let app = world().await;
    let secrets = secrets(&app).await;
    for op in OPS {
        for place in places() {
            for depth in ["0", "1"] {
                // Depth is given to all: those that have no use for it pass over it or refuse.
                let answer = send_with(&app, Some("busy"), op, &place, &[("depth", depth)]).await;
                // What the request says by itself is no news, and neither is what a user has stored in an own place.
                let known = format!("{}{}", place.path, if op.starts_with("PUT") { "hidden-uid-1" } else { "" });
                if let Some(secret) = tells(&answer, &secrets, &known) {
                    panic!("{op} {} depth {depth} tells {secret}: {}", place.path, answer.text());
                }
            }
        }
    }
}

/// Every property that there is, by every request that shows properties.
#[tokio::test]
async fn no_property_tells_more_than_busy_time() {
    let app = world().await;
    let secrets = secrets(&app).await;
    let asked: String = props::rows()
        .map(|row| (row.ns, row.local))
        .chain([("urn:x", "own"), ("urn:ietf:params:xml:ns:caldav", "calendar-data")])
        .map(|(ns, local)| format!("<x:{local} xmlns:x=\"{ns}\"/>"))
        .collect();
    let prop = format!("<D:prop>{asked}</D:prop>");
    let expanded: String = props::rows()
        .map(|row| {
            let inside = "<D:property name=\"displayname\"/><D:property name=\"getetag\"/><D:property name=\"acl\"/>";
            format!("<D:property name=\"{}\" namespace=\"{}\">{inside}</D:property>", row.local, row.ns)
        })
        .collect();
    let everybody = "<D:apply-to-principal-collection-set/><D:property-search><D:prop><D:displayname/></D:prop>\
                     <D:match>a</D:match></D:property-search>";
    let hrefs: String = places().iter().map(|place| format!("<D:href>{}</D:href>", place.path)).collect();
    let filter = "<C:filter><C:comp-filter name=\"VCALENDAR\"/></C:filter>";
    let requests = [
        ("PROPFIND", document("D:propfind", "<D:allprop/>")),
        ("PROPFIND", document("D:propfind", "<D:propname/>")),
        ("PROPFIND", document("D:propfind", &prop)),
        ("REPORT", document("D:expand-property", &expanded)),
        ("REPORT", document("D:principal-property-search", &format!("{everybody}{prop}"))),
        ("REPORT", document("S:calendarserver-principal-search", &format!("<S:search-token>a</S:search-token>{prop}"))),
        ("REPORT", document("D:principal-match", &format!("<D:self/>{prop}"))),
        ("REPORT", document("D:acl-principal-prop-set", &prop)),
        ("REPORT", document("C:calendar-query", &format!("{prop}{filter}"))),
        ("REPORT", document("C:calendar-multiget", &format!("{prop}{hrefs}"))),
        ("REPORT", document("D:sync-collection", &format!("<D:sync-token/><D:sync-level>1</D:sync-level>{prop}"))),
    ];
    for (method, body) in &requests {
        for place in places() {
            for depth in ["0", "1"] {
                let answer = app.send(Some("busy"), method, &place.path, &[("depth", depth)], body.clone()).await;
                let known = if body.contains("multiget") { "hidden.ics hidden.txt" } else { place.path.as_str() };
                if let Some(secret) = tells(&answer, &secrets, known) {
                    panic!("{method} {body} {} depth {depth} tells {secret}: {}", place.path, answer.text());
                }
            }
        }
    }
}

/// A condition is a question, and a refusal its answer: those who may not read get the same one whatever they ask.
#[tokio::test]
async fn conditions_tell_nothing_of_the_state() {
    let app = world().await;
    let tag = app.send(Some("alice"), "HEAD", CALENDAR, &[], "").await;
    let tag = tag.header("etag").expect("a calendar has a tag").to_owned();
    let state = format!("([{tag}])");
    let pairs: [[(&str, &str); 2]; 4] = [
        [("if-match", tag.as_str()), ("if-match", "\"other\"")],
        [("if-none-match", tag.as_str()), ("if-none-match", "\"other\"")],
        [("if", state.as_str()), ("if", "([\"other\"])")],
        [
            ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT"),
            ("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ],
    ];
    for op in OPS {
        for place in places().into_iter().filter(|place| place.path == CALENDAR) {
            for [right, wrong] in pairs {
                let one = send_with(&app, Some("busy"), op, &place, &[right]).await;
                let other = send_with(&app, Some("busy"), op, &place, &[wrong]).await;
                assert_eq!((one.status, one.body), (other.status, other.body), "{op} {right:?}");
            }
        }
    }
}

/// A lock says that somebody is at work here.
#[tokio::test]
async fn locks_tell_nothing_to_those_who_may_not_read() {
    let (app, locked) = (world().await, world().await);
    for place in places().into_iter().filter(|place| place.path == CALENDAR) {
        assert_eq!(send(&locked, Some("alice"), "LOCK", &place).await.status, 200);
        for op in OPS {
            let free = send(&app, Some("busy"), op, &place).await;
            let taken = send(&locked, Some("busy"), op, &place).await;
            assert_eq!((free.status, free.body), (taken.status, taken.body), "{op}");
        }
    }
}

/// Who may put things into a calendar and not look into it.
#[tokio::test]
async fn a_conflict_names_nothing_to_those_who_may_not_read() {
    let app = world().await;
    let granted = "<D:bind/></D:privilege><D:privilege><D:write-content/>";
    let ace = format!(
        "<D:ace><D:principal><D:href>/dav/principals/stranger/</D:href></D:principal><D:grant><D:privilege>{granted}\
         </D:privilege></D:grant></D:ace>"
    );
    assert_eq!(app.send(Some("alice"), "ACL", CALENDAR, &[], document("D:acl", &ace)).await.status, 200);
    let put = format!("{CALENDAR}other.ics");
    let answer = app.send(Some("stranger"), "PUT", &put, &[], event("hidden-uid-1")).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("no-uid-conflict") && !answer.text().contains("hidden.ics"), "{}", answer.text());
    assert_eq!(app.send(Some("stranger"), "PUT", &put, &[], event("another-uid")).await.status, 201);
}
