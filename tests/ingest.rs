//! Meetings from elsewhere beside clients: edits, deletes and moves of theirs, exceptions before their series, whole listings, and how
//! fast all of it goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;
use kalends::access::Actor;
use kalends::base::{FixedClock, Limits, Secret, Utc};
use kalends::ical::DateOrTime;
use kalends::merge::{
    Content, End, Generation, Orphan, Part, Person, Provider, Recurrence, Role, SourceId, SourceRecord, Sweep, Version,
};
use kalends::model::{Path, UserName};
use kalends::service::accounts::{self, NewUser};
use kalends::service::conditions::{Conditions, Tag, Tags};
use kalends::service::ingest::{self, ChangeKind, Outcome};
use kalends::service::objects::{self, Fidelity, Found, Put, PutOutcome};
use kalends::service::providers::{
    self, Account, AccountKey, AccountSecrets, Entry, ProviderSettings, Providers, Vault,
};
use kalends::service::resources::{self, Depth, Overwrite, Transfer};
use kalends::service::{Context, Error};
use kalends::store::kv::{Changes, Kv, Memory, Visit};
use kalends::store::{Engine, Options, Store, StoreError};

const NOW: Utc = Utc(1_795_348_800);

struct Place {
    context: Context,
    clock: Arc<FixedClock>,
    account: Account,
    actor: Actor,
    flushes: Arc<AtomicU64>,
}

/// An engine in memory that counts how often it is made durable.
struct Counting(Memory, Arc<AtomicU64>);

impl Kv for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(from, to, visit)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        self.0.apply(changes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        // About what a disk takes.
        std::thread::sleep(std::time::Duration::from_millis(1));
        self.0.sync()
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.0.disk_bytes()
    }

    fn kind(&self) -> Engine {
        self.0.kind()
    }
}

impl Place {
    async fn new() -> Self {
        let options =
            Options { dir: PathBuf::new(), engine: Engine::Memory, cache_bytes: 1 << 20, tombstones_max: 50_000 };
        let flushes = Arc::new(AtomicU64::new(0));
        let store =
            Store::open_on(Arc::new(Counting(Memory::default(), Arc::clone(&flushes))), &options).expect("it opens");
        let mut context = Context::new(store, Limits::default());
        let clock = Arc::new(FixedClock::new(NOW));
        let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        let vault = Vault::new(&Secret::new(key)).expect("a key of 32 bytes");
        context.clock = clock.clone();
        context.providers = Providers::new(ProviderSettings { vault: Some(vault), ..ProviderSettings::default() });
        let emails = vec!["anna@example.com".to_owned()];
        let user = NewUser { name: anna(), display_name: None, emails, password: None, admin: false };
        let principal = accounts::create(&context, user).await.expect("a user");
        accounts::create_calendar(&context, &anna(), "other", None).await.expect("a calendar");
        let key = AccountKey::new(Provider::Google, "anna@example.com").expect("a name");
        let entry = Entry {
            secrets: AccountSecrets { refresh_token: Some(Secret::new("r".to_owned())), ..AccountSecrets::default() },
            ..Entry::new(key, anna(), "default")
        };
        let (account, _) = providers::add(&context, entry).await.expect("an account");
        Self { context, clock, account, actor: Actor::User(principal.id), flushes }
    }

    async fn apply(&self, records: Vec<SourceRecord>) -> Outcome {
        ingest::apply(&self.context, &self.account, records).await.expect("applied")
    }

    /// The one meeting's place and summary.
    async fn only(&self) -> (Path, serde_json::Value) {
        let mut views = ingest::show(&self.context, None).await.expect("shown");
        assert_eq!(views.len(), 1);
        let view = views.remove(0);
        (view.path.expect("it is shown"), view.summary)
    }

    async fn count(&self) -> usize {
        ingest::show(&self.context, None).await.expect("shown").len()
    }

    async fn get(&self, path: &Path) -> (String, String) {
        match objects::get(&self.context, self.actor, path).await.expect("it is there") {
            Found::Object(object, bytes, _) => {
                (String::from_utf8(bytes.to_vec()).expect("UTF-8"), object.etag.to_string())
            }
            _ => panic!("no object"),
        }
    }

    async fn put(&self, path: &Path, text: &str, etag: Option<&str>) -> Result<PutOutcome, Error> {
        let tag = |etag: &str| Tag { weak: false, opaque: etag.trim_matches('"').to_owned() };
        let if_match = etag.map(|etag| Tags::Of(vec![tag(etag)]));
        let put = Put {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            content_type: Some("text/calendar".to_owned()),
            content_language: None,
            conditions: Conditions { if_match, ..Conditions::default() },
        };
        objects::put(&self.context, self.actor, path, put).await
    }
}

fn anna() -> UserName {
    UserName::new("anna").expect("a name")
}

fn source(id: &str) -> SourceId {
    SourceId::new(Provider::Google, "anna@example.com", id).in_calendar("primary")
}

fn berlin(hour: u32) -> DateOrTime {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 12, 1).expect("a date");
    DateOrTime::Zoned(day.and_hms_opt(hour, 0, 0).expect("a time"), "Europe/Berlin".to_owned())
}

fn content(uid: &str, title: &str, hour: u32) -> Content {
    Content {
        role: Some(Role::Attendee),
        part: Some(Part::Event),
        uid: Some(uid.to_owned()),
        title: Some(title.to_owned()),
        start: Some(berlin(hour)),
        end: Some(End::After(3_600)),
        zone: Some("Europe/Berlin".to_owned()),
        organizer: Some(Person::of("ben@example.com")),
        ..Content::default()
    }
}

fn event(id: &str, generation: u64, stamp: i64, content: Content) -> SourceRecord {
    SourceRecord::whole(source(id), Version::new(Generation(generation), stamp, 0), content)
}

#[tokio::test]
async fn an_offline_client_that_changed_the_title_does_not_undo_a_newer_move() {
    let place = Place::new().await;
    place.apply(vec![event("e", 1, 1, content("u1", "Plan", 10))]).await;
    let (path, _) = place.only().await;
    let (old, _) = place.get(&path).await;
    place.apply(vec![event("e", 2, 2, content("u1", "Plan", 15))]).await;
    let put = place.put(&path, &old.replace("SUMMARY:Plan", "SUMMARY:My plan"), None).await.expect("stored");
    assert_eq!(put.stored, Fidelity::Converted, "no ETag for what is not stored as it came");
    let (_, summary) = place.only().await;
    assert_eq!(summary["title"], "My plan");
    assert_eq!(summary["start_local"], "2026-12-01T15:00:00");
    assert!(place.get(&path).await.0.contains("DTSTART;TZID=Europe/Berlin:20261201T150000"));
    // The edit stays over noise and over changes of other fields.
    let mut moved = content("u1", "Plan", 16);
    moved.location = Some("Room 1".to_owned());
    place.apply(vec![event("e", 3, 3, moved)]).await;
    let (_, summary) = place.only().await;
    assert_eq!((&summary["title"], &summary["location"]), (&"My plan".into(), &"Room 1".into()));
    assert_eq!(place.context.store.check().await.expect("checked"), []);
}

#[tokio::test]
async fn a_client_that_knows_the_state_gets_its_bytes_kept_and_noise_leaves_them() {
    let place = Place::new().await;
    place.apply(vec![event("e", 1, 1, content("u1", "Plan", 10))]).await;
    let (path, _) = place.only().await;
    let (text, etag) = place.get(&path).await;
    let mine = text.replace("SUMMARY:Plan", "SUMMARY:Mine\r\nX-COLOUR:red");
    let put = place.put(&path, &mine, Some(&etag)).await.expect("stored");
    assert_eq!(put.stored, Fidelity::AsSent);
    assert_eq!(place.get(&path).await.0, mine);
    let noise = place.apply(vec![event("e", 2, 1, content("u1", "Plan", 10))]).await;
    assert!(noise.changes.is_empty(), "{noise:?}");
    assert_eq!(place.get(&path).await.0, mine);
    let refused = place.put(&path, &text, Some(&etag)).await;
    assert!(matches!(refused, Err(Error::StateChanged)));
}

/// What sources say besides is less than the meeting: where both are too large for an object, it goes without.
#[tokio::test]
async fn a_meeting_is_published_without_what_makes_it_too_large() {
    let mut place = Place::new().await;
    place.context.limits.resource_bytes_max = 8_000;
    let with = |stamp: i64, title: &str, bytes: usize| {
        let further = Some(format!("X-NOTE:{}\r\n", "n".repeat(bytes)));
        event("e", 1, stamp, Content { further, ..content("u1", title, 10) })
    };
    place.apply(vec![with(1, "Plan", 100)]).await;
    let (path, _) = place.only().await;
    assert!(place.get(&path).await.0.contains("X-NOTE:nnn"));
    place.apply(vec![with(2, "Moved", 9_000)]).await;
    let (text, _) = place.get(&path).await;
    assert!(text.contains("SUMMARY:Moved") && !text.contains("X-NOTE"), "{text}");
}

#[tokio::test]
async fn what_a_user_deleted_stays_so_until_something_material_changes() {
    let place = Place::new().await;
    place.apply(vec![event("e", 1, 1, content("u1", "Plan", 10))]).await;
    let (path, _) = place.only().await;
    resources::delete(&place.context, place.actor, &path, &Conditions::default()).await.expect("deleted");
    assert_eq!(place.count().await, 0);
    let mut reworded = content("u1", "Plan", 10);
    reworded.description = Some("other words".to_owned());
    let silent = place.apply(vec![event("e", 2, 2, reworded)]).await;
    assert!(silent.changes.is_empty(), "{silent:?}");
    assert_eq!(place.count().await, 0);
    let back = place.apply(vec![event("e", 3, 3, content("u1", "Plan", 14))]).await;
    assert_eq!(back.changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [ChangeKind::Created]);
    assert_eq!(place.only().await.0, path);
}

#[tokio::test]
async fn a_meeting_that_a_client_moved_stays_where_it_was_put() {
    let place = Place::new().await;
    place.apply(vec![event("e", 1, 1, content("u1", "Plan", 10))]).await;
    let (from, _) = place.only().await;
    let to = Path::Object(anna(), "other".to_owned(), "mine.ics".to_owned());
    let transfer = Transfer {
        to: to.clone(),
        depth: Depth::Infinity,
        overwrite: Overwrite::Refused,
        conditions: Conditions::default(),
    };
    resources::relocate(&place.context, place.actor, &from, &transfer).await.expect("moved");
    place.apply(vec![event("e", 2, 2, content("u1", "Plan", 15))]).await;
    let (path, summary) = place.only().await;
    assert_eq!((path, &summary["start_local"]), (to.clone(), &"2026-12-01T15:00:00".into()));
    assert!(objects::get(&place.context, place.actor, &from).await.is_err());
    let copied = Transfer { to: from.clone(), ..transfer };
    resources::copy(&place.context, place.actor, &to, &copied).await.expect("copied");
    place.apply(vec![event("e", 3, 3, content("u1", "Plan", 16))]).await;
    assert!(place.get(&to).await.0.contains("T160000"));
    assert!(place.get(&from).await.0.contains("T150000"), "a copy is the client's own");
    assert_eq!(place.context.store.check().await.expect("checked"), []);
}

#[tokio::test]
async fn an_exception_waits_for_its_series_and_then_both_are_one_change() {
    let place = Place::new().await;
    let part = Part::Instance { series: "s".to_owned(), original_start: berlin(10), orphan: Orphan::Waits };
    let moved = Content { part: Some(part), ..content("u1", "Plan", 12) };
    let parked = place.apply(vec![event("s_1", 1, 5, moved)]).await;
    assert_eq!((parked.parked, parked.changes.len()), (1, 0));
    assert_eq!(ingest::waiting(&place.context).await.expect("counted").parked, 1);
    place.clock.set(NOW.plus(3_700));
    let tidied = ingest::tidy(&place.context).await.expect("tidied");
    assert_eq!((tidied.fetch.len(), tidied.dropped), (1, 0));
    let rules = vec!["FREQ=WEEKLY;COUNT=3".to_owned()];
    let recurrence = Some(Recurrence { rules, ..Recurrence::default() });
    let series = Content { recurrence, ..content("u1", "Plan", 10) };
    let outcome = place.apply(vec![event("s", 1, 4, series)]).await;
    assert_eq!(outcome.changes.len(), 1);
    let (_, summary) = place.only().await;
    assert_eq!(summary["moved"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(ingest::waiting(&place.context).await.expect("counted").parked, 0);
}

#[tokio::test]
async fn an_exception_whose_series_never_comes_is_dropped_after_a_week() {
    let place = Place::new().await;
    let part = Part::Instance { series: "s".to_owned(), original_start: berlin(10), orphan: Orphan::Waits };
    place.apply(vec![event("s_1", 1, 5, Content { part: Some(part), ..content("u1", "Plan", 12) })]).await;
    place.clock.set(NOW.plus(8 * 86_400));
    assert_eq!(ingest::tidy(&place.context).await.expect("tidied").dropped, 1);
    assert_eq!(ingest::waiting(&place.context).await.expect("counted"), ingest::Waiting::default());
}

#[tokio::test]
async fn a_whole_listing_takes_away_what_it_does_not_name_now_and_later() {
    let place = Place::new().await;
    let records = (0..5).map(|n| event(&format!("e{n}"), 1, 1, content(&format!("u{n}"), "Plan", 10)));
    place.apply(records.collect()).await;
    place.apply(vec![event("e0", 4, 1, content("u0", "Plan", 10))]).await;
    let scope = source("").scope();
    let sweep = Sweep { scope, generation: Generation(4), window: None };
    let outcome = ingest::sweep(&place.context, &place.account, &sweep).await.expect("swept");
    assert_eq!((outcome.tombstoned, outcome.changes.len(), place.count().await), (4, 4, 1));
    let late = place.apply(vec![event("e9", 3, 9, content("u9", "Late", 10))]).await;
    assert_eq!((late.stale, place.count().await), (1, 1));
    let late = place.apply(vec![event("e1", 3, 9, content("u1", "Late", 11))]).await;
    assert!(late.changes.is_empty());
    assert_eq!(place.count().await, 1);
    place.clock.set(NOW.plus(31 * 86_400));
    assert_eq!(ingest::tidy(&place.context).await.expect("tidied").forgotten, 5);
    ingest::forget_account(&place.context, &place.account).await.expect("forgotten");
    assert_eq!(place.count().await, 0);
    assert_eq!(place.context.store.check().await.expect("checked"), []);
}

/// `KALENDS_INGEST_DELIVERIES=100000 cargo test --release --test ingest how_fast -- --nocapture` is the long run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_fast_deliveries_go_and_that_it_does_not_depend_on_what_is_stored() {
    let deliveries: u64 =
        std::env::var("KALENDS_INGEST_DELIVERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let meetings = (deliveries / 10).max(1);
    let place = Place::new().await;
    let mut tenths = Vec::new();
    let (begun, before) = (Instant::now(), place.flushes.load(Ordering::Relaxed));
    let mut begun_tenth = Instant::now();
    for round in 0..10 {
        for page in 0..meetings.div_ceil(100) {
            let ids = page * 100..((page + 1) * 100).min(meetings);
            // Every third delivery of a meeting changes something visible; the others are newer and say the same.
            let record = |id: u64| {
                let title = format!("Meeting {id} {}", round / 3);
                event(&format!("e{id}"), round + 1, 1, content(&format!("u{id}@example.com"), &title, 10))
            };
            place.apply(ids.map(record).collect()).await;
        }
        tenths.push(begun_tenth.elapsed().as_secs_f64());
        begun_tenth = Instant::now();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let flushes = place.flushes.load(Ordering::Relaxed) - before;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown").to_owned();
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let (rate, each) = (deliveries as f64 / seconds, flushes as f64 / deliveries as f64);
    println!(
        "{deliveries} deliveries for {meetings} meetings: {rate:.0} a second, {each:.3} flushes each, {peak}; \
         seconds by tenths: {tenths:.2?}"
    );
    assert_eq!(place.count().await as u64, meetings);
    assert!(each < 1.5, "a delivery is one batch: {each}");
}
