//! A feed that says what it is told to.

use kalends::merge::Provider;

use crate::fakes::{Api, Asked, Fake, Record, Reply};
use crate::puller::{Ended, Puller};

#[derive(Debug, Default)]
pub struct Told {
    record: Record,
    pub body: String,
}

impl Api for Told {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, _asked: &Asked) -> &'static str {
        "feed"
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        let etag = format!("\"{}\"", self.body.len());
        if asked.header("if-none-match") == Some(&etag) {
            return Reply::empty(304);
        }
        Reply { body: self.body.clone(), ..Reply::empty(200).header("etag", &etag) }
    }
}

/// A calendar of these components.
pub fn calendar(components: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\n{components}END:VCALENDAR\n")
}

/// A feed of these components, and what has pulled it once.
pub fn told(components: &str) -> (Fake<Told>, Puller) {
    let body = calendar(components);
    let fake = Fake::start(|_| Told { body, ..Told::default() });
    let mut puller = Puller::new(Provider::Ics, None, vec![format!("{}/x.ics", fake.url())]);
    assert!(matches!(puller.pull(), Ended::Done(_)));
    (fake, puller)
}
