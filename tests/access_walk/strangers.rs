//! What is missing and what is not to be known look the same, whatever is asked and on whatever condition.

use crate::common::{Answer, TestApp};
use crate::requests::{OPS, Place, places, send_with};
use crate::world;

/// Names of things that are not there, of the same length as those of things that are.
const TWINS: [(&str, &str); 4] =
    [("alicf", "alice"), ("privatf", "private"), ("hiddfn", "hidden"), ("foldfr", "folder")];

/// Conditions whose outcome would tell something of the state.
const CONDITIONS: &[&[(&str, &str)]] = &[
    &[],
    &[("if-match", "*")],
    &[("if-none-match", "*")],
    &[("if-match", "\"x\"")],
    &[("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT")],
    &[("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT")],
    &[("if", "(Not <DAV:no-lock>)")],
    &[("if", "(<urn:uuid:11111111-1111-1111-1111-111111111111>)")],
    &[("if", "([\"x\"])")],
    &[("prefer", "return=representation")],
    &[("depth", "1")],
    &[("depth", "infinity")],
    &[("accept", "application/calendar+json"), ("range", "bytes=0-3")],
];

fn same_names(text: &str) -> String {
    TWINS.iter().fold(text.to_owned(), |text, (missing, there)| text.replace(missing, there))
}

/// All of an answer that depends on what there is.
fn essence(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date" && *name != "x-request-id");
    let text = |value: &http::HeaderValue| same_names(value.to_str().expect("a header of ASCII"));
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    headers.sort();
    (answer.status, headers, same_names(&answer.text()))
}

/// Demands that `actor` cannot tell the places in `group` apart.
async fn all_alike(app: &TestApp, actor: &str, group: &[Place]) {
    for op in OPS {
        for condition in CONDITIONS {
            let mut first = None;
            for place in group {
                let seen = essence(&send_with(app, Some(actor), op, place, condition).await);
                match &first {
                    None => first = Some(seen),
                    Some(first) => assert_eq!(&seen, first, "{actor}: {op} {} {condition:?}", place.path),
                }
            }
        }
    }
}

fn groups(of: impl Fn(&str) -> bool) -> Vec<Vec<Place>> {
    let mut groups: Vec<(String, Vec<Place>)> = Vec::new();
    for place in places().into_iter().filter(|place| of(&place.path)) {
        let name = same_names(&place.path);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(place),
            None => groups.push((name, vec![place])),
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect()
}

#[tokio::test]
async fn a_stranger_cannot_tell_what_is_there_from_what_is_not() {
    let app = world().await;
    let groups = groups(|_| true);
    assert!(groups.len() >= 7);
    for group in groups {
        all_alike(&app, "stranger", &group).await;
    }
}

/// Who may know of one calendar learns nothing of the others, nor of users who are not there.
#[tokio::test]
async fn a_grantee_cannot_tell_what_was_not_granted_from_what_is_not_there() {
    let app = world().await;
    for actor in ["busy", "reader", "writer", "full"] {
        for group in groups(|path| path.starts_with("/dav/calendars/alice/privat")) {
            all_alike(&app, actor, &group).await;
        }
    }
}

/// Names of members are not busy time.
#[tokio::test]
async fn a_free_busy_only_grantee_cannot_guess_names_of_members() {
    let app = world().await;
    let inside =
        |path: &str| path.starts_with("/dav/calendars/alice/default/") || path.starts_with("/dav/files/alice/");
    for group in groups(inside) {
        all_alike(&app, "busy", &group).await;
    }
}
