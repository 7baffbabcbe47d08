//! One Tuesday, six meetings, four providers: the recorded day of `tests/data/scenario-day` through the real adapters, in its order,
//! twice, and in random orders. `KALENDS_SCENARIO_ORDERS=1000` tries a thousand of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use kalends::base::{FixedClock, Interval, Limits, Secret, Utc};
use kalends::merge::Provider;
use kalends::model::UserName;
use kalends::provider::AccountKey;
use kalends::provider::replay::{self, Line, Played, Setup};
use kalends::service::ingest::{self, MeetingView};
use kalends::service::providers::{self, ProviderSettings, Providers, Vault};
use kalends::service::{Context, freebusy};
use kalends::store::{Engine, Options, Store};
use serde_json::{Value, json};

const DAY: &str = include_str!("data/scenario-day/deliveries.jsonl");
const EXPECTED: &str = include_str!("data/scenario-day/expected.json");
/// Random orders where nothing else is said.
const ORDERS: u64 = 12;

struct Place {
    context: Context,
    clock: Arc<FixedClock>,
}

impl Place {
    async fn new(lines: &[Line]) -> Self {
        let options =
            Options { dir: PathBuf::new(), engine: Engine::Memory, cache_bytes: 1 << 20, tombstones_max: 50_000 };
        let store = Store::open(&options).expect("a store in memory opens");
        let mut context = Context::new(store, Limits::default());
        let clock = Arc::new(FixedClock::new(lines[0].at));
        let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        let vault = Vault::new(&Secret::new(key)).expect("a key of 32 bytes");
        context.clock = clock.clone();
        context.providers = Providers::new(ProviderSettings { vault: Some(vault), ..ProviderSettings::default() });
        let place = Self { context, clock };
        replay::prepare(&place.context, &setup(), lines).await.expect("user and accounts");
        place
    }

    async fn play(&self, line: &Line) -> Played {
        self.clock.set(line.at);
        replay::play(&self.context, line).await.expect("the line can be played")
    }

    async fn show(&self) -> Vec<MeetingView> {
        ingest::show(&self.context, None).await.expect("the meetings can be shown")
    }

    /// Every object of the calendar, by name.
    async fn objects(&self) -> BTreeMap<String, Bytes> {
        let user = UserName::new("mara").expect("a name");
        let calendar =
            kalends::service::accounts::calendar(&self.context, &user, "default").await.expect("the calendar");
        let page = self.context.store.objects_with_content(calendar.id, None, 1_000, u64::MAX).await.expect("objects");
        page.rows.into_iter().map(|(object, bytes)| (object.name, bytes)).collect()
    }

    /// How many events the outbox holds, and the calendar's revision.
    async fn marks(&self) -> (usize, u64) {
        let user = UserName::new("mara").expect("a name");
        let calendar =
            kalends::service::accounts::calendar(&self.context, &user, "default").await.expect("the calendar");
        let events = self.context.store.events(0, 10_000).await.expect("events").rows;
        let told = events.iter().filter(|event| event.collection == calendar.id).count();
        (told, calendar.revision.0)
    }
}

fn setup() -> Setup {
    let secrets = [
        (Provider::Zoom, "kalends-test-zoom-secret-token"),
        (Provider::Slack, "kalends-test-slack-signing-secret"),
        (Provider::Microsoft, "kalends-client-state-1"),
        (Provider::Google, "acct={account}"),
    ];
    Setup {
        user: UserName::new("mara").expect("a name"),
        calendar: "default".to_owned(),
        emails: vec!["mara@northwind.example".to_owned(), "mara.lindqvist@contoso.example".to_owned()],
        secrets: secrets.into_iter().map(|(provider, secret)| (provider, secret.to_owned())).collect(),
    }
}

fn lines() -> Vec<Line> {
    DAY.lines().map(|line| Line::parse(line).expect("a line of the recording")).collect()
}

fn expected() -> Value {
    serde_json::from_str(EXPECTED).expect("JSON")
}

/// Holds what is shown against one expected meeting.
fn compare(found: &Value, wanted: &Value) {
    let what = wanted["key"].as_str().expect("a key");
    let same = [
        "title",
        "kind",
        "organizer",
        "status",
        "start_local",
        "tz",
        "duration_s",
        "rrule",
        "moved",
        "cancelled_instances",
        "instances_utc",
        "my_response",
        "join_url",
        "actual",
    ];
    for field in same.iter().filter(|field| !wanted[**field].is_null()) {
        assert_eq!(found[*field], wanted[*field], "{what}: {field}");
    }
    if !wanted["uid"].is_null() {
        assert_eq!(found["uid"], wanted["uid"], "{what}: uid");
    }
    if let Some(text) = wanted["description_contains"].as_str() {
        assert!(found["description"].as_str().is_some_and(|found| found.contains(text)), "{what}: description");
    }
    let set = |value: &Value| -> BTreeSet<String> {
        value["sources"].as_array().expect("sources").iter().map(|one| one.as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(set(found), set(wanted), "{what}: sources");
}

fn compare_all(views: &[MeetingView]) {
    let expected = expected();
    let wanted = expected["meetings"].as_array().expect("meetings");
    let titles: Vec<&Value> = views.iter().map(|view| &view.summary["title"]).collect();
    assert_eq!(views.len(), wanted.len(), "{titles:?}");
    for one in wanted {
        let found = views.iter().find(|view| view.summary["title"] == one["title"]);
        compare(&found.unwrap_or_else(|| panic!("{} is missing among {titles:?}", one["title"])).summary, one);
    }
    for absent in expected["absent"].as_array().expect("absent") {
        assert!(views.iter().all(|view| view.summary["title"] != absent["title"]), "{absent}");
    }
}

async fn compare_busy(place: &Place) {
    let expected = expected();
    let user = UserName::new("mara").expect("a name");
    let calendar = kalends::service::accounts::calendar(&place.context, &user, "default").await.expect("the calendar");
    for (day, wanted) in expected["busy_utc"].as_object().expect("days") {
        let start = Utc(chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d")
            .expect("a date")
            .and_hms_opt(0, 0, 0)
            .expect("midnight")
            .and_utc()
            .timestamp());
        let window = Interval::new(start, start.plus(86_400));
        let busy = freebusy::busy(&place.context, &calendar, window).await.expect("free-busy");
        let time = |at: Utc| at.naive().format("%H:%M").to_string();
        let found: Vec<[String; 2]> =
            busy.periods().iter().map(|period| [time(period.interval.start), time(period.interval.end)]).collect();
        assert_eq!(json!(found), *wanted, "{day}");
    }
}

async fn compare_cursors(place: &Place) {
    for (account, wanted) in expected()["sync_state"].as_object().expect("sync_state") {
        let (provider, name) = account.split_once(':').expect("provider and account");
        let provider = providers::provider_named(provider).expect("a provider");
        let key = AccountKey::new(provider, name).expect("an account");
        let cursors = providers::cursors(&place.context, &key).await.expect("cursors");
        let wanted = wanted.as_str().expect("a cursor");
        let is = |position: &Option<String>| {
            position.as_deref().is_some_and(|held| held == wanted || held.ends_with(&format!("={wanted}")))
        };
        assert!(cursors.iter().any(|(_, cursor)| is(&cursor.position)), "{account}: {cursors:?}");
    }
}

/// What people see of the meetings, without what is only known here.
fn visible(views: &[MeetingView]) -> BTreeMap<String, Value> {
    let seen = |view: &MeetingView| {
        let mut summary = view.summary.clone();
        summary["sources"] = Value::Null;
        (view.key.clone(), summary)
    };
    views.iter().map(seen).collect()
}

#[tokio::test]
async fn the_day_in_its_order_is_as_a_careful_person_would_say() {
    let lines = lines();
    let place = Place::new(&lines).await;
    let answers = expected()["http_answers"].clone();
    let (mut told, mut revision) = place.marks().await;
    let mut before = place.objects().await;
    for line in &lines {
        let played = place.play(line).await;
        let wanted = &answers[line.number.to_string()];
        assert_eq!(json!(played.status), *wanted, "the answer to line {}", line.number);
        let (told_now, revision_now) = place.marks().await;
        let after = place.objects().await;
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name)).count();
        assert_eq!(told_now - told, changed, "events of line {}", line.number);
        assert_eq!(revision_now - revision, changed as u64, "revisions of line {}", line.number);
        assert_eq!(played.outcome.changes.len(), changed, "changes of line {}", line.number);
        (told, revision, before) = (told_now, revision_now, after);
    }
    compare_all(&place.show().await);
    compare_busy(&place).await;
    compare_cursors(&place).await;
    assert_eq!(place.context.store.check().await.expect("checked"), []);
    // The whole day once more: nothing is new, nothing is told.
    let (shown, marks) = (visible(&place.show().await), place.marks().await);
    for line in &lines {
        let played = place.play(line).await;
        assert!(played.outcome.changes.is_empty(), "line {} again: {:?}", line.number, played.outcome);
    }
    assert_eq!((visible(&place.show().await), place.marks().await), (shown, marks));
}

#[tokio::test]
async fn lines_that_change_nothing_visible_make_no_event() {
    let lines = lines();
    let place = Place::new(&lines).await;
    let silent = [1, 4, 8, 9, 10, 12, 13, 14, 19, 20, 24, 25, 29, 30, 31, 32];
    for line in &lines {
        let played = place.play(line).await;
        if silent.contains(&line.number) {
            assert!(played.outcome.changes.is_empty(), "line {}: {:?}", line.number, played.outcome);
        }
        if line.number == 31 || line.number == 32 {
            assert_eq!(played.class, "forged", "line {}", line.number);
        }
    }
}

#[tokio::test]
async fn any_order_and_any_repetition_end_in_the_same_bytes() {
    let lines = lines();
    let place = Place::new(&lines).await;
    for line in &lines {
        place.play(line).await;
    }
    let (wanted, shown) = (place.objects().await, place.show().await);
    let orders = std::env::var("KALENDS_SCENARIO_ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(ORDERS);
    for seed in 0..orders {
        let mut order: Vec<Line> = lines.clone();
        if seed % 2 == 1 {
            order.extend(lines.clone());
        }
        replay::shuffle(&mut order, seed);
        let place = Place::new(&lines).await;
        for line in &order {
            place.play(line).await;
        }
        let numbers: Vec<u64> = order.iter().map(|line| line.number).collect();
        assert_eq!(place.show().await, shown, "seed {seed}: {numbers:?}");
        assert_eq!(place.objects().await, wanted, "seed {seed}: {numbers:?}");
        if seed < 4 {
            compare_busy(&place).await;
            compare_cursors(&place).await;
            assert_eq!(place.context.store.check().await.expect("checked"), []);
        }
    }
}

#[tokio::test]
async fn deliveries_from_several_tasks_converge() {
    let lines = lines();
    let place = Place::new(&lines).await;
    for line in &lines {
        place.play(line).await;
    }
    let wanted = place.objects().await;
    let place = Arc::new(Place::new(&lines).await);
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..4 {
        let (place, lines) = (Arc::clone(&place), lines.clone());
        tasks.spawn(async move {
            for (at, line) in lines.iter().enumerate() {
                if at % 4 == part || at % 3 == part {
                    while replay::play(&place.context, line).await.is_err() {}
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no task fails");
    }
    // The clock stood still meanwhile: what the signatures' window refused comes once more.
    for line in &lines {
        place.play(line).await;
    }
    assert_eq!(place.objects().await, wanted);
    let kinds: BTreeSet<String> = place.show().await.iter().map(|view| view.summary["kind"].to_string()).collect();
    assert_eq!(kinds.len(), 2);
}

#[tokio::test]
async fn a_meeting_is_explained_by_its_records_and_rules() {
    let lines = lines();
    let place = Place::new(&lines).await;
    for line in &lines {
        place.play(line).await;
    }
    for name in ["m3initech@google.com", "zoom:84512345678", "google:m3initech"] {
        let explained = ingest::explain(&place.context, name, None).await.expect(name);
        let told = explained.json();
        assert_eq!(told["meeting"]["title"], "Customer call Initech", "{name}");
        let records = told["records"].as_array().expect("records");
        assert!(records.iter().any(|record| record["id"] == "84512345678"), "{name}");
        assert!(told["decided"].as_array().is_some_and(|decided| !decided.is_empty()), "{name}");
    }
    let stale = ingest::explain(&place.context, "microsoft:AAkALgM2", None).await.expect("M2").json();
    let google = stale["records"].as_array().expect("records").iter().find(|one| one["id"] == "_m2incoming0copy");
    assert!(google.is_some_and(|record| record["stale"].as_u64() >= Some(1)), "{stale:#}");
}

/// The day through the real program, which is killed after each line and goes on from the beginning. Every fifth line where
/// nothing else is said; `KALENDS_SCENARIO_KILLS=1` kills at every line.
#[test]
fn the_program_killed_at_any_line_ends_in_the_same_state_and_tells_nothing_twice() {
    let step = std::env::var("KALENDS_SCENARIO_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let dir = tempfile::tempdir().expect("a directory");
    let whole = dir.path().join("whole");
    run(&whole, &["ingest", "replay", FILE]);
    let wanted = run(&whole, &["ingest", "show", "--json"]);
    let shown: Value = serde_json::from_str(&wanted).expect("JSON");
    assert_eq!(shown["meetings"].as_array().map(Vec::len), Some(5));
    for at in (1..lines().len()).step_by(step) {
        let data = dir.path().join(format!("killed-{at}"));
        kill_after(&data, at);
        run(&data, &["ingest", "replay", FILE]);
        assert_eq!(run(&data, &["ingest", "show", "--json"]), wanted, "killed after line {at}");
        assert_eq!(run(&data, &["verify"]), "", "killed after line {at}");
        nothing_is_told_twice(&data, at);
    }
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/scenario-day/deliveries.jsonl");

fn program(data: &std::path::Path, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kalends"));
    command.args(arguments).arg("--data").arg(data);
    command
}

fn run(data: &std::path::Path, arguments: &[&str]) -> String {
    let output = program(data, arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn kill_after(data: &std::path::Path, lines: usize) {
    use std::io::BufRead as _;
    let mut child = program(data, &["ingest", "replay", FILE])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let told = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines().take(lines);
    assert_eq!(told.count(), lines);
    child.kill().expect("it is killed");
    child.wait().expect("it has ended");
}

/// Each object's events are a chain: what one says was there before, the last one has told.
fn nothing_is_told_twice(data: &std::path::Path, at: usize) {
    use kalends::model::EventKind;
    let options = Options { dir: data.to_owned(), engine: Engine::Sled, cache_bytes: 8 << 20, tombstones_max: 50_000 };
    let store = Store::open(&options).expect("it opens");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let events = runtime.block_on(store.events(0, 10_000)).expect("events").rows;
    let mut tags = BTreeMap::new();
    for event in events {
        match event.kind {
            EventKind::ObjectCreated { name, etag, .. } => assert_eq!(tags.insert(name, etag), None, "line {at}"),
            EventKind::ObjectUpdated { name, etag, before, .. } => {
                assert_ne!(etag, before, "line {at}");
                assert_eq!(tags.insert(name, etag), Some(before), "line {at}");
            }
            EventKind::ObjectDeleted { name, before, .. } => assert_eq!(tags.remove(&name), Some(before), "line {at}"),
            _ => {}
        }
    }
    assert_eq!(tags.len(), 5, "line {at}");
}

/// A line of Microsoft's: an answer to a pull.
fn graph(number: u64, transport: &str, generation: u64, token: Option<&str>, status: u16, body: &Value) -> Line {
    let line = json!({
        "n": number, "at": "2026-11-10T07:00:05Z", "provider": "microsoft", "account": "mara.lindqvist@contoso.example",
        "transport": transport, "status": status, "headers": {}, "body": body,
        "pull": { "generation": generation, "page": 1, "request": { "token": token } },
    });
    Line::parse(&line.to_string()).expect("a line")
}

fn graph_event(id: &str, subject: &str) -> Value {
    json!({
        "id": id, "type": "singleInstance", "subject": subject, "iCalUId": format!("{id}@contoso.example"),
        "lastModifiedDateTime": "2026-11-10T06:00:00Z", "isOrganizer": true, "isCancelled": false, "isAllDay": false,
        "start": { "dateTime": "2026-11-10T13:00:00.0000000", "timeZone": "W. Europe Standard Time" },
        "end": { "dateTime": "2026-11-10T14:00:00.0000000", "timeZone": "W. Europe Standard Time" },
        "organizer": { "emailAddress": { "address": "mara.lindqvist@contoso.example" } },
    })
}

/// What Microsoft's delta removes is gone, in any order; an answer for a single item says what became of that item alone.
#[tokio::test]
async fn removed_items_and_single_items_count() {
    let page = |items: Value, token: &str| json!({ "value": items, "@odata.deltaLink": format!("https://graph.microsoft.com/v1.0/me/calendarView/delta?$deltatoken={token}") });
    let gone =
        json!([{ "id": "A", "@removed": { "reason": "deleted" } }, { "id": "C", "@removed": { "reason": "changed" } }]);
    let listed = json!([graph_event("A", "a"), graph_event("B", "b"), graph_event("C", "c")]);
    let mut lines = vec![
        graph(1, "calendarView/delta", 1, None, 200, &page(listed, "D1")),
        graph(2, "calendarView/delta", 2, Some("D1"), 200, &page(gone, "D2")),
        graph(3, "events/B", 2, None, 404, &json!({ "error": { "code": "ErrorItemNotFound" } })),
    ];
    for _ in 0..2 {
        let place = Place::new(&lines).await;
        for line in &lines {
            place.play(line).await;
        }
        let titles: Vec<Value> = place.show().await.into_iter().map(|view| view.summary["title"].clone()).collect();
        assert_eq!(titles, [json!("c")]);
        lines.reverse();
    }
}

/// A line that cannot be read is told and passed over; the others are played.
#[test]
fn a_bad_line_keeps_no_other_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("day.jsonl");
    let mut lines: Vec<&str> = DAY.lines().take(3).collect();
    lines.insert(1, "{\"n\": 7, \"provider\": \"google\"}");
    std::fs::write(&file, lines.join("\n")).expect("written");
    let data = dir.path().join("data");
    let kalends = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kalends"));
        command.args(arguments).arg("--data").arg(&data).output().expect("it runs")
    };
    let replayed = kalends(&["ingest", "replay", file.to_str().expect("a path")]);
    let told = String::from_utf8_lossy(&replayed.stderr).into_owned();
    assert!(!replayed.status.success() && told.contains("line 2") && told.contains("`account`"), "{told}");
    let shown: Value = serde_json::from_slice(&kalends(&["ingest", "show", "--json"]).stdout).expect("JSON");
    assert!(shown["meetings"].as_array().is_some_and(|meetings| meetings.len() >= 3), "{shown}");
}

/// A fetch of a feed with so many events.
fn fetch(generation: u64, events: usize) -> Line {
    let event = |n: usize| {
        format!("BEGIN:VEVENT\nUID:e{n}\nSUMMARY:Event {n}\nDTSTART:202612{:02}T090000Z\nEND:VEVENT\n", n + 1)
    };
    let events: String = (0..events).map(event).collect();
    let line = json!({
        "n": generation, "at": "2026-11-10T07:00:05Z", "provider": "ics", "account": "https://feed.example/x.ics",
        "transport": "feed", "status": 200, "headers": {}, "body_raw": format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n"),
        "pull": { "generation": generation, "request": { "url": "https://feed.example/x.ics" } },
    });
    Line::parse(&line.to_string()).expect("a line")
}

/// A recorded feed is believed as a live one is: what loses most of its events must say so twice, in whatever order it is played.
#[tokio::test]
async fn a_recorded_feed_that_loses_most_of_it_must_say_so_twice() {
    for (counts, left, held) in [
        (vec![12, 2, 12], 12, 1),
        (vec![12, 2, 2], 2, 1),
        (vec![12, 2], 12, 1),
        (vec![12, 7, 3], 12 - 9, 0),
        (vec![2, 12, 3, 4], 12, 2),
    ] {
        let lines: Vec<Line> = counts.iter().zip(1..).map(|(count, generation)| fetch(generation, *count)).collect();
        for seed in 0..4 {
            let place = Place::new(&lines).await;
            let mut order: Vec<Line> = lines.iter().flat_map(|line| [line.clone(), line.clone()]).collect();
            replay::guard(&place.context, &mut order).await.expect("guarded");
            if seed > 0 {
                replay::shuffle(&mut order, seed);
            }
            let mut classes = Vec::new();
            for line in &order {
                classes.push(place.play(line).await.class);
            }
            assert_eq!(place.show().await.len(), left, "{counts:?} {seed}");
            assert_eq!(classes.iter().filter(|class| *class == "held").count(), 2 * held, "{counts:?} {seed}");
        }
    }
}
