//! The methods of WebDAV and CalDAV, from outside: RFC 4918, RFC 4791 §5.3, RFC 5995, RFC 8144, RFC 9110 §13.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod conditions;
mod copymove;
mod get;
mod locks;
mod put;
mod races;
mod timezones;

use common::{Answer, TestApp};

/// A VEVENT with a UID, a start and a summary.
pub fn event(uid: &str, start: &str, summary: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20261101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\n\
         END:VCALENDAR\r\n"
    )
}

/// Alice's default calendar.
pub const CALENDAR: &str = "/dav/calendars/alice/default/";
/// Alice's files.
pub const FILES: &str = "/dav/files/alice/";

/// A path in alice's default calendar.
pub fn object(name: &str) -> String {
    format!("{CALENDAR}{name}")
}

/// A path below alice's files.
pub fn file(name: &str) -> String {
    format!("{FILES}{name}")
}

impl TestApp {
    /// As alice.
    pub async fn alice(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(Some("alice"), method, path, headers, body.to_owned()).await
    }

    /// A file of alice's, made.
    pub async fn with_file(&self, name: &str, text: &str) -> String {
        let answer = self.alice("PUT", &file(name), &[], text).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        answer.header("etag").expect("a new file has a tag").to_owned()
    }

    /// A plain collection of alice's, made through the method for it.
    pub async fn with_folder(&self, name: &str) {
        let answer = self.alice("MKCOL", &file(name), &[], "").await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
    }

    /// An event in alice's default calendar.
    pub async fn with_event(&self, name: &str, uid: &str) -> String {
        let answer = self.alice("PUT", &object(name), &[], &event(uid, "20261201T090000Z", "x")).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        answer.header("etag").expect("a new object has a tag").to_owned()
    }

    /// The status of a GET by alice.
    pub async fn status(&self, path: &str) -> u16 {
        self.alice("GET", path, &[], "").await.status
    }
}
