//! An upstream CalDAV server: Kalends itself, and fakes for what it never does.

use kalends::base::Limits;
use kalends::merge::{Provider, summary};
use kalends::server::Options;

use crate::fakes::{Api, Asked, Fake, Fault, Record, Reply};
use crate::puller::{Ended, Puller, sample, stream};
use crate::sockets::{TestServer, request};

const PASSWORD: &str = "a long password";

fn server(limits: Limits) -> TestServer {
    let server = TestServer::start(limits, Options::default());
    server.user("mara", PASSWORD);
    server
}

fn send(server: &TestServer, method: &str, name: &str, body: &str) {
    let target = format!("/dav/calendars/mara/{name}");
    let request = request(method, &target).login("mara", PASSWORD).header("Content-Type", "text/calendar").body(body);
    let answer = request.send(server.address);
    assert!((200..300).contains(&answer.status), "{method} {name}: {}", answer.body);
}

fn event(server: &TestServer, name: &str, title: &str) {
    send(server, "PUT", &format!("default/{name}.ics"), &stream(&[(name, "20261201T090000Z", title)]));
}

fn discovering(server: &TestServer) -> Puller {
    Puller::new(Provider::Caldav, Some(format!("http://{}", server.address)), Vec::new()).password("mara", PASSWORD)
}

#[test]
fn discovery_first_sync_changes_and_deletions() {
    let server = server(Limits::default());
    event(&server, "a", "A");
    event(&server, "b", "B");
    let resource = sample("caldav/resource_master_and_overrides_in_one.ics");
    send(&server, "PUT", "default/sync.ics", &resource);
    let mut puller = discovering(&server);
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles(), ["A", "B", "Weekly product sync"]);
    let series = puller.world.meetings().into_iter().find(|one| one.is_series()).expect("the series");
    let json = summary(&series);
    assert_eq!(json["moved"]["2026-11-17T09:00:00Z"][1], "2026-11-18T14:30:00Z");
    assert_eq!(json["cancelled_instances"], serde_json::json!(["2026-11-24T09:00:00Z"]));

    event(&server, "a", "A2");
    send(&server, "DELETE", "default/b.ics", "");
    let at = resource.match_indices("BEGIN:VEVENT").nth(1).expect("the override").0;
    send(&server, "PUT", "default/sync.ics", &format!("{}END:VCALENDAR\r\n", &resource[..at]));
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!((puller.brought, puller.asked), (3, 2), "the changes, and nothing else");
    assert_eq!(puller.titles(), ["A2", "Weekly product sync"]);
    let series = puller.world.meetings().into_iter().find(|one| one.is_series()).expect("the series");
    assert_eq!(summary(&series)["moved"], serde_json::json!({}), "the override is gone with its component");
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 0));
}

#[test]
fn a_listing_that_is_cut_off_goes_on_and_many_members_come_in_batches() {
    let server = server(Limits { sync_page_max: 40, ..Limits::default() });
    for n in 0..90 {
        event(&server, &format!("e{n}"), &format!("E{n}"));
    }
    let mut puller = discovering(&server);
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!((puller.titles().len(), puller.brought), (90, 90));
}

#[test]
fn a_token_that_is_not_taken_any_more_means_all_again() {
    let server = server(Limits::default());
    event(&server, "a", "A");
    event(&server, "b", "B");
    let mut puller = discovering(&server);
    puller.pull();
    send(&server, "DELETE", "default/a.ics", "");
    let mut cursor: serde_json::Value =
        serde_json::from_str(puller.cursor.as_deref().expect("a cursor")).expect("the cursor is JSON");
    let marks = cursor["collections"].as_object_mut().expect("collections");
    for mark in marks.values_mut() {
        *mark = serde_json::json!({"Token": "http://kalends.example/sync/1-1-1"});
    }
    puller.cursor = Some(cursor.to_string());
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles(), ["B"], "what the listing does not name is gone");
}

#[test]
fn several_collections_moves_between_them_and_one_that_goes() {
    let server = server(Limits::default());
    send(&server, "MKCALENDAR", "work/", "");
    event(&server, "a", "A");
    let mut puller = discovering(&server);
    puller.pull();
    assert_eq!(puller.titles(), ["A"]);
    let there = "/dav/calendars/mara/work/a.ics";
    let moved = request("MOVE", "/dav/calendars/mara/default/a.ics").login("mara", PASSWORD);
    assert_eq!(moved.header("Destination", there).send(server.address).status, 201);
    puller.pull();
    assert_eq!(puller.titles(), ["A"]);
    send(&server, "DELETE", "work/", "");
    puller.pull();
    assert_eq!(puller.titles(), Vec::<String>::new());
}

#[test]
fn a_password_that_is_not_taken_breaks_the_account() {
    let server = server(Limits::default());
    event(&server, "a", "A");
    let mut puller = discovering(&server);
    puller.pull();
    let mut wrong = discovering(&server).password("mara", "wrong");
    assert!(matches!(wrong.pull(), Ended::Broken(_)));
    puller.account.token_url = Some("http://127.0.0.1/token".to_owned());
    puller.secrets.access_token = Some((kalends::base::Secret::new("old".to_owned()), kalends::base::Utc(0)));
    assert_eq!(puller.pull(), Ended::Refresh, "with OAuth there is a way out");
    assert_eq!(puller.titles(), ["A"]);
}

/// A server that answers what it was told to.
#[derive(Debug, Default)]
struct Canned {
    record: Record,
    /// Whether it knows sync-collection.
    syncs: bool,
    tag: u32,
    members: Vec<(String, String)>,
}

impl Canned {
    fn response(href: &str, found: &str) -> String {
        format!(
            "<D:response><D:href>{href}</D:href><D:propstat><D:prop>{found}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        )
    }

    fn multistatus(&self, inside: &str) -> Reply {
        let spaces =
            "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:CS=\"http://calendarserver.org/ns/\"";
        let body = format!("<?xml version=\"1.0\"?><D:multistatus {spaces}>{inside}</D:multistatus>");
        Reply { body, ..Reply::empty(207).header("content-type", "application/xml") }
    }

    fn listing(&self) -> String {
        let tag = |href: &String| Self::response(href, &format!("<D:getetag>\"{}\"</D:getetag>", self.tag));
        self.members.iter().map(|(href, _)| tag(href)).collect()
    }
}

impl Api for Canned {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, asked: &Asked) -> &'static str {
        match asked.method.as_str() {
            "REPORT" if asked.body.contains("sync-collection") => "sync",
            "REPORT" => "multiget",
            _ if asked.body.contains("getctag") => "tag",
            _ => "members",
        }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        match self.kind(asked) {
            "sync" if !self.syncs => Reply::empty(405),
            "sync" => self.multistatus(&format!("{}<D:sync-token>t{}</D:sync-token>", self.listing(), self.tag)),
            "tag" => self.multistatus(&Self::response("/cal/", &format!("<CS:getctag>{}</CS:getctag>", self.tag))),
            "members" => {
                let own = Self::response(
                    "/cal/",
                    "<D:getetag>\"c\"</D:getetag><D:resourcetype><D:collection/></D:resourcetype>",
                );
                self.multistatus(&(own + &self.listing()))
            }
            _ => {
                let asked_for = self.members.iter().filter(|(href, _)| asked.body.contains(&format!(">{href}<")));
                let data = asked_for
                    .map(|(href, data)| Self::response(href, &format!("<C:calendar-data>{data}</C:calendar-data>")));
                self.multistatus(&data.collect::<String>())
            }
        }
    }
}

fn canned(syncs: bool, count: usize) -> (Fake<Canned>, Puller) {
    let member = |n: usize| {
        let name = format!("e{n}");
        (format!("/cal/{name}.ics"), stream(&[(&name, "20261201T090000Z", &name)]))
    };
    let members = (0..count).map(member).collect();
    let fake = Fake::start(|_| Canned { syncs, tag: 1, members, ..Canned::default() });
    let url = format!("{}/cal/", fake.url());
    let puller = Puller::new(Provider::Caldav, None, vec![url]);
    (fake, puller)
}

#[test]
fn a_server_without_sync_collection_is_compared_when_its_tag_changes() {
    let (fake, mut puller) = canned(false, 3);
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles(), ["e0", "e1", "e2"]);
    assert_eq!((puller.pull(), puller.asked), (Ended::Done(None), 1), "the tag is the gate");
    fake.state().members.remove(0);
    fake.state().tag = 2;
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles(), ["e1", "e2"]);
}

#[test]
fn a_connection_lost_in_the_middle_of_a_page_loses_nothing() {
    let (fake, mut puller) = canned(true, 60);
    fake.state().record.fail("multiget", Fault::Cut(2_000));
    assert!(matches!(puller.pull(), Ended::Lost | Ended::Waits(..)));
    assert_eq!(puller.cursor, None);
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles().len(), 60);
    fake.state().members.clear();
    fake.state().tag = 2;
    fake.state().record.fail("sync", Fault::Cut(10));
    assert!(matches!(puller.pull(), Ended::Lost | Ended::Waits(..)));
    assert_eq!(puller.titles().len(), 60);
}

#[test]
fn throttled_cut_off_and_refused() {
    let (fake, mut puller) = canned(true, 1);
    let instead = |reply| fake.state().record.fail("sync", Fault::Instead(reply));
    instead(Reply::empty(503).header("retry-after", "120"));
    assert!(matches!(puller.pull(), Ended::Waits(Some(120), _)));
    instead(Reply { body: sample("caldav/sync_collection_truncated_507.xml"), ..Reply::empty(207) });
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(fake.state().record.count("sync"), 3, "it went on behind the token it was given");
    let last = fake.state().record.calls.iter().rev().find(|(kind, _)| *kind == "sync").map(|(_, a)| a.body.clone());
    assert!(last.is_some_and(|body| body.contains("http://invented.example/sync/1043")));
    instead(Reply { body: sample("caldav/sync_token_invalid_403.xml"), ..Reply::empty(403) });
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles(), ["e0"]);
    instead(Reply { body: sample("caldav/sync_collection_response.xml"), ..Reply::empty(207) });
    assert_eq!(puller.pull(), Ended::Done(None));
    instead(Reply::empty(404));
    assert!(matches!(puller.pull(), Ended::Broken(_)));
    instead(Reply::empty(401));
    assert!(matches!(puller.pull(), Ended::Broken(_)));
    assert_eq!(puller.titles(), ["e0"]);
}
