//! What `verify` finds, and that an index computed anew is the one that was there (invariant S5).

mod sockets;

use bytes::Bytes;
use kalends::access::Actor;
use kalends::base::{ETag, Limits};
use kalends::model::{Index, Object, Path, UserName};
use kalends::server::Options;
use kalends::service::accounts;
use kalends::service::transfer;
use kalends::service::verify::{ProblemKind, Repair, verify};
use kalends::store::{Batch, Write};
use sockets::TestServer;

const EVENTS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n\
    BEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nUID:two\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;VALUE=DATE:20260106\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\n\
    END:VCALENDAR\r\n";

fn filled() -> TestServer {
    let server = TestServer::start(Limits::default(), Options::default());
    server.user("anna", "secret");
    let path = Path::Calendar(UserName::new("anna").expect("a name"), "default".to_owned());
    let imported = server.runtime.block_on(async {
        transfer::import(&server.context, Actor::System, &path, EVENTS.as_bytes(), |_, _| {}).await
    });
    assert_eq!(imported.expect("imported").created, 2);
    server
}

#[test]
fn a_sound_store_has_nothing_to_report_and_nothing_to_rebuild() {
    let server = filled();
    for repair in [Repair::Nothing, Repair::Index] {
        let report = server.runtime.block_on(verify(&server.context, repair, |_, _| {})).expect("verified");
        assert_eq!((report.objects, report.rebuilt, report.problems), (2, 0, Vec::new()));
    }
}

#[test]
fn wrong_rows_are_found_and_made_right_and_broken_bytes_are_named() {
    let server = filled();
    let store = &server.context.store;
    server.runtime.block_on(async {
        let user = UserName::new("anna").expect("a name");
        let calendar = accounts::calendar(&server.context, &user, "default").await.expect("it is there");
        let name = store.name_of_uid(calendar.id, "one").await.expect("read").expect("it is there");
        let right = store.object(calendar.id, &name).await.expect("read").expect("it is there");
        let wrong = Index::Broken { reason: "made up".to_owned(), uid: Some("one".to_owned()) };
        let bytes = Bytes::from_static(b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n");
        let broken = Object {
            name: "broken.ics".to_owned(),
            etag: ETag::of(&bytes),
            size: bytes.len() as u64,
            index: None,
            ..right.clone()
        };
        let writes = vec![
            Write::Reindex(calendar.id, Object { index: Some(wrong), ..right.clone() }),
            Write::PutObject(calendar.id, broken, bytes),
        ];
        store.commit(Batch { writes, ..Batch::default() }).await.expect("written");

        let found = verify(&server.context, Repair::Nothing, |_, _| {}).await.expect("verified");
        let kinds: Vec<(&str, ProblemKind)> =
            found.problems.iter().map(|problem| (problem.path.as_str(), problem.kind)).collect();
        let at = format!("/dav/calendars/anna/default/{name}");
        assert!(kinds.contains(&(at.as_str(), ProblemKind::Index)), "{kinds:?}");
        assert!(kinds.contains(&("/dav/calendars/anna/default/broken.ics", ProblemKind::Broken)), "{kinds:?}");

        let repaired = verify(&server.context, Repair::Index, |_, _| {}).await.expect("verified");
        assert_eq!(repaired.rebuilt, 2);
        let rebuilt = store.object(calendar.id, &name).await.expect("read").expect("it is there");
        assert_eq!(rebuilt.index, right.index, "the row computed anew is the one that was there");
        let rest = verify(&server.context, Repair::Nothing, |_, _| {}).await.expect("verified");
        let kinds: Vec<ProblemKind> = rest.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ProblemKind::Broken], "{:?}", rest.problems);
    });
}
