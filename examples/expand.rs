//! Expands recurrences from standard input: one JSON object a line, `{"dtstart": "20260105T090000", "tzid": "Europe/Berlin",
//! "rrule": "FREQ=DAILY", "limit": 20, "horizon": "20360101T000000"}`, and prints for each a JSON list of local times.
//! `tzid` may be null; a `dtstart` of eight digits is a DATE. `conformance/recur/differential.py` compares it with others.
//!
//! ```text
//! echo '{"dtstart":"20260105T090000","rrule":"FREQ=WEEKLY;BYDAY=MO,TH","limit":3}' | cargo run --example expand
//! ["20260105T090000","20260108T090000","20260112T090000"]
//! ```

use std::io::{BufRead, Write};

use kalends::base::{Interval, Limits, Utc};
use kalends::ical::{CalendarObject, DateOrTime};
use kalends::recur::{Budget, Series};
use kalends::zone::Zone;
use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str::<Value>(&line?) {
            Ok(case) => expand(&case).unwrap_or_else(|error| json!({ "error": error })),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn expand(case: &Value) -> Result<Value, String> {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let (start, tzid) = (text("dtstart"), text("tzid"));
    let param = match (start.len(), tzid) {
        (8, _) => ";VALUE=DATE".to_owned(),
        (_, "") => String::new(),
        _ => format!(";TZID={tzid}"),
    };
    let ics = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//kalends//expand\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART{param}:{start}\r\nRRULE:{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        text("rrule")
    );
    let object = CalendarObject::parse(ics.as_bytes(), &Limits::default()).map_err(|error| error.to_string())?;
    let series = Series::new(&object, &Zone::utc())?;
    let limit = case["limit"].as_u64().unwrap_or(20) as usize;
    let horizon = horizon(text("horizon"))?;
    let begin = series.span().map_or(Utc::MIN, |span| span.start);
    let mut seconds = 86_400;
    loop {
        let end = begin.plus(seconds).min(horizon);
        let mut budget = Budget { steps: 20_000_000, instances: 5_000_000 };
        let found = series.occurrences(Interval::new(begin, end), &mut budget).map_err(|error| error.to_string())?;
        if found.len() >= limit || end == horizon {
            let times: Vec<String> =
                found.iter().take(limit).map(|one| one.start.to_string().trim_end_matches('Z').to_owned()).collect();
            return Ok(json!(times));
        }
        seconds *= 4;
    }
}

fn horizon(text: &str) -> Result<Utc, String> {
    if text.is_empty() {
        return Ok(Utc::MAX);
    }
    let at = DateOrTime::parse(text, None).map_err(|error| error.to_string())?;
    Ok(Utc::from_naive(at.local()))
}
