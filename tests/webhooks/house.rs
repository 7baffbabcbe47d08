//! A server's inside with a dispatcher that can be ended well, or badly.

use std::sync::Arc;
use std::time::Duration;

use kalends::access::Actor;
use kalends::base::{PrincipalId, Secret};
use kalends::job::delivery;
use kalends::model::UserName;
use kalends::outbound::{Client, Policy};
use kalends::service::Context;
use kalends::service::webhooks::{
    self, Attempt, Desk, Endpoint, EndpointId, Millis, NewEndpoint, Owner, Rate, Schedule, WebhookSettings, ledger,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::TestApp;
use crate::receiver::Receiver;

pub struct House {
    pub app: TestApp,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    policy: Policy,
}

/// Settings with a schedule in milliseconds.
pub fn quick(delays_ms: &[u64]) -> WebhookSettings {
    let schedule = Schedule { delays_ms: delays_ms.to_vec(), ..Schedule::default() };
    WebhookSettings { schedule, ..WebhookSettings::default() }
}

/// A sender with so much patience.
pub fn patience(time: Duration) -> Policy {
    Policy { connect_timeout: time, total_timeout: time, ..Policy::default() }
}

/// Longer than any test: what is waited for comes, however slow the machine is, and what never answers is never given up.
const FOR_EVER: Duration = Duration::from_secs(3_600);

pub const FAST: Rate = Rate { per_second: 50_000, burst: 50_000, in_flight_max: 4 };

impl House {
    /// With alice and bob, each with a calendar `default`, and a dispatcher that waits for every answer.
    pub async fn new(settings: WebhookSettings) -> Self {
        Self::patient(settings, FOR_EVER).await
    }

    /// The same with a dispatcher that waits so long.
    pub async fn patient(settings: WebhookSettings, time: Duration) -> Self {
        let mut house = Self { policy: patience(time), ..Self::silent(settings).await };
        house.start();
        house
    }

    /// The same without a dispatcher.
    pub async fn silent(settings: WebhookSettings) -> Self {
        let mut app = TestApp::new();
        let context = Arc::get_mut(&mut app.context).expect("nobody else has it yet");
        context.webhooks = Desk::new(settings);
        context.clock = Arc::new(kalends::base::SystemClock);
        app.add_user("alice").await;
        app.add_user("bob").await;
        Self { app, running: None, policy: patience(FOR_EVER) }
    }

    pub fn start(&mut self) {
        let client = Client::new(self.policy.clone()).expect("a client");
        let (stop, stopped) = watch::channel(false);
        let context = Arc::clone(&self.app.context);
        let task = tokio::spawn(async move { delivery::run(context, client, stopped).await.expect("it starts") });
        self.running = Some((stop, task));
    }

    /// Ends the dispatcher as the end of the server does.
    pub async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.send(true).expect("it listens");
        task.await.expect("it ends");
    }

    /// Ends the dispatcher as a crash does: nothing more is written down.
    pub async fn kill(&mut self) {
        let (_stop, task) = self.running.take().expect("it runs");
        task.abort();
        let _ = task.await;
    }

    pub fn context(&self) -> &Context {
        &self.app.context
    }

    pub async fn user(&self, name: &str) -> PrincipalId {
        let name = UserName::new(name).expect("a name");
        self.context().store.principal_named(&name).await.expect("the store reads").expect("a user").id
    }

    pub async fn add(&self, new: NewEndpoint) -> (Endpoint, Secret<String>) {
        webhooks::add(self.context(), Actor::System, new).await.expect("added")
    }

    /// An endpoint of alice's at a receiver.
    pub async fn endpoint(&self, receiver: &Receiver) -> EndpointId {
        let new = self.new_endpoint(&receiver.url()).await;
        self.add(new).await.0.id
    }

    pub async fn new_endpoint(&self, url: &str) -> NewEndpoint {
        let owner = Owner::User(self.user("alice").await);
        NewEndpoint { allow_private: true, rate: FAST, ..NewEndpoint::new(owner, url) }
    }

    /// Stores an event in alice's calendar.
    pub async fn put(&self, uid: &str, summary: &str) {
        self.put_with(uid, &format!("SUMMARY:{summary}")).await;
    }

    pub async fn put_with(&self, uid: &str, lines: &str) {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n\
             DTSTART:20261122T100000Z\r\nDTEND:20261122T110000Z\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let path = format!("/dav/calendars/alice/default/{uid}.ics");
        let answer = self.app.send(Some("alice"), "PUT", &path, &[("content-type", "text/calendar")], text).await;
        assert!(matches!(answer.status, 201 | 204), "{answer:?}");
    }

    pub async fn delete(&self, uid: &str) {
        let path = format!("/dav/calendars/alice/default/{uid}.ics");
        assert_eq!(self.app.send(Some("alice"), "DELETE", &path, &[], "").await.status, 204);
    }

    pub async fn attempts(&self, id: EndpointId) -> Vec<Attempt> {
        ledger::attempts(self.context(), id, Millis(0), None).await.expect("the store reads").0
    }

    /// Waits until so many attempts are in the log.
    pub async fn wait_for_attempts(&self, id: EndpointId, count: usize) -> Vec<Attempt> {
        for _ in 0..6_000 {
            let attempts = self.attempts(id).await;
            if attempts.len() >= count {
                return attempts;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} instead of {count} attempts", self.attempts(id).await);
    }
}

impl House {
    /// So many events in alice's calendar, without anything stored: the outbox alone matters.
    pub async fn many(&self, count: usize) {
        use kalends::base::ETag;
        use kalends::model::EventKind;
        use kalends::store::{Batch, Draft};
        let store = &self.context().store;
        let alice = self.user("alice").await;
        let home = store.principal(alice).await.expect("the store reads").expect("alice").home;
        let calendar = store.child(home, "default").await.expect("the store reads").expect("a calendar").id;
        let mut made = 0;
        while made < count {
            let events = (made..count.min(made + 500))
                .map(|n| {
                    let kind = EventKind::ObjectCreated {
                        name: format!("{n}.ics"),
                        uid: Some(format!("u{n}")),
                        etag: ETag([1; 16]),
                    };
                    Draft { owner: alice, collection: calendar, kind }
                })
                .collect::<Vec<_>>();
            made += events.len();
            store.commit(Batch { at: self.context().clock.now(), events, ..Batch::default() }).await.expect("written");
        }
    }
}
