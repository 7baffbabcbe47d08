use super::super::samples::{deliver, delivery, file, records, signed};
use super::*;
use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::merge::{Absorbed, End, MentionKind, Presence, Provider, SourceRecord};

const SLACK: Provider = Provider::Slack;

fn of(path: &str) -> Vec<SourceRecord> {
    records(&Slack, SLACK, &format!("slack/{path}"))
}

fn one(path: &str) -> SourceRecord {
    let mut all = of(path);
    assert_eq!(all.len(), 1, "{path}");
    all.remove(0)
}

fn at(text: &str) -> DateOrTime {
    DateOrTime::Utc(chrono::DateTime::parse_from_rfc3339(text).expect("a time").naive_utc())
}

#[test]
fn the_handshake_is_signed_and_answered_with_its_challenge() {
    let genuine = delivery(&file("slack/url_verification.json"));
    let delivered = deliver(&Slack, SLACK, &genuine);
    assert_eq!((delivered.status, &delivered.body[..]), (200, &b"3eZbrw1aInventedChallenge"[..]));
    let mut forged = genuine;
    forged.headers.retain(|(name, _)| name != "x-slack-signature");
    assert_eq!(deliver(&Slack, SLACK, &forged).status, 401);
}

#[test]
fn every_recorded_delivery_is_genuine_and_none_is_taken_after_five_minutes() {
    for name in [
        "message_changed",
        "message_deleted",
        "message_metadata_deleted",
        "message_metadata_posted",
        "message_metadata_updated",
        "message_with_call_block",
        "message_with_zoom_link",
        "message_with_zoom_link_retry1",
        "slash_command",
        "user_huddle_changed",
    ] {
        let genuine = delivery(&file(&format!("slack/{name}.json")));
        assert_eq!(deliver(&Slack, SLACK, &genuine).status, 200, "{name}");
        let late = Delivery { at: Utc(genuine.at.0 + 301), ..genuine };
        assert_eq!(deliver(&Slack, SLACK, &late).status, 401, "{name}");
    }
}

#[test]
fn metadata_is_a_meeting_and_its_revision_decides() {
    let (posted, updated, deleted) = (
        one("message_metadata_posted.json"),
        one("message_metadata_updated.json"),
        one("message_metadata_deleted.json"),
    );
    assert_eq!(posted.source.to_string(), "slack:inc-2026-1110");
    assert_eq!(posted.content.title.as_deref(), Some("Incident bridge"));
    assert_eq!(posted.content.start, Some(at("2026-11-10T16:00:00Z")));
    assert_eq!(posted.content.organizer.as_ref().map(|one| one.email.as_str()), Some("jonas@northwind.example"));
    assert_eq!(posted.content.attendees.as_ref().map(Vec::len), Some(2));
    let mut late = updated.clone();
    assert_eq!(late.absorb(&posted), Absorbed::Stale);
    assert_eq!(late.content.end, Some(End::At(at("2026-11-10T17:30:00Z"))));
    let mut gone = posted;
    gone.absorb(&deleted);
    gone.absorb(&updated);
    assert!(!gone.is_live(), "the deletion is of the same revision and wins");
}

#[test]
fn links_and_calls_are_mentions_and_retries_are_the_same() {
    let link = one("message_with_zoom_link.json");
    assert_eq!(link, one("message_with_zoom_link_retry1.json"));
    let mention = link.content.mention.clone().expect("a mention");
    assert_eq!((mention.channel.as_str(), mention.kind), ("C0SALES01", MentionKind::Link));
    assert!(link.content.join_ids.as_ref().is_some_and(|ids| ids.contains("zoom:84512345678")));
    let changed = one("message_changed.json");
    assert_eq!((&changed.source, changed.presence()), (&link.source, Presence::Live));
    let mut gone = one("message_deleted.json");
    assert_eq!(gone.source, link.source);
    gone.absorb(&changed);
    assert!(!gone.is_live());
    let call = one("message_with_call_block.json");
    assert_eq!(call.content.mention.as_ref().map(|mention| mention.kind), Some(MentionKind::Call));
    assert!(call.content.title.is_none(), "a call's name is nobody's title");
}

#[test]
fn what_is_no_meeting_makes_nothing() {
    for name in ["user_huddle_changed", "slash_command"] {
        let delivered = deliver(&Slack, SLACK, &delivery(&file(&format!("slack/{name}.json"))));
        assert!(delivered.status == 200 && matches!(delivered.effect, Effect::Nothing), "{name}");
    }
    let limited = file("slack/app_rate_limited.json");
    let body = limited.get("body").unwrap_or(&limited).to_string();
    let delivered = deliver(&Slack, SLACK, &signed(SLACK, &body));
    assert_eq!((delivered.status, delivered.class), (200, "rate_limited"));
    let gone = r#"{"type":"event_callback","event":{"type":"app_uninstalled"}}"#;
    assert!(matches!(deliver(&Slack, SLACK, &signed(SLACK, gone)).effect, Effect::Broken(_)));
}

#[test]
fn a_link_that_is_edited_away_is_gone() {
    let body = r#"{"type":"event_callback","event":{"type":"message","subtype":"message_changed","channel":"C1",
        "event_ts":"10.5","message":{"ts":"1.0","text":"no link"},
        "previous_message":{"ts":"1.0","text":"<https://zoom.us/j/84512345678>"}}}"#;
    let Effect::Records(records) = deliver(&Slack, SLACK, &signed(SLACK, body)).effect else { panic!("records") };
    assert_eq!(records.len(), 1);
    assert!(!records[0].is_live());
    assert_eq!(records[0].version().stamp, 10_500_000);
}

#[test]
fn what_cannot_be_read_is_refused_by_the_name_of_its_field_and_not_retried() {
    let payload = |inner: &str| {
        format!(
            r#"{{"type":"event_callback","event":{{"type":"message_metadata_posted","metadata":{{"event_type":"kalends_meeting","event_payload":{inner}}}}}}}"#
        )
    };
    let base = "event.metadata.event_payload";
    let cases = [
        ("{".to_owned(), "(the body)".to_owned()),
        (r#"{"type":1}"#.to_owned(), "type".to_owned()),
        (r#"{"type":"event_callback"}"#.to_owned(), "event".to_owned()),
        (payload("{}"), format!("{base}.meeting_key")),
        (payload(r#"{"meeting_key":"k"}"#), format!("{base}.rev")),
        (payload(r#"{"meeting_key":"k","rev":1,"action":"explode"}"#), format!("{base}.action")),
        (payload(r#"{"meeting_key":"k","rev":1}"#), format!("{base}.start")),
        (payload(r#"{"meeting_key":"k","rev":1,"start":"tomorrow"}"#), format!("{base}.start")),
        (
            payload(r#"{"meeting_key":"k","rev":1,"start":"2026-11-10T16:00:00Z","end":"2026-11-10T15:00:00Z"}"#),
            format!("{base}.end"),
        ),
    ];
    for (body, field) in cases {
        let delivered = deliver(&Slack, SLACK, &signed(SLACK, &body));
        assert_eq!(delivered.status, 400, "{body}");
        assert!(delivered.headers.contains(&("x-slack-no-retry", "1".to_owned())));
        let Effect::DeadLetter(reason) = delivered.effect else { panic!("{body}: no dead letter") };
        assert!(reason.starts_with(&format!("`{field}`")), "{body}: {reason}");
    }
}

#[test]
fn times_are_read_to_the_microsecond() {
    assert_eq!(micros("1794290700.000100"), Some(1_794_290_700_000_100));
    assert_eq!(micros("12"), Some(12_000_000));
    assert_eq!(micros("12.5"), Some(12_500_000));
    for wrong in ["", "x", "1.x", "99999999999999999999.0", "1.\u{e9}\u{e9}\u{e9}\u{e9}"] {
        assert_eq!(micros(wrong), None, "{wrong}");
    }
}
