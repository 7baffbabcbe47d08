use super::super::samples::{deliver, delivery, file, records, signed};
use super::*;
use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::merge::{Absorbed, End, Part, Presence, Provider, SourceRecord};
use crate::provider::json::Fields;

const ZOOM: Provider = Provider::Zoom;

fn at(text: &str) -> DateOrTime {
    DateOrTime::Utc(chrono::DateTime::parse_from_rfc3339(text).expect("a time").naive_utc())
}

fn of(path: &str) -> Vec<SourceRecord> {
    records(&Zoom, ZOOM, &format!("zoom/{path}"))
}

fn one(path: &str) -> SourceRecord {
    let mut all = of(path);
    assert_eq!(all.len(), 1, "{path}");
    all.remove(0)
}

fn answer(body: &str) -> Delivered {
    deliver(&Zoom, ZOOM, &signed(ZOOM, body))
}

#[test]
fn the_handshake_proves_that_we_know_the_secret() {
    let sample = file("zoom/url_validation.json");
    let delivered = deliver(&Zoom, ZOOM, &delivery(&sample));
    assert_eq!(delivered.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&delivered.body).expect("JSON");
    assert_eq!(body, sample["expected_response"]["body"]);
}

#[test]
fn what_is_forged_changed_or_old_is_refused() {
    let forged = deliver(&Zoom, ZOOM, &delivery(&file("zoom/bad_signature.json")));
    assert_eq!((forged.status, forged.class), (401, "forged"));
    let genuine = delivery(&file("zoom/meeting_created_single.json"));
    let variants = [
        Delivery { body: genuine.body.iter().copied().chain([b' ']).collect::<Vec<u8>>().into(), ..genuine.clone() },
        Delivery { at: Utc(genuine.at.0 + 301), ..genuine.clone() },
        Delivery { at: Utc(genuine.at.0 - 301), ..genuine.clone() },
        Delivery { headers: Vec::new(), ..genuine.clone() },
        Delivery {
            headers: vec![
                ("x-zm-signature".to_owned(), "v0=\u{fc}\u{fc}".to_owned()),
                ("x-zm-request-timestamp".to_owned(), "1794211201".to_owned()),
            ],
            ..genuine.clone()
        },
    ];
    for variant in variants {
        let delivered = deliver(&Zoom, ZOOM, &variant);
        assert_eq!((delivered.status, delivered.class), (401, "forged"));
        assert!(matches!(delivered.effect, Effect::Nothing));
    }
    let edge = Delivery { at: Utc(genuine.at.0 + 300), ..genuine };
    assert_eq!(deliver(&Zoom, ZOOM, &edge).status, 200);
}

#[test]
fn a_new_meeting_has_all_its_fields() {
    let record = one("meeting_created_single.json");
    assert_eq!((record.source.to_string().as_str(), record.source.account.as_str()), ("zoom:84512345678", "acct"));
    let content = &record.content;
    assert_eq!(content.title.as_deref(), Some("Customer call – Initech"));
    assert_eq!(content.start, Some(at("2026-11-10T13:00:00Z")));
    assert_eq!((&content.end, content.zone.as_deref()), (&Some(End::After(2_700)), Some("Europe/Berlin")));
    assert_eq!(content.join_url.as_deref(), Some("https://us06web.zoom.us/j/84512345678?pwd=inventedPwd.1"));
    assert_eq!(content.organizer.as_ref().map(|one| one.email.as_str()), Some("mara@northwind.example"));
    assert_eq!((content.presence, content.personal_room), (Some(Presence::Live), Some(false)));
    assert_eq!(record.version().stamp, 1_794_211_200_000);
}

#[test]
fn an_update_before_its_meeting_wins_whatever_the_order() {
    let (created, updated) = (one("meeting_created_single.json"), one("meeting_updated_time.json"));
    let mut first = created.clone();
    assert_eq!(first.absorb(&updated), Absorbed::Applied);
    let mut second = updated.clone();
    second.absorb(&created);
    assert_eq!(first, second);
    assert_eq!(first.content.start, Some(at("2026-11-10T13:30:00Z")));
    assert_eq!(first.content.title.as_deref(), Some("Customer call – Initech"));
    assert_eq!(second.absorb(&created), Absorbed::Stale, "what Zoom retries changes nothing");
}

#[test]
fn a_deletion_beats_what_is_older_and_started_and_ended_move_nothing() {
    let (created, deleted) = (one("meeting_created_single.json"), one("meeting_deleted_single.json"));
    let mut late = deleted.clone();
    late.absorb(&created);
    assert!(!late.is_live());
    let (started, ended) = (one("meeting_started.json"), one("meeting_ended.json"));
    assert_eq!(started.source, created.source, "the number may be a text");
    let mut whole = created.clone();
    whole.absorb(&ended);
    whole.absorb(&started);
    assert_eq!((&whole.content.start, &whole.content.end), (&created.content.start, &created.content.end));
    assert_eq!(whole.content.started, Some(Utc(1_794_317_460)));
    assert_eq!(whole.content.ended, Some(Utc(1_794_319_964)));
}

#[test]
fn a_series_has_a_rule_and_its_occurrences_are_exceptions() {
    let series = one("meeting_created_recurring.json");
    let recurrence = series.content.recurrence.clone().expect("a rule");
    assert_eq!(recurrence.rules, ["FREQ=WEEKLY;BYDAY=TH;COUNT=4"]);
    assert_eq!((recurrence.exdates.len(), recurrence.rdates.len()), (0, 0), "the list is what the rule gives");
    let moved = one("meeting_updated_one_occurrence.json");
    assert_eq!(moved.content.start, Some(at("2026-11-20T09:00:00Z")));
    let Some(Part::Instance { series: id, original_start, .. }) = &moved.content.part else { panic!("an exception") };
    assert_eq!((id.as_str(), original_start), ("81122334455", &at("2026-11-19T15:00:00Z")));
    let gone = one("meeting_deleted_one_occurrence.json");
    assert!(!gone.is_live());
    assert_eq!(gone.source.id, "81122334455/1795705200000");
}

#[test]
fn the_list_of_occurrences_is_the_truth_and_the_rule_its_decoration() {
    let body = r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":81122334455,"topic":"t","type":8,
        "start_time":"2026-11-05T15:00:00Z","duration":30,"timezone":"Europe/Berlin",
        "recurrence":{"type":2,"repeat_interval":1,"weekly_days":"5","end_times":4},
        "occurrences":[
          {"occurrence_id":"1793890800000","start_time":"2026-11-05T15:00:00Z","duration":30,"status":"available"},
          {"occurrence_id":"1795100400000","start_time":"2026-11-20T15:00:00Z","duration":30,"status":"available"},
          {"occurrence_id":"1795705200000","start_time":"2026-11-26T15:00:00Z","duration":30,"status":"deleted"}]}}}"#;
    let Effect::Records(records) = answer(body).effect else { panic!("records") };
    let recurrence = records[0].content.recurrence.clone().expect("a rule");
    assert_eq!(recurrence.exdates, [at("2026-11-12T15:00:00Z"), at("2026-11-26T15:00:00Z")]);
    assert_eq!(records.len(), 2, "the series and the occurrence that moved");
    assert_eq!(records[1].content.start, Some(at("2026-11-20T15:00:00Z")));
}

#[test]
fn rules_are_those_of_the_vectors() {
    for case in file("vectors/zoom_recurrence_to_rrule.json")["cases"].as_array().expect("cases") {
        let object = json!({ "recurrence": case["recurrence"] });
        let rule = recurrence::read(&Fields::of(&object).expect("an object")).expect("a rule").expect("a rule");
        assert_eq!(rule.text, case["rrule"].as_str().expect("a text"));
    }
}

#[test]
fn rooms_have_no_time_and_join_nothing() {
    for settings in [r#""type":3"#, r#""type":4"#, r#""type":2,"settings":{"use_pmi":true}"#] {
        let body = format!(
            r#"{{"event":"meeting.created","event_ts":1,"payload":{{"object":{{"id":5551112222,"topic":"t",{settings},
            "start_time":"2026-11-05T15:00:00Z","duration":30}}}}}}"#
        );
        let Effect::Records(records) = answer(&body).effect else { panic!("records") };
        assert_eq!((records[0].content.personal_room, &records[0].content.start), (Some(true), &None), "{settings}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_the_name_of_its_field_and_kept() {
    let cases = [
        ("nonsense", "(the body)"),
        ("[]", "(the body)"),
        ("{}", "event"),
        (r#"{"event":7}"#, "event"),
        (r#"{"event":"meeting.created"}"#, "payload"),
        (r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{}}}"#, "payload.object.id"),
        (r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":"a/b"}}}"#, "payload.object.id"),
        (r#"{"event":"meeting.created","event_ts":"x","payload":{"object":{"id":1}}}"#, "event_ts"),
        (
            r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":1,"start_time":"9999999-01-01T00:00:00Z"}}}"#,
            "payload.object.start_time",
        ),
        (
            r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":1,"start_time":"0001-01-01T00:00:00Z"}}}"#,
            "payload.object.start_time",
        ),
        (
            r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":1,"duration":-5}}}"#,
            "payload.object.duration",
        ),
        (
            r#"{"event":"meeting.updated","event_ts":1,"payload":{"scope":"single","object":{"id":1}}}"#,
            "payload.object.occurrences",
        ),
        (
            r#"{"event":"meeting.created","event_ts":1,"payload":{"object":{"id":1,"recurrence":{"type":9}}}}"#,
            "payload.object.recurrence.type",
        ),
    ];
    for (body, field) in cases {
        let delivered = answer(body);
        assert_eq!((delivered.status, delivered.class), (400, "malformed"), "{body}");
        let Effect::DeadLetter(reason) = delivered.effect else { panic!("{body}: no dead letter") };
        assert!(reason.starts_with(&format!("`{field}`")), "{body}: {reason}");
    }
    let unknown = answer(r#"{"event":"recording.completed","payload":{}}"#);
    assert_eq!((unknown.status, unknown.class), (200, "ignored"));
    assert!(matches!(answer(r#"{"event":"app_deauthorized","payload":{}}"#).effect, Effect::Broken(_)));
}
