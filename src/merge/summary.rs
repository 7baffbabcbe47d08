//! The meeting as JSON: what a careful person would write down of it. Keys are sorted, so that the same meeting is the same
//! bytes.

use serde_json::{Map, Value, json};

use super::{Instance, Meeting, Response, Status, instances, time};
use crate::base::{Interval, Utc};
use crate::ical::DateOrTime;
use crate::zone::Zone;

/// Instances that are written out.
const INSTANCES_MAX: usize = 500;
/// How far from its start the instances of an endless series are written out, in days.
const DAYS_MAX: i64 = 400;

/// The fields of `meeting` that a person would compare.
pub fn summary(meeting: &Meeting) -> Value {
    let event = &meeting.event;
    let mut sources: Vec<String> = meeting.sources.iter().map(ToString::to_string).collect();
    sources.extend(meeting.mentions.iter().cloned());
    sources.sort();
    sources.dedup();
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        map.insert(name.to_owned(), value);
    };
    put("title", json!(event.title));
    put("kind", json!(if meeting.is_series() { "series" } else { "single" }));
    put("uid", json!(meeting.uid));
    put("organizer", json!(event.organizer.as_ref().map(|person| person.email.as_str())));
    put("status", json!(if event.status == Status::Tentative { "tentative" } else { "confirmed" }));
    put("start_local", json!(local(&event.start)));
    put("tz", json!(zone_name(&event.start)));
    put("duration_s", json!(time::seconds_between(&event.start, &event.end)));
    put("instances_utc", json!(written_out(meeting)));
    put("my_response", json!(event.response.map(answer)));
    put("join_url", json!(event.join_url));
    put("description", json!(event.description));
    put("location", json!(event.location));
    put("sources", json!(sources));
    if meeting.is_series() {
        put("rrule", json!(meeting.recurrence.rules.join("\n")));
        put("moved", moved(meeting));
        put("cancelled_instances", json!(cancelled(meeting)));
    }
    if meeting.started.is_some() || meeting.ended.is_some() {
        put("actual", json!({ "started": meeting.started.map(point), "ended": meeting.ended.map(point) }));
    }
    Value::Object(map)
}

fn answer(response: Response) -> String {
    response.partstat().to_ascii_lowercase()
}

/// `2026-11-10T13:00:00Z`
fn point(at: Utc) -> String {
    at.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn local(at: &DateOrTime) -> String {
    match at {
        DateOrTime::Date(date) => date.format("%Y-%m-%d").to_string(),
        other => other.local().format("%Y-%m-%dT%H:%M:%S").to_string(),
    }
}

fn zone_name(at: &DateOrTime) -> Option<&str> {
    match at {
        DateOrTime::Utc(_) => Some("UTC"),
        other => other.tzid(),
    }
}

fn pair(interval: Interval) -> [String; 2] {
    [point(interval.start), point(interval.end)]
}

fn interval(start: &DateOrTime, end: &DateOrTime) -> Interval {
    let utc = Zone::utc();
    Interval::new(time::instant(start, &utc), time::instant(end, &utc))
}

fn moved(meeting: &Meeting) -> Value {
    let changed = meeting.instances.iter().filter_map(|(key, instance)| match instance {
        Instance::Changed(_, event) => {
            let now = interval(&event.start, &event.end);
            let length = time::seconds_between(&meeting.event.start, &meeting.event.end);
            (now != Interval::new(*key, key.plus(length))).then(|| (point(*key), json!(pair(now))))
        }
        Instance::Cancelled(_) => None,
    });
    Value::Object(changed.collect())
}

fn cancelled(meeting: &Meeting) -> Vec<String> {
    let gone = meeting.instances.iter().filter(|(_, instance)| matches!(instance, Instance::Cancelled(_)));
    gone.map(|(key, _)| point(*key)).collect()
}

/// All instances, exceptions applied, in order.
fn written_out(meeting: &Meeting) -> Vec<[String; 2]> {
    let event = &meeting.event;
    let first = interval(&event.start, &event.end);
    let mut all = vec![first];
    if meeting.is_series() {
        let window = Interval::new(first.start, first.start.plus(DAYS_MAX * time::DAY));
        let series = instances::series_of(&event.start, &event.end, &meeting.recurrence);
        let regular = series.and_then(|series| instances::at(&series, window)).unwrap_or_default();
        let untouched = regular.into_iter().filter(|(key, _)| !meeting.instances.contains_key(key));
        all = untouched.map(|(_, start)| interval(&start, &end_of(&start, meeting))).collect();
    }
    for instance in meeting.instances.values() {
        if let Instance::Changed(_, event) = instance {
            all.push(interval(&event.start, &event.end));
        }
    }
    all.sort();
    all.truncate(INSTANCES_MAX);
    all.into_iter().map(pair).collect()
}

/// The end of the instance that starts at `start`, the length being that of the first.
fn end_of(start: &DateOrTime, meeting: &Meeting) -> DateOrTime {
    let length = time::seconds_between(&meeting.event.start, &meeting.event.end);
    time::end_of(start, Some(&super::End::After(length)))
}
