//! Polled feeds: what is asked, what is believed, and what is not.

use kalends::merge::Provider;

use crate::fakes::{Api, Asked, Fake, Fault, Record, Reply};
use crate::puller::{Ended, Puller, sample, stream};

#[derive(Debug, Default)]
struct Feed {
    record: Record,
    body: String,
    etag: Option<String>,
    moved: Option<String>,
}

impl Api for Feed {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, asked: &Asked) -> &'static str {
        if asked.path == "/feed.ics" { "feed" } else { "elsewhere" }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        if let (Some(there), "/feed.ics") = (&self.moved, asked.path.as_str()) {
            return Reply::empty(301).header("location", there);
        }
        if self.etag.is_some() && asked.header("if-none-match") == self.etag.as_deref() {
            return Reply::empty(304);
        }
        let mut reply = Reply::empty(200).header("content-type", "text/calendar; charset=utf-8");
        reply.body.clone_from(&self.body);
        match &self.etag {
            Some(etag) => reply.header("etag", etag),
            None => reply,
        }
    }
}

fn feed(body: &str) -> (Fake<Feed>, Puller) {
    let fake = Fake::start(|_| Feed { body: body.to_owned(), ..Feed::default() });
    let puller = Puller::new(Provider::Ics, None, vec![format!("{}/feed.ics", fake.url())]);
    (fake, puller)
}

/// Events of the coming days.
fn many(count: usize) -> String {
    let events: Vec<(String, String)> =
        (0..count).map(|n| (format!("e{n}@x"), format!("202612{:02}T090000Z", n + 1))).collect();
    let events: Vec<(&str, &str, &str)> =
        events.iter().map(|(uid, start)| (uid.as_str(), start.as_str(), uid.as_str())).collect();
    stream(&events)
}

#[test]
fn the_first_fetch_the_interval_and_what_is_unchanged() {
    let (fake, mut puller) = feed(&sample("ics/rfc7986_refresh.ics"));
    fake.state().etag = Some("W/\"v1\"".to_owned());
    assert_eq!(puller.pull(), Ended::Done(Some(4 * 3_600)));
    assert_eq!(puller.titles(), ["Training"]);
    let meeting = puller.world.only();
    assert_eq!(meeting.event.start.to_string(), "20261111T180000");
    assert_eq!(meeting.event.end.to_string(), "20261111T200000");
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 0));
    let calls = fake.state().record.calls.clone();
    assert_eq!(calls[1].1.header("if-none-match"), Some("W/\"v1\""));
    assert_eq!(calls[0].1.header("if-none-match"), None);
}

#[test]
fn a_download_that_differs_in_its_stamp_and_order_alone_brings_nothing() {
    let (fake, mut puller) = feed(&stream(&[("a", "20261201T090000Z", "A"), ("b", "20261202T090000Z", "B")]));
    puller.pull();
    let other = stream(&[("b", "20261202T090000Z", "B"), ("a", "20261201T090000Z", "A")]);
    fake.state().body = other.replace("20261101T000000Z", "20261122T120000Z").replace("//test//", "//again//");
    assert_eq!((puller.pull(), puller.brought), (Ended::Done(None), 0));
}

#[test]
fn what_is_no_whole_calendar_deletes_nothing() {
    let (fake, mut puller) = feed(&many(3));
    puller.pull();
    assert_eq!(puller.titles().len(), 3);
    let page = sample("ics/html_login_page_instead_of_ics.txt");
    for body in [page.as_str(), "", &sample("ics/truncated.ics"), "BEGIN:VCALENDAR\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"]
    {
        body.clone_into(&mut fake.state().body);
        assert!(matches!(puller.pull(), Ended::Waits(..)), "{body}");
    }
    fake.state().body = many(3);
    fake.state().record.fail("feed", Fault::Cut(100));
    assert!(matches!(puller.pull(), Ended::Waits(..) | Ended::Lost));
    assert_eq!(puller.titles().len(), 3);
    fake.state().body = many(4);
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles().len(), 4);
}

#[test]
fn losing_most_of_it_must_be_confirmed() {
    let (fake, mut puller) = feed(&many(12));
    fake.state().etag = Some("\"1\"".to_owned());
    puller.pull();
    fake.state().body = many(2);
    fake.state().etag = Some("\"2\"".to_owned());
    assert_eq!(puller.pull(), Ended::Done(Some(900)));
    assert_eq!(puller.titles().len(), 12, "held");
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles().len(), 2, "confirmed");
}

#[test]
fn absence_is_deletion_but_for_what_is_over() {
    let past = ("old", "20261001T090000Z", "Old");
    let coming = [("a", "20261201T090000Z", "A"), ("b", "20261202T090000Z", "B")];
    let (fake, mut puller) = feed(&stream(&[past, coming[0], coming[1]]));
    puller.pull();
    fake.state().body = stream(&[coming[1]]);
    puller.pull();
    assert_eq!(puller.titles(), ["B", "Old"]);
    fake.state().body = stream(&coming);
    puller.pull();
    assert_eq!(puller.titles(), ["A", "B", "Old"], "what comes back is back");
}

#[test]
fn a_feed_that_moved_for_good_is_asked_there_from_then_on() {
    let (fake, mut puller) = feed(&many(2));
    fake.state().moved = Some("/new.ics".to_owned());
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!((puller.titles().len(), puller.asked), (2, 2));
    fake.state().body = many(3);
    puller.pull();
    assert_eq!((puller.titles().len(), puller.asked), (3, 1));
    fake.state().moved = Some("/feed.ics".to_owned());
    let mut circling = Puller::new(Provider::Ics, None, vec![format!("{}/feed.ics", fake.url())]);
    assert!(matches!(circling.pull(), Ended::Waits(..)), "redirects end");
    assert_eq!(circling.asked, 6);
}

#[test]
fn throttling_errors_and_refusals() {
    let (fake, mut puller) = feed(&many(2));
    let refuse = |status| fake.state().record.fail("feed", Fault::Instead(Reply::empty(status)));
    refuse(401);
    assert!(matches!(puller.pull(), Ended::Broken(_)), "never good: somebody is told at once");
    puller.pull();
    fake.state().record.fail("feed", Fault::Instead(Reply::empty(429).header("retry-after", "900")));
    assert!(matches!(puller.pull(), Ended::Waits(Some(900), _)));
    refuse(503);
    assert!(matches!(puller.pull(), Ended::Waits(None, _)));
    for _ in 0..2 {
        refuse(404);
        assert_eq!(puller.pull(), Ended::Done(Some(28_800)), "it was good: it gets a day");
    }
    refuse(404);
    assert!(matches!(puller.pull(), Ended::Broken(_)));
    refuse(410);
    assert!(matches!(puller.pull(), Ended::Broken(_)));
    assert_eq!(puller.titles().len(), 2, "and nothing was lost");
}

#[test]
fn credentials_go_to_the_feeds_own_host_alone() {
    let (fake, puller) = feed(&many(1));
    let elsewhere = Fake::start(|_| Feed { body: many(1), ..Feed::default() });
    fake.state().moved = Some(format!("{}/moved.ics", elsewhere.url()));
    let mut puller = puller.password("mara", "secret");
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(fake.state().record.calls[0].1.header("authorization"), Some("Basic bWFyYTpzZWNyZXQ="));
    assert_eq!(elsewhere.state().record.calls[0].1.header("authorization"), None);
}

#[test]
fn a_feed_may_come_compressed_and_never_becomes_more_than_is_allowed() {
    let (fake, mut puller) = feed(&many(3));
    let compressed = |body: String| Reply { body, ..Reply::empty(200).header("content-encoding", "gzip") };
    fake.state().record.fail("feed", Fault::Instead(compressed(many(5))));
    assert_eq!(puller.pull(), Ended::Done(None));
    assert_eq!(puller.titles().len(), 5);
    assert_eq!(fake.state().record.calls[0].1.header("accept-encoding"), Some("gzip"));
    // Broken off in the middle of the compressed bytes, or with fewer than were announced.
    for broken in [
        compressed(many(9)).cut(60),
        Reply { body: many(9), ..Reply::empty(200).header("content-encoding", "x-gzip, br") },
    ] {
        let is_cut = broken.cut.is_some();
        fake.state().record.fail("feed", Fault::Instead(broken));
        let ended = puller.pull();
        assert!(!is_cut || matches!(ended, Ended::Waits(..) | Ended::Lost), "{ended:?}");
    }
    assert_eq!(puller.titles().len(), 5);
    // 24 MB of nothing in 100 KB: the reader here takes 16 MiB.
    let bomb = format!("BEGIN:VCALENDAR\r\nX-A:{}\r\nEND:VCALENDAR\r\n", "a".repeat(24 << 20));
    fake.state().record.fail("feed", Fault::Instead(compressed(bomb)));
    assert!(matches!(puller.pull(), Ended::Waits(..)), "it is not read to its end");
    assert_eq!(puller.titles().len(), 5);
    // It says that it is compressed, and is not.
    let liar = Reply { body: many(3), ..Reply::empty(200).header("content-encoding", "br") };
    fake.state().record.fail("feed", Fault::Instead(liar));
    assert_eq!(puller.pull(), Ended::Done(None), "what is readable as it is, is read");
    assert_eq!(puller.titles().len(), 3);
}
