//! Providers over real sockets: signed deliveries, forged ones, the plain form, and what a CalDAV client sees of them.

mod sockets;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use kalends::base::{Clock, Limits, Secret, Utc};
use kalends::model::{EventKind, Shelf, UserName};
use kalends::outbound::{Client, Policy, Ports, Reach};
use kalends::provider::{adapter, run};
use kalends::server::Options;
use kalends::service::accounts;
use kalends::service::providers::{
    self, Account, AccountKey, AccountSecrets, AccountState, Entry, Provider, ProviderSettings, Providers, Vault,
    VaultError,
};
use kalends::store::{Batch, Write};
use serde_json::{Value, json};
use sockets::{Answer, TestServer, connect, read_answer, request};

/// 32 bytes in base64.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PASSWORD: &str = "a-password-for-tests";
const ZOOM_SECRET: &str = "kalends-test-zoom-secret-token";
const SLACK_SECRET: &str = "kalends-test-slack-signing-secret";

fn vault() -> Vault {
    Vault::new(&Secret::new(KEY.to_owned())).expect("a key")
}

fn server() -> TestServer {
    with_limits(Limits::default())
}

fn with_limits(limits: Limits) -> TestServer {
    let server = TestServer::prepared(limits, Options::default(), |context, _| {
        context.providers = Providers::new(ProviderSettings { vault: Some(vault()), ..ProviderSettings::default() });
    });
    server.user("mara", PASSWORD);
    server
}

fn key(provider: Provider, name: &str) -> AccountKey {
    AccountKey::new(provider, name).expect("a name")
}

fn entry(key: AccountKey, hook: Option<&str>) -> Entry {
    Entry {
        addresses: vec!["mara@northwind.example".to_owned()],
        secrets: AccountSecrets { hook: hook.map(|hook| Secret::new(hook.to_owned())), ..AccountSecrets::default() },
        ..Entry::new(key, UserName::new("mara").expect("a name"), "default")
    }
}

fn add(server: &TestServer, provider: Provider, name: &str, hook: Option<&str>) -> (Account, AccountSecrets) {
    let added = providers::add(&server.context, entry(key(provider, name), hook));
    server.runtime.block_on(added).expect("the account is added")
}

fn file(path: &str) -> Value {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers").join(path);
    serde_json::from_str(&std::fs::read_to_string(full).expect("the sample")).expect("JSON")
}

/// Sends a recorded delivery at the moment at which it was signed.
fn send(server: &TestServer, hook: &str, recorded: &Value) -> Answer {
    let recorded = recorded.get("request").unwrap_or(recorded);
    let mut posted = request("POST", hook).body(recorded["body_raw"].as_str().expect("a body"));
    for (name, value) in recorded["headers"].as_object().expect("headers") {
        let value = value.as_str().expect("a text");
        if name.ends_with("-request-timestamp") {
            server.clock.set(Utc(value.parse().expect("seconds")));
        }
        posted = posted.header(name, value);
    }
    posted.send(server.address)
}

/// The objects of mara's calendar, as a client gets them.
fn objects(server: &TestServer) -> Vec<String> {
    let body = "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><D:getetag/>\
                <C:calendar-data/></D:prop><C:filter><C:comp-filter name=\"VCALENDAR\"/></C:filter></C:calendar-query>";
    let answer = request("REPORT", "/dav/calendars/mara/default/")
        .header("Depth", "1")
        .login("mara", PASSWORD)
        .body(body)
        .send(server.address);
    assert_eq!(answer.status, 207, "{}", answer.body);
    let texts = answer.body.split("BEGIN:VCALENDAR").skip(1).filter_map(|part| part.split("END:VCALENDAR").next());
    texts.map(|text| text.replace("&#13;", "")).collect()
}

fn events(server: &TestServer) -> usize {
    server.runtime.block_on(server.context.store.events(0, 10_000)).expect("the outbox").rows.len()
}

fn status(server: &TestServer, key: &AccountKey) -> providers::Status {
    server.runtime.block_on(providers::status(&server.context, key)).expect("a status")
}

fn dead(server: &TestServer) -> Vec<providers::DeadLetter> {
    server.runtime.block_on(providers::dead_letters(&server.context, None, 1_000)).expect("the dead letters")
}

fn post(server: &TestServer, body: &Value) -> Answer {
    request("POST", "/ingest/events").login("mara", PASSWORD).body(body.to_string()).send(server.address)
}

fn event(id: &str, version: i64) -> Value {
    json!({
        "provider": "crm", "op": "created", "id": id, "start": "2026-11-10T13:00:00Z", "end": "2026-11-10T14:00:00Z",
        "title": format!("Call {id}"), "version": version,
    })
}

fn body_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

#[test]
fn a_zoom_meeting_travels_from_its_webhook_to_the_calendar() {
    let server = server();
    let (account, _) = add(&server, Provider::Zoom, "AcctInvented01", Some(ZOOM_SECRET));
    let hook = "/hooks/zoom/AcctInvented01";
    let sample = |name: &str| file(&format!("zoom/{name}.json"));

    let handshake = sample("url_validation");
    let answer = send(&server, hook, &handshake);
    assert_eq!(answer.status, 200);
    assert_eq!(body_of(&answer), handshake["expected_response"]["body"]);

    // The change comes before the meeting; alone it shows nothing.
    assert_eq!(send(&server, hook, &sample("meeting_updated_time")).status, 200);
    assert_eq!(objects(&server).len(), 0);
    assert_eq!(send(&server, hook, &sample("meeting_created_single")).status, 200);
    let shown = objects(&server);
    assert_eq!(shown.len(), 1);
    assert!(shown[0].contains("Customer call"), "{}", shown[0]);
    assert!(shown[0].contains("DTSTART;TZID=Europe/Berlin:20261110T143000"), "{}", shown[0]);

    // What Zoom sends again changes nothing: no ETag, no event.
    let before = events(&server);
    assert_eq!(send(&server, hook, &sample("meeting_created_single")).status, 200);
    assert_eq!((objects(&server), events(&server)), (shown.clone(), before));

    // Forged: refused, counted, nothing changes.
    let forged = send(&server, hook, &sample("bad_signature"));
    assert_eq!((forged.status, objects(&server)), (401, shown));
    let counts = status(&server, &account.key).counts;
    assert_eq!((counts.forged, counts.deliveries), (1, 5));
    assert!(counts.applied >= 1 && counts.stale + counts.duplicate >= 1, "{counts:?}");

    assert_eq!(send(&server, hook, &sample("meeting_deleted_single")).status, 200);
    assert_eq!(objects(&server).len(), 0);
    assert_eq!(send(&server, hook, &sample("meeting_created_single")).status, 200);
    assert_eq!(objects(&server).len(), 0, "what is deleted stays deleted");
}

#[test]
fn a_slack_meeting_follows_its_revisions() {
    let server = server();
    let (account, _) = add(&server, Provider::Slack, "T0NORTHW1", Some(SLACK_SECRET));
    let hook = "/hooks/slack/T0NORTHW1";
    let sample = |name: &str| file(&format!("slack/{name}.json"));

    let answer = send(&server, hook, &sample("url_verification"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "3eZbrw1aInventedChallenge"));
    // Revision 2 first; 1 comes late.
    assert_eq!(send(&server, hook, &sample("message_metadata_updated")).status, 200);
    let shown = objects(&server);
    assert!(shown.len() == 1 && shown[0].contains("Incident bridge"), "{shown:?}");
    assert_eq!(send(&server, hook, &sample("message_metadata_posted")).status, 200);
    assert_eq!(objects(&server), shown);
    // Mentions make no meeting.
    for name in ["message_with_zoom_link", "message_with_zoom_link_retry1", "user_huddle_changed", "slash_command"] {
        assert_eq!(send(&server, hook, &sample(name)).status, 200, "{name}");
    }
    assert_eq!(objects(&server), shown);
    assert_eq!(send(&server, hook, &sample("message_metadata_deleted")).status, 200);
    assert_eq!(objects(&server).len(), 0);
    assert!(status(&server, &account.key).counts.stale >= 1);
}

#[test]
fn what_cannot_be_read_is_kept_as_a_dead_letter_once() {
    let server = server();
    add(&server, Provider::Zoom, "z", Some(ZOOM_SECRET));
    let body = r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":{},"topic":"private words"}}}"#;
    for _ in 0..3 {
        let answer = signed(&server, body);
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("`payload.object.id`"), "{}", answer.body);
        assert!(!answer.body.contains("private words"));
    }
    let letters = dead(&server);
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].times, letters[0].account.as_str()), (3, "zoom/z"));
    assert!(letters[0].reason.contains("payload.object.id") && letters[0].body == body.as_bytes());
    assert_eq!(objects(&server).len(), 0);
}

/// Posts to the hook `zoom/z`, signed at the server's time.
fn signed(server: &TestServer, body: &str) -> Answer {
    let at = server.clock.now().0.to_string();
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, ZOOM_SECRET.as_bytes());
    let tag = ring::hmac::sign(&secret, format!("v0:{at}:{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    request("POST", "/hooks/zoom/z")
        .header("x-zm-request-timestamp", &at)
        .header("x-zm-signature", &format!("v0={hex}"))
        .body(body)
        .send(server.address)
}

#[test]
fn a_paused_account_refuses_so_that_the_provider_keeps_it() {
    let server = server();
    let (account, _) = add(&server, Provider::Zoom, "AcctInvented01", Some(ZOOM_SECRET));
    let hook = "/hooks/zoom/AcctInvented01";
    server.runtime.block_on(providers::pause(&server.context, &account.key)).expect("paused");
    let created = file("zoom/meeting_created_single.json");
    assert_eq!(send(&server, hook, &created).status, 503);
    assert_eq!(send(&server, hook, &file("zoom/bad_signature.json")).status, 401);
    assert_eq!(objects(&server).len(), 0);
    server.runtime.block_on(providers::resume(&server.context, &account.key)).expect("resumed");
    assert_eq!(send(&server, hook, &created).status, 200);
    assert_eq!(objects(&server).len(), 1);
}

#[test]
fn hooks_that_are_nobodys_and_other_methods() {
    let server = server();
    add(&server, Provider::Zoom, "z", Some(ZOOM_SECRET));
    for path in ["/hooks/zoom/other", "/hooks/nothing/z", "/hooks/zoom", "/hooks/zoom/..%2fz", "/hooks/"] {
        assert_eq!(request("POST", path).body("{}").send(server.address).status, 404, "{path}");
    }
    assert_eq!(request("DELETE", "/hooks/zoom/z").send(server.address).status, 405);
    assert_eq!(request("POST", "/hooks/zoom/z").body("{}").send(server.address).status, 401);
    assert_eq!(request("GET", "/ingest/events").send(server.address).status, 405);
}

#[test]
fn a_revoked_app_breaks_its_account_and_tells_it_once() {
    let server = server();
    let (account, _) = add(&server, Provider::Zoom, "z", Some(ZOOM_SECRET));
    for _ in 0..2 {
        assert_eq!(signed(&server, r#"{"event":"app_deauthorized","payload":{}}"#).status, 200);
    }
    let found = server.runtime.block_on(providers::account(&server.context, &account.key)).expect("the account");
    assert!(matches!(found.state, AccountState::Broken { .. }));
    let told = server.runtime.block_on(server.context.store.events(0, 1_000)).expect("the outbox").rows;
    let broken = told.iter().filter(|event| matches!(event.kind, EventKind::AccountBroken { .. }));
    assert_eq!(broken.count(), 1);
}

#[test]
fn plain_events_one_or_many_each_with_its_result() {
    let server = server();
    let one = post(&server, &event("1", 1));
    assert_eq!((one.status, &body_of(&one)["results"][0]["result"]), (200, &json!("applied")), "{}", one.body);
    assert_eq!(objects(&server).len(), 1);
    let again = post(&server, &event("1", 1));
    assert_eq!(body_of(&again)["results"][0]["result"], "duplicate");

    let mut deleted = event("1", 5);
    deleted["op"] = json!("deleted");
    let mut wrong = event("3", 1);
    wrong["start"] = json!("whenever");
    let mut exception = event("4", 1);
    exception["series_id"] = json!("s");
    exception["original_start"] = json!("2026-11-10T09:00:00Z");
    let many = post(&server, &json!([event("2", 1), wrong, deleted, exception]));
    assert_eq!(many.status, 200, "{}", many.body);
    let results = body_of(&many)["results"].clone();
    let words: Vec<&str> = (0..4).map(|index| results[index]["result"].as_str().expect("a word")).collect();
    assert_eq!(words, ["applied", "error", "deleted", "parked"]);
    assert_eq!(results[1]["error"]["field"], "events[1].start");
    assert_eq!((results[1]["index"].clone(), results[1]["id"].clone()), (json!(1), json!("3")));
    let shown = objects(&server);
    assert!(shown.len() == 1 && shown[0].contains("Call 2"), "{shown:?}");

    let late = post(&server, &event("1", 4));
    let word = body_of(&late)["results"][0]["result"].clone();
    assert!(word == "stale" || word == "duplicate", "{word}");
    assert_eq!(objects(&server).len(), 1, "a create that comes after its delete stays deleted");
}

#[test]
fn bad_events_are_refused_by_the_name_of_their_field_and_nothing_is_stored() {
    let server = server();
    let mut cases = vec![("{", 400, "(the body)"), ("7", 400, "(the body)"), ("{\"op\":\"created\"}", 400, "provider")];
    let mut unknown = event("1", 1);
    unknown["op"] = json!("exploded");
    let mut absurd = event("1", 1);
    absurd["start"] = json!("99999-01-01T00:00:00Z");
    let mut typed = event("1", 1);
    typed["title"] = json!([1]);
    let mut nameless = event("1", 1);
    nameless["id"] = Value::Null;
    let (unknown, absurd, typed, nameless) =
        (unknown.to_string(), absurd.to_string(), typed.to_string(), nameless.to_string());
    cases.extend([(&*unknown, 400, "op"), (&*absurd, 400, "start"), (&*typed, 400, "title"), (&*nameless, 400, "id")]);
    let before = events(&server);
    for (body, code, field) in cases {
        let answer = request("POST", "/ingest/events").login("mara", PASSWORD).body(body).send(server.address);
        assert_eq!((answer.status, &body_of(&answer)["error"]["field"]), (code, &json!(field)), "{body}");
    }
    let long = format!("{{\"title\":\"{}\"}}", "x".repeat(10 << 20));
    let answer = request("POST", "/ingest/events").login("mara", PASSWORD).body(long.clone()).send(server.address);
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("ingest_body_bytes_max"), "{}", answer.body);
    let answer = request("POST", "/ingest/events").login("mara", PASSWORD).body(long).chunked().send(server.address);
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("ingest_body_bytes_max"), "{}", answer.body);
    let all_wrong = post(&server, &json!([{}, {}]));
    assert_eq!((all_wrong.status, &body_of(&all_wrong)["errors"]), (400, &json!(2)));
    assert_eq!((objects(&server).len(), events(&server)), (0, before));
}

#[test]
fn a_request_that_is_sent_again_gets_its_first_answer() {
    let server = server();
    let send = |key: &str, body: &Value| {
        request("POST", "/ingest/events")
            .login("mara", PASSWORD)
            .header("Idempotency-Key", key)
            .body(body.to_string())
            .send(server.address)
    };
    let first = send("k1", &event("1", 1));
    assert_eq!(body_of(&first)["results"][0]["result"], "applied");
    assert_eq!(send("k1", &event("1", 1)).body, first.body, "not `duplicate`: the first answer");
    assert_eq!(send("k1", &event("2", 1)).status, 422);
    assert_eq!(body_of(&send("k2", &event("1", 1)))["results"][0]["result"], "duplicate");
    assert_eq!(send("", &event("1", 1)).status, 400);
    assert_eq!(send(&"k".repeat(300), &event("1", 1)).status, 400);
    server.clock.set(server.clock.now().plus(90_000));
    assert_eq!(
        body_of(&send("k1", &event("1", 1)))["results"][0]["result"],
        "duplicate",
        "a day later it is forgotten"
    );
}

#[test]
fn events_take_a_login_or_the_accounts_own_token() {
    let server = server();
    server.user("ben", PASSWORD);
    let (_, secrets) = add(&server, Provider::Generic, "crm", None);
    let token = secrets.hook.expect("a token was made").expose().clone();
    let with = |token: &str| {
        request("POST", "/ingest/events")
            .header("Authorization", &format!("Bearer {token}"))
            .body(event("1", 1).to_string())
            .send(server.address)
    };
    assert_eq!(request("POST", "/ingest/events").body("{}").send(server.address).status, 401);
    for wrong in ["crm:0000", "other:0000", "", "crm"] {
        assert_eq!(with(wrong).status, 401, "{wrong}");
    }
    assert_eq!(with(&token).status, 200);
    let hook = request("POST", "/hooks/generic/crm")
        .header("Authorization", &format!("Bearer {token}"))
        .body(event("2", 1).to_string())
        .send(server.address);
    assert_eq!(hook.status, 202, "{}", hook.body);
    assert_eq!(objects(&server).len(), 2);
    // Somebody else's account is not there for ben; his own is made with his first event.
    let ben = |target: &str| {
        request("POST", target).login("ben", PASSWORD).body(event("9", 1).to_string()).send(server.address).status
    };
    assert_eq!(ben("/ingest/events?account=crm"), 404);
    assert_eq!(ben("/ingest/events"), 200);
    assert_eq!(objects(&server).len(), 2);
}

#[test]
fn secrets_are_sealed_and_a_lost_key_is_explained() {
    let server = server();
    let (account, _) = add(&server, Provider::Zoom, "z", Some(ZOOM_SECRET));
    let rows = server.context.store.rows(kalends::model::Shelf::Accounts, kalends::model::Shelf::whole(), 100);
    let rows = server.runtime.block_on(rows).expect("the rows").rows;
    let text = format!("{rows:?}");
    assert!(!rows.is_empty() && !text.contains(ZOOM_SECRET) && !text.contains("kalends-test-zoom"));
    assert!(!format!("{account:?}").contains(ZOOM_SECRET));

    let none = TestServer::prepared(Limits::default(), Options::default(), |_, _| {});
    none.user("mara", PASSWORD);
    let added = none.runtime.block_on(providers::add(&none.context, entry(key(Provider::Zoom, "z"), Some("s"))));
    assert!(matches!(added, Err(providers::ProviderError::Vault(VaultError::NoKey))));
    // What needs no key works without one.
    let posted = request("POST", "/ingest/events").login("mara", PASSWORD).body(event("1", 1).to_string());
    assert_eq!(posted.send(none.address).status, 200);
}

#[test]
fn a_batch_of_a_thousand_is_quick_and_one_more_is_too_many() {
    let server = server();
    let many: Vec<Value> = (0..1_000).map(|id| event(&id.to_string(), 1)).collect();
    let started = Instant::now();
    let answer = post(&server, &json!({ "events": many }));
    assert_eq!((answer.status, &body_of(&answer)["errors"]), (200, &json!(0)));
    println!("1,000 events in one request: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(objects(&server).len(), 1_000);
    let more: Vec<Value> = (0..1_001).map(|id| event(&id.to_string(), 1)).collect();
    assert_eq!(post(&server, &json!(more)).status, 413);
}

/// What nobody has proven yet takes a bounded part of the memory, however many connections send it.
#[test]
fn unproven_bodies_are_bounded_all_together() {
    let server = with_limits(Limits { ingest_unproven_bytes_max: 80_000, ..Limits::default() });
    add(&server, Provider::Zoom, "z", Some(ZOOM_SECRET));
    let small = || request("POST", "/hooks/zoom/z").body(vec![b'x'; 50_000]).send(server.address);
    assert_eq!(small().status, 401);
    let mut slow = connect(server.address);
    let whole = request("POST", "/hooks/zoom/z").body(vec![b'x'; 90_000]);
    slow.write_all(&whole.head()).expect("the head is sent");
    slow.write_all(&whole.body[..80_000]).expect("most of it is sent");
    // It is not known when the server has read it.
    let refused = (0..6_000).map(|_| small()).find(|answer| answer.status != 401).expect("it is full at last");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(
        refused.header("retry-after").is_some() && refused.body.contains("ingest_unproven_bytes_max"),
        "{refused:?}"
    );
    let usual = request("POST", "/hooks/zoom/z").body(vec![b'x'; 10_000]).send(server.address);
    assert_eq!(usual.status, 401, "a notification of the usual size needs no room");
    slow.write_all(&whole.body[80_000..]).expect("the rest is sent");
    assert_eq!(read_answer(&mut slow).status, 401, "what is in already is heard to its end");
    assert_eq!(small().status, 401, "and its place is free again");
}

/// A notification of Graph proves itself by the secret in its items: what has none is kept nowhere, however broken it is.
#[test]
fn what_cannot_be_read_is_kept_only_if_it_is_proven() {
    let server = server();
    let mut new = entry(key(Provider::Microsoft, "m"), Some("a-client-state"));
    new.secrets.refresh_token = Some(Secret::new("a-token".to_owned()));
    new.client_id = Some("a-client".to_owned());
    server.runtime.block_on(providers::add(&server.context, new)).expect("the account is added");
    let post = |body: &str| request("POST", "/hooks/microsoft/m").body(body).send(server.address).status;
    let forged = r#"{"value": [{"clientState": "guessed"}, {"clientState": 7}]}"#;
    for body in ["no JSON", "{}", r#"{"value": 3}"#, forged] {
        assert_eq!(post(body), 400, "{body}");
    }
    let long = format!("/hooks/microsoft/m?validationToken={}", "x".repeat(5_000));
    assert_eq!(request("POST", &long).send(server.address).status, 400);
    assert!(dead(&server).is_empty(), "anybody can send these: {:?}", dead(&server));
    assert_eq!(post(r#"{"value": [{"clientState": "a-client-state"}]}"#), 400);
    assert_eq!(dead(&server).len(), 1, "this one is Graph's");
}

/// Pulls an account's first calendar once, as the runner does.
fn pull(server: &TestServer, key: &AccountKey) -> run::Ended {
    let policy = Policy { reach: Reach::Private, https_only: false, ports: Ports::Any, ..Policy::default() };
    let client = Client::new(policy).expect("a client");
    let adapter = adapter(key.provider).expect("an adapter");
    let account = server.runtime.block_on(providers::account(&server.context, key)).expect("the account");
    let calendar = adapter.calendars(&account).remove(0);
    let pulled = run::pull(&server.context, &client, adapter, key, &calendar);
    server.runtime.block_on(pulled).expect("it is pulled")
}

#[test]
fn a_calendar_that_goes_upstream_goes_here_whichever_is_asked_first() {
    for gone in ["alpha", "omega"] {
        let server = server();
        server.user("zoe", PASSWORD);
        let send = |method: &str, path: &str, body: String| {
            let sending = request(method, &format!("/dav/calendars/zoe/{path}")).login("zoe", PASSWORD);
            let answer = sending.header("Content-Type", "text/calendar").body(body).send(server.address);
            assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.body);
        };
        for name in ["alpha", "omega"] {
            send("MKCALENDAR", &format!("{name}/"), String::new());
            let event =
                format!("BEGIN:VEVENT\r\nUID:{name}\r\nDTSTART:20261201T090000Z\r\nSUMMARY:{name}\r\nEND:VEVENT\r\n");
            let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y\r\n{event}END:VCALENDAR\r\n");
            send("PUT", &format!("{name}/a.ics"), text);
        }
        let key = key(Provider::Caldav, "zoe");
        let mut entry = entry(key.clone(), None);
        (entry.base_url, entry.client_id) = (Some(format!("http://{}", server.address)), Some("zoe".to_owned()));
        entry.secrets.password = Some(Secret::new(PASSWORD.to_owned()));
        server.runtime.block_on(providers::add(&server.context, entry)).expect("added");
        assert_eq!(pull(&server, &key), run::Ended::Done { poll_seconds: None });
        assert_eq!(objects(&server).len(), 2);
        send("DELETE", &format!("{gone}/"), String::new());
        assert_eq!(pull(&server, &key), run::Ended::Done { poll_seconds: None });
        assert_eq!(objects(&server).len(), 1, "{gone}");
    }
}

/// Pulls and hooks may find out at the same moment; whoever hears of it is told once, and of the calendar that is there now.
#[test]
fn an_account_breaks_once_and_for_the_calendar_that_it_has_now() {
    let server = server();
    let (account, _) = add(&server, Provider::Generic, "crm", None);
    let calendar = "/dav/calendars/mara/default/";
    for (method, status) in [("DELETE", 204), ("MKCALENDAR", 201)] {
        let answer = request(method, calendar).login("mara", PASSWORD).send(server.address);
        assert_eq!(answer.status, status, "{method}: {}", answer.body);
    }
    let breaking = async || {
        let context = &server.context;
        let once = || providers::break_account(context, &account.key, "the grant was revoked");
        let (a, b, c, d) = tokio::join!(once(), once(), once(), once());
        [a, b, c, d].into_iter().for_each(|done| done.expect("it is marked"));
        context.store.events(0, 10_000).await.expect("the outbox").rows
    };
    let told = server.runtime.block_on(breaking());
    let broken: Vec<_> = told.iter().filter(|event| matches!(event.kind, EventKind::AccountBroken { .. })).collect();
    assert_eq!(broken.len(), 1);
    let now = server.runtime.block_on(providers::account(&server.context, &account.key)).expect("the account");
    assert!(matches!(now.state, AccountState::Broken { .. }));
    assert_eq!(now.collection, Some(broken[0].collection));
    assert_ne!(now.collection, account.collection);
}

#[test]
fn meetings_follow_their_calendar_when_it_is_renamed() {
    let server = server();
    let mara = UserName::new("mara").expect("a name");
    add(&server, Provider::Generic, "crm", None);
    let key = key(Provider::Generic, "crm");
    let found = || server.runtime.block_on(providers::account(&server.context, &key)).expect("the account");
    let renamed = |from: &str, to: &str| {
        let renaming = accounts::rename_calendar(&server.context, &mara, from, to);
        server.runtime.block_on(renaming).expect("it is renamed");
    };
    let posted = |id: &str| {
        let body = event(id, 1);
        let posting = request("POST", "/ingest/events?account=crm").login("mara", PASSWORD).body(body.to_string());
        assert_eq!(posting.send(server.address).status, 200);
    };
    renamed("default", "office");
    posted("1");
    assert_eq!(found().calendar, "office");
    let names = |calendar: &str| {
        let path = format!("/dav/calendars/mara/{calendar}/");
        let listing = request("PROPFIND", &path).login("mara", PASSWORD).header("Depth", "1").send(server.address);
        listing.body.matches(".ics").count()
    };
    assert_eq!(names("office"), 1);
    // As it was kept before calendars were kept by what they are: by name alone.
    renamed("office", "default");
    let row_key = [b"generic/crm\0".as_slice(), &[1]].concat();
    let row =
        server.runtime.block_on(server.context.store.row(Shelf::Accounts, &row_key)).expect("read").expect("there");
    let id = found().collection.expect("its calendar is known");
    let tail = 1 + postcard::to_stdvec(&id).expect("bytes").len();
    let mut old = row[..row.len() - tail].to_vec();
    old[0] = 1;
    let writes = vec![Write::PutRow(Shelf::Accounts, row_key, old.into())];
    server.runtime.block_on(server.context.store.commit(Batch { writes, ..Batch::default() })).expect("written");
    assert_eq!(found().collection, Some(id), "it is found by its name once, and known from then on");
    renamed("default", "study");
    posted("2");
    assert_eq!((found().calendar.as_str(), names("study")), ("study", 2));
    let all = server.runtime.block_on(providers::accounts(&server.context)).expect("accounts");
    assert_eq!(all[0].calendar, "study");
}

/// The objects in that calendar of mara's.
fn held(server: &TestServer, calendar: &str) -> usize {
    let path = format!("/dav/calendars/mara/{calendar}/");
    let listing = request("PROPFIND", &path).login("mara", PASSWORD).header("Depth", "1").send(server.address);
    assert_eq!(listing.status, 207, "{}", listing.body);
    listing.body.matches(".ics").count()
}

fn posted(server: &TestServer, id: &str) {
    let posting = request("POST", "/ingest/events?account=crm").login("mara", PASSWORD);
    assert_eq!(posting.body(event(id, 1).to_string()).send(server.address).status, 200);
}

#[test]
fn another_calendar_of_an_earlier_name_takes_nothing() {
    for by_client in [false, true] {
        let server = server();
        let mara = UserName::new("mara").expect("a name");
        let made = accounts::create_calendar(&server.context, &mara, "first", None);
        server.runtime.block_on(made).expect("it is made");
        let key = key(Provider::Generic, "crm");
        let to_first = Entry { calendar: "first".to_owned(), ..entry(key.clone(), None) };
        server.runtime.block_on(providers::add(&server.context, to_first)).expect("added");
        if by_client {
            let moving = request("MOVE", "/dav/calendars/mara/first/").login("mara", PASSWORD);
            let answer = moving.header("Destination", "/dav/calendars/mara/work/").send(server.address);
            assert_eq!(answer.status, 201, "{}", answer.body);
        } else {
            let renaming = accounts::rename_calendar(&server.context, &mara, "first", "work");
            server.runtime.block_on(renaming).expect("it is renamed");
        }
        let made = accounts::create_calendar(&server.context, &mara, "first", None);
        server.runtime.block_on(made).expect("it is made");
        let removing = accounts::remove_calendar(&server.context, &mara, "work");
        server.runtime.block_on(removing).expect("it is removed");
        posted(&server, "1");
        assert_eq!((held(&server, "first"), held(&server, "default")), (0, 0));
        let account = server.runtime.block_on(providers::account(&server.context, &key)).expect("the account");
        assert_eq!(account.calendar, "work", "it says what is missing");
    }
}

#[test]
fn a_calendar_that_is_made_again_is_kept_like_the_first() {
    let server = server();
    let mara = UserName::new("mara").expect("a name");
    add(&server, Provider::Generic, "crm", None);
    let removing = accounts::remove_calendar(&server.context, &mara, "default");
    server.runtime.block_on(removing).expect("it is removed");
    let made = accounts::create_calendar(&server.context, &mara, "default", None);
    let made = server.runtime.block_on(made).expect("it is made");
    posted(&server, "1");
    assert_eq!(held(&server, "default"), 1);
    let renaming = accounts::rename_calendar(&server.context, &mara, "default", "office");
    server.runtime.block_on(renaming).expect("it is renamed");
    posted(&server, "2");
    assert_eq!(held(&server, "office"), 2);
    let all = server.runtime.block_on(providers::accounts(&server.context)).expect("accounts");
    assert_eq!((all[0].calendar.as_str(), all[0].collection), ("office", Some(made.id)));
}

#[test]
fn a_range_upstream_is_a_second_series_here_as_long_as_it_is_there() {
    let server = server();
    server.user("zoe", PASSWORD);
    let send = |method: &str, body: String| {
        let sending = request(method, "/dav/calendars/zoe/default/a.ics").login("zoe", PASSWORD);
        let answer = sending.header("Content-Type", "text/calendar").body(body).send(server.address);
        assert!((200..300).contains(&answer.status), "{method}: {}", answer.body);
    };
    let object = |ranges: &[&str]| {
        let range = |from: &&str| {
            format!(
                "BEGIN:VEVENT\r\nUID:weekly\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:{from}T090000Z\r\nDTSTART:{from}T110000Z\r\nSUMMARY:From {from}\r\nEND:VEVENT\r\n"
            )
        };
        let ranges: String = ranges.iter().map(range).collect();
        let master = "BEGIN:VEVENT\r\nUID:weekly\r\nDTSTART:20261102T090000Z\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:Sync\r\nEND:VEVENT\r\n";
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y\r\n{ranges}{master}END:VCALENDAR\r\n")
    };
    let key = key(Provider::Caldav, "zoe");
    let mut entry = entry(key.clone(), None);
    (entry.base_url, entry.client_id) = (Some(format!("http://{}", server.address)), Some("zoe".to_owned()));
    entry.secrets.password = Some(Secret::new(PASSWORD.to_owned()));
    server.runtime.block_on(providers::add(&server.context, entry)).expect("added");
    for (ranges, series) in [
        (vec!["20261116"], 2),
        (vec!["20261116", "20261207"], 3),
        (vec!["20261207"], 2),
        (vec![], 1),
        (vec!["20261109", "20261116"], 3),
    ] {
        send("PUT", object(&ranges));
        assert_eq!(pull(&server, &key), run::Ended::Done { poll_seconds: None });
        assert_eq!(objects(&server).len(), series, "{ranges:?}");
        let shown = objects(&server).concat();
        assert!(
            ranges.iter().all(|from| shown.contains(&format!("From {from}"))) && !shown.contains("RANGE"),
            "{shown}"
        );
    }
    send("DELETE", String::new());
    assert_eq!(pull(&server, &key), run::Ended::Done { poll_seconds: None });
    assert_eq!(objects(&server), Vec::<String>::new());
}
