//! The whole way, over HTTP: a provider's bell rings at a running server, the server pulls, and a CalDAV client sees what changed.
//!
//! How long that takes is printed: `cargo test --release --test provider_apis whole -- --nocapture`, more rounds with
//! `KALENDS_PROVIDER_ROUNDS=200`. The median must keep what is promised; where `KALENDS_PROVIDER_STRICT=1` says that the machine is
//! quiet, every change must.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kalends::base::{Limits, Secret, Utc};
use kalends::job;
use kalends::model::UserName;
use kalends::outbound::{Client, Policy, Ports, Reach};
use kalends::server::Options;
use kalends::service::providers::{
    self, AccountKey, AccountSecrets, AccountState, Entry, Provider, ProviderSettings, Providers, Vault,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::exchange::HOOK;
use crate::fakes::google::{Google, error};
use crate::fakes::microsoft::Microsoft;
use crate::fakes::{Api, Fake, Fault, post};
use crate::mapping::sample;
use crate::sockets::{TestServer, request};

const PASSWORD: &str = "a-password-for-tests";
/// 32 bytes in base64.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// What a client waits for, from the bell on.
const PROMISE: Duration = Duration::from_secs(5);
/// No step takes longer, whatever the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with its runner, one account, and the fake that the account is at.
struct Place<A> {
    server: TestServer,
    fake: Fake<A>,
    key: AccountKey,
    stop: Option<oneshot::Sender<()>>,
}

impl<A: Api> Place<A> {
    /// The API's address stands in the configuration.
    fn start(fake: Fake<A>, provider: Provider, name: &str) -> Self {
        let vault = Vault::new(&Secret::new(KEY.to_owned())).expect("a key");
        let server = TestServer::prepared(Limits::default(), Options::default(), |context, address| {
            context.providers = Providers::new(ProviderSettings {
                vault: Some(vault),
                hook_url: Some(format!("http://{address}")),
                base_urls: [(provider, fake.url())].into(),
                token_urls: [(provider, format!("{}/token", fake.url()))].into(),
                ..ProviderSettings::default()
            });
        });
        server.clock.set(Utc(1_795_348_800));
        server.user("mara", PASSWORD);
        let key = AccountKey::new(provider, name).expect("a key");
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let entry = Entry {
            key: key.clone(),
            user: UserName::new("mara").expect("a name"),
            calendar: "default".to_owned(),
            addresses: vec!["mara@northwind.example".to_owned(), "mara.lindqvist@contoso.example".to_owned()],
            calendars: Vec::new(),
            base_url: None,
            token_url: None,
            client_id: Some("kalends-client".to_owned()),
            options: Vec::new(),
            poll_seconds: Some(3_600),
            secrets: AccountSecrets {
                hook: secret(HOOK),
                refresh_token: secret("refresh-0"),
                client_secret: secret("kalends-client-secret"),
                ..AccountSecrets::default()
            },
        };
        server.runtime.block_on(providers::add(&server.context, entry)).expect("the account is added");
        let policy = Policy {
            reach: Reach::Private,
            https_only: false,
            ports: Ports::Any,
            total_timeout: PATIENCE,
            ..Policy::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let runner = job::providers::run(Arc::clone(&server.context), Client::new(policy).expect("a client"), async {
            let _ = stopped.await;
        });
        server.runtime.spawn(runner);
        Self { server, fake, key, stop: Some(stop) }
    }

    /// What a CalDAV client gets of the calendar.
    fn calendar(&self) -> String {
        let body = "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><D:getetag/>\
                    <C:calendar-data/></D:prop><C:filter><C:comp-filter name=\"VCALENDAR\"/></C:filter></C:calendar-query>";
        let asked = request("REPORT", "/dav/calendars/mara/default/").header("Depth", "1").login("mara", PASSWORD);
        let answer = asked.body(body).send(self.server.address);
        assert_eq!(answer.status, 207, "{}", answer.body);
        answer.body.replace("&#13;", "").replace("\r\n ", "").replace("\n ", "")
    }

    /// Waits until the calendar is as wanted; how long that took.
    fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let calendar = self.calendar();
            if wanted(&calendar) {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{what} does not come in {PATIENCE:?}: {:?}\n{calendar}",
                self.account()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn shows(&self, text: &str) -> Duration {
        self.until(text, |calendar| calendar.contains(text))
    }

    fn account(&self) -> AccountState {
        self.server.runtime.block_on(providers::account(&self.server.context, &self.key)).expect("it is there").state
    }

    /// Whether the server knows of a push channel that has not ended.
    fn channel_lives(&self) -> bool {
        let channels = providers::channels(&self.server.context, &self.key);
        let channels = self.server.runtime.block_on(channels).expect("the store reads");
        channels.iter().any(|channel| channel.expires > self.server.context.clock.now())
    }

    /// Waits until something other than the calendar holds.
    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "{what} does not happen: {:?}", self.account());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn dead(&self) -> Vec<String> {
        let letters = providers::dead_letters(&self.server.context, Some(&self.key), 100);
        let letters = self.server.runtime.block_on(letters).expect("the store reads");
        letters.into_iter().map(|letter| letter.reason).collect()
    }
}

impl<A> Drop for Place<A> {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.server.stop();
    }
}

fn rounds() -> usize {
    std::env::var("KALENDS_PROVIDER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(10)
}

/// Prints and checks how long changes took from the bell to the client.
fn report(provider: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |part: f64| took[((took.len() - 1) as f64 * part).ceil() as usize];
    println!("{provider}: {} changes from bell to client: p50 {:?}, p99 {:?}", took.len(), at(0.5), at(0.99));
    let judged = if std::env::var("KALENDS_PROVIDER_STRICT").is_ok() { at(1.0) } else { at(0.5) };
    assert!(judged < PROMISE, "{provider}: {judged:?}");
}

fn ring_google(place: &Place<Google>) {
    let bells = place.fake.state().bells("exists");
    assert!(!bells.is_empty(), "a channel is open");
    for (url, headers) in bells {
        assert_eq!(post(&url, &headers, "").0, 200);
    }
}

fn google(name: &str) -> Value {
    sample(&format!("google/{name}.json"))
}

/// The single event with another title, changed later than anything before.
fn retitled(base: Value, title: &str, at: usize) -> Value {
    let mut event = base;
    let stamp = format!("2026-11-11T{:02}:{:02}:{:02}.000Z", at / 3_600, at / 60 % 60, at % 60);
    let google = event.get("summary").is_some();
    event[if google { "summary" } else { "subject" }] = json!(title);
    event[if google { "updated" } else { "lastModifiedDateTime" }] = json!(stamp);
    event
}

#[test]
fn google_from_the_bell_to_the_client() {
    let fake = Fake::start(Google::new);
    for name in [
        "event_exception_moved",
        "event_exception_cancelled_minimal",
        "event_single",
        "event_all_day",
        "event_recurring_master",
    ] {
        fake.state().put(google(name));
    }
    fake.state().page_size = 2;
    let place = Place::start(fake, Provider::Google, "mara@northwind.example");
    for title in ["Budget check-in", "Weekly product sync", "RECURRENCE-ID", "Offsite"] {
        place.shows(title);
    }
    place.wait("a push channel", || place.fake.state().channels.len() == 1);
    let mut took = Vec::new();
    for round in 0..rounds() {
        let title = format!("Budget check-in {round};");
        let title = title.trim_end_matches(';');
        place.fake.state().put(retitled(google("event_single"), title, round));
        ring_google(&place);
        took.push(place.shows(&format!("SUMMARY:{title}\n")));
    }
    report("google", took);
    let next = |title: &str, at: usize| {
        place.fake.state().put(retitled(google("event_single"), title, 10_000 + at));
        ring_google(&place);
    };
    place.fake.state().oauth.expire();
    next("After a refresh", 1);
    place.shows("After a refresh");
    place.fake.state().record.fail("list", Fault::Cut(200));
    next("After a lost connection", 2);
    place.shows("After a lost connection");
    let before = place.fake.count("list");
    place
        .fake
        .state()
        .record
        .fail("list", Fault::Instead(error(429, "rateLimitExceeded", "x").header("retry-after", "2")));
    let rung = Instant::now();
    next("After a pause", 3);
    place.shows("After a pause");
    assert!(rung.elapsed() >= Duration::from_millis(1_900), "{:?}", rung.elapsed());
    assert_eq!(place.fake.count("list"), before + 2, "it does not ask in between");
    place.fake.state().purge("allday001");
    place.fake.state().forget_tokens();
    ring_google(&place);
    place.until("the sweep", |calendar| !calendar.contains("Offsite") && calendar.contains("After a pause"));
    let before = place.fake.count("list");
    let released = Arc::new(AtomicBool::new(false));
    place.fake.state().record.fail("list", Fault::Held(Arc::clone(&released)));
    ring_google(&place);
    place.wait("a slow pull", || place.fake.count("list") == before + 1);
    place.fake.state().put(retitled(google("event_single"), "After a burst", 10_004));
    for _ in 0..30 {
        ring_google(&place);
    }
    released.store(true, Ordering::SeqCst);
    place.shows("After a burst");
    assert!(place.fake.count("list") <= before + 2, "a burst collapses into one pull behind the one that runs");
    place.fake.state().put(json!({"id": "broken", "status": "confirmed", "start": {"dateTime": "soon"}}));
    next("Beside a broken one", 5);
    place.shows("Beside a broken one");
    assert!(place.dead().iter().any(|reason| reason.contains("start.dateTime")), "{:?}", place.dead());
    place.fake.state().oauth.revoked = true;
    place.fake.state().oauth.expire();
    ring_google(&place);
    place.wait(
        "the end of the grant",
        || matches!(place.account(), AccountState::Broken { reason } if reason.contains("revoked")),
    );
    assert!(place.calendar().contains("Beside a broken one"), "the data stays");
    place.fake.state().oauth.revoked = false;
    place.server.runtime.block_on(providers::resume(&place.server.context, &place.key)).expect("it is resumed");
    place.fake.state().put(retitled(google("event_single"), "Signed in again", 10_006));
    place.shows("Signed in again");
}

fn ring_microsoft(place: &Place<Microsoft>) {
    let bells = place.fake.state().bells("AAkALgImmutable0001");
    assert!(!bells.is_empty(), "a subscription is there");
    for (url, body) in bells {
        assert_eq!(post(&url, &[], &body).0, 202);
    }
}

fn microsoft(name: &str) -> Value {
    sample(&format!("microsoft/{name}.json"))
}

#[test]
fn microsoft_from_the_bell_to_the_client() {
    let fake = Fake::start(Microsoft::new);
    fake.state().list(microsoft("event_occurrence_bare_as_in_delta"));
    for name in ["event_exception_moved", "event_series_master", "event_single_teams", "event_all_day"] {
        fake.state().put(microsoft(name));
    }
    fake.state().detail(microsoft("event_series_master_select_exceptions"));
    fake.state().page_size = 2;
    let place = Place::start(fake, Provider::Microsoft, "mara.lindqvist@contoso.example");
    for title in ["Design review: onboarding", "Ops handover", "RECURRENCE-ID", "Inventory"] {
        place.shows(title);
    }
    place.wait("a subscription", || place.fake.state().subscriptions.len() == 1);
    let mut took = Vec::new();
    for round in 0..rounds() {
        let title = format!("Design review {round}");
        place.fake.state().put(retitled(microsoft("event_single_teams"), &title, round));
        ring_microsoft(&place);
        took.push(place.shows(&format!("SUMMARY:{title}\n")));
    }
    report("microsoft", took);
    let next = |title: &str, at: usize| {
        place.fake.state().put(retitled(microsoft("event_single_teams"), title, 10_000 + at));
        ring_microsoft(&place);
    };
    place.fake.state().oauth.expire();
    next("After a refresh", 1);
    place.shows("After a refresh");
    place.fake.state().record.fail("delta", Fault::Cut(200));
    next("After a lost connection", 2);
    place.shows("After a lost connection");
    let throttled = crate::fakes::microsoft::error(429, "ApplicationThrottled", "x").header("Retry-After", "2");
    place.fake.state().record.fail("delta", Fault::Instead(throttled));
    let rung = Instant::now();
    next("After a pause", 3);
    place.shows("After a pause");
    assert!(rung.elapsed() >= Duration::from_millis(1_900), "{:?}", rung.elapsed());
    place.fake.state().delete("AAkALgAllDay");
    ring_microsoft(&place);
    place.until("the deletion", |calendar| !calendar.contains("Inventory"));
    let old = place.fake.state().subscriptions[0].id.clone();
    let lifecycle = |event: &str| {
        let told = place.fake.state().lifecycle(event);
        for (url, body) in told {
            assert_eq!(post(&url, &[], &body).0, 202);
        }
    };
    lifecycle("reauthorizationRequired");
    place.wait("the renewal", || place.fake.count("subscription") == 1 && place.channel_lives());
    assert_eq!(place.fake.state().subscriptions[0].id, old, "it lives on");
    lifecycle("subscriptionRemoved");
    place.wait("another subscription", || place.fake.state().subscriptions.first().is_some_and(|new| new.id != old));
    place.wait("that it is known", || place.channel_lives());
    // One that is removed while its renewal is under way: the answer is older than the removal.
    let old = place.fake.state().subscriptions[0].id.clone();
    let released = Arc::new(AtomicBool::new(false));
    place.fake.state().record.fail("subscription", Fault::Held(Arc::clone(&released)));
    lifecycle("reauthorizationRequired");
    place.wait("the second renewal", || place.fake.count("subscription") == 2);
    lifecycle("subscriptionRemoved");
    released.store(true, Ordering::SeqCst);
    place.wait("a third subscription", || place.fake.state().subscriptions.first().is_some_and(|new| new.id != old));
    place.fake.state().purge("AAkALgSeriesMaster01");
    place.fake.state().purge("AAkALgException1117");
    place.fake.state().purge("AAkALgOcc1110");
    place.fake.state().forget_tokens();
    ring_microsoft(&place);
    place.until("the sweep", |calendar| !calendar.contains("Ops handover") && calendar.contains("After a pause"));
    place.fake.state().oauth.revoked = true;
    place.fake.state().oauth.expire();
    ring_microsoft(&place);
    place.wait(
        "the end of the grant",
        || matches!(place.account(), AccountState::Broken { reason } if reason.contains("revoked")),
    );
    assert!(place.calendar().contains("After a pause"), "the data stays");
}
