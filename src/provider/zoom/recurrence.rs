//! Zoom's recurrence object as an RRULE, fitted to the list of occurrences: the list is the truth, the rule its decoration.

use std::collections::BTreeSet;

use super::event::{Occurrence, utc};
use crate::base::{Interval, Limits, Utc};
use crate::ical::{CalendarObject, DateOrTime};
use crate::merge::Recurrence;
use crate::provider::json::{Fields, Wrong};
use crate::recur::{Budget, Series};
use crate::zone::Zone;

/// Weekdays by Zoom's numbers, 1 to 7.
const DAYS: [&str; 7] = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
/// Zoom lists no more occurrences than this; a list as long as that may be cut off.
const LISTED_MAX: usize = 50;
/// Occurrences that are computed to compare them with the list.
const COMPARED_MAX: u64 = 1_000;

/// A recurrence object, read.
pub(super) struct Rule {
    /// The RRULE's value.
    pub(super) text: String,
}

/// Reads `recurrence` of a meeting; `None` if it has none, or one without fixed times.
pub(super) fn read(object: &Fields<'_>) -> Result<Option<Rule>, Wrong> {
    let Some(recurrence) = object.object("recurrence")? else { return Ok(None) };
    let kind = recurrence.number("type")?.ok_or_else(|| recurrence.wrong("type", "is missing"))?;
    let interval = recurrence.number("repeat_interval")?.unwrap_or(1);
    if !(1..=400).contains(&interval) {
        return Err(recurrence.wrong("repeat_interval", "must be a number from 1 to 400"));
    }
    let mut text = match kind {
        1 => "FREQ=DAILY".to_owned(),
        2 => "FREQ=WEEKLY".to_owned(),
        3 => "FREQ=MONTHLY".to_owned(),
        _ => return Err(recurrence.wrong("type", "must be 1 (daily), 2 (weekly) or 3 (monthly)")),
    };
    if interval > 1 {
        text.push_str(&format!(";INTERVAL={interval}"));
    }
    match kind {
        2 => text.push_str(&weekly(&recurrence)?),
        3 => text.push_str(&monthly(&recurrence)?),
        _ => {}
    }
    text.push_str(&end(&recurrence)?);
    Ok(Some(Rule { text }))
}

fn weekly(recurrence: &Fields<'_>) -> Result<String, Wrong> {
    let Some(listed) = recurrence.text("weekly_days")? else { return Ok(String::new()) };
    let wrong = || recurrence.wrong("weekly_days", "must be numbers from 1 (Sunday) to 7 with commas between them");
    let days = listed.split(',').map(str::trim).filter(|day| !day.is_empty()).map(|day| {
        let number = day.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).ok_or_else(wrong)?;
        DAYS.get(number).copied().ok_or_else(wrong)
    });
    let days = days.collect::<Result<Vec<_>, _>>()?;
    if days.len() > 7 {
        return Err(wrong());
    }
    Ok(if days.is_empty() { String::new() } else { format!(";BYDAY={}", days.join(",")) })
}

fn monthly(recurrence: &Fields<'_>) -> Result<String, Wrong> {
    if let Some(day) = recurrence.number("monthly_day")? {
        if !(1..=31).contains(&day) {
            return Err(recurrence.wrong("monthly_day", "must be a number from 1 to 31"));
        }
        return Ok(format!(";BYMONTHDAY={day}"));
    }
    let (Some(week), Some(day)) = (recurrence.number("monthly_week")?, recurrence.number("monthly_week_day")?) else {
        return Ok(String::new());
    };
    if !matches!(week, -1 | 1..=4) {
        return Err(recurrence.wrong("monthly_week", "must be -1 or a number from 1 to 4"));
    }
    let day = usize::try_from(day - 1).ok().and_then(|index| DAYS.get(index));
    let day = day.ok_or_else(|| recurrence.wrong("monthly_week_day", "must be a number from 1 (Sunday) to 7"))?;
    Ok(format!(";BYDAY={day};BYSETPOS={week}"))
}

fn end(recurrence: &Fields<'_>) -> Result<String, Wrong> {
    match recurrence.number("end_times")? {
        Some(0) | None => {}
        Some(times) if (1..=1_000).contains(&times) => return Ok(format!(";COUNT={times}")),
        Some(_) => return Err(recurrence.wrong("end_times", "must be a number from 1 to 1000")),
    }
    Ok(match recurrence.instant("end_date_time")? {
        Some(until) => format!(";UNTIL={until}"),
        None => String::new(),
    })
}

/// The rule alone.
pub(super) fn plain(rule: &str) -> Recurrence {
    Recurrence { rules: vec![rule.to_owned()], ..Recurrence::default() }
}

/// The rule, with what the list does not have left out and what only the list has added.
pub(super) fn fit(rule: &Rule, start: &DateOrTime, zone: Option<&str>, listed: &[Occurrence]) -> Recurrence {
    let mut fitted = plain(&rule.text);
    let DateOrTime::Utc(first) = start else { return fitted };
    let computed = match expand(&rule.text, Utc::from_naive(*first), zone) {
        Some(computed) if !listed.is_empty() => computed,
        _ => return fitted,
    };
    let there: BTreeSet<Utc> = listed.iter().filter(|one| !one.is_deleted).map(|one| one.original).collect();
    let gone: BTreeSet<Utc> = listed.iter().filter(|one| one.is_deleted).map(|one| one.original).collect();
    let (Some(from), Some(to)) =
        (listed.iter().map(|one| one.original).min(), listed.iter().map(|one| one.original).max())
    else {
        return fitted;
    };
    let is_whole = listed.len() < LISTED_MAX;
    // What lies before the first that is listed is over: Zoom lists what is to come.
    let is_missing = |at: &Utc| gone.contains(at) || !there.contains(at) && *at > from && (is_whole || *at < to);
    fitted.exdates = computed.iter().copied().filter(is_missing).map(utc).collect();
    fitted.rdates = there.iter().copied().filter(|at| !computed.contains(at)).map(utc).collect();
    fitted
}

/// The first starts of the rule, expanded in the meeting's zone.
fn expand(rule: &str, first: Utc, zone: Option<&str>) -> Option<BTreeSet<Utc>> {
    let named = zone.and_then(Zone::named);
    let zone = named.unwrap_or_else(Zone::utc);
    let local = zone.to_local(first).format("%Y%m%dT%H%M%S");
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTAMP:{first}\r\nDTSTART:{local}\r\nRRULE:{rule}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).ok()?;
    // A floating time is read in the zone that is given here.
    let series = Series::new(&object, &zone).ok()?;
    let mut budget = Budget { steps: 200_000, instances: COMPARED_MAX };
    let window = Interval::new(first, first.plus(5 * 366 * 86_400));
    let occurrences = series.occurrences(window, &mut budget).ok()?;
    Some(occurrences.into_iter().map(|one| one.interval.start).collect())
}
