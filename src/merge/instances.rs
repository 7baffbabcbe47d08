//! The instances of a series that differ (rule 7): keyed by the start that the rule gave them, as a point in time.
//!
//! The series comes first: the copy whose series counts is the one whose exceptions count, and an exception to an instance that the
//! series no longer has is none.

use std::collections::BTreeMap;

use super::meeting::Why;
use super::resolve::View;
use super::{
    Instance, Meeting, Orphan, Part, Presence, Recurrence, Response, SourceRecord, Status, Version, time, write,
};
use crate::base::{Interval, Limits, Utc};
use crate::ical::{CalendarObject, DateOrTime};
use crate::recur::{Budget, Series};
use crate::zone::Zone;

/// Work for finding out whether a series has an instance.
const STEPS_MAX: u64 = 200_000;

/// One record's word on one instance.
struct Exception<'a> {
    record: &'a SourceRecord,
    version: Version,
    orphan: Orphan,
    original: DateOrTime,
    /// The original start as a point in time, as the record says it.
    said: Utc,
}

/// Adds to `meeting` the exceptions that `best`, the copy that gave the series, and its records of instances know.
pub(super) fn add(
    view: &mut View<'_>,
    meeting: &mut Meeting,
    best: &SourceRecord,
    exdates: &[DateOrTime],
    answers: &BTreeMap<String, Response>,
) {
    let series = compile(meeting);
    let has = |key: Utc| series.as_ref().is_none_or(|series| yields(series, key));
    let series_version = best.version_of(super::Field::Recurrence).unwrap_or_default();
    let excluded: BTreeMap<Utc, DateOrTime> =
        exdates.iter().flat_map(|date| as_keys(date, meeting, series.as_ref())).collect();
    for (key, exception) in newest(view, best, &meeting.event.start, series.as_ref()) {
        let record = exception.record;
        let original = form(&meeting.event.start, key, &exception.original);
        let is_cancelled = record.presence() == Presence::Deleted || record.content.status == Some(Status::Cancelled);
        let is_newer_than_exdate = is_cancelled || exception.version > series_version;
        let is_excluded = excluded.contains_key(&key) && !is_newer_than_exdate;
        if is_excluded || !has(key) && exception.orphan == Orphan::Waits {
            view.leave_out(record, Why::NoSuchInstance);
        } else if is_cancelled {
            view.decide(super::Field::Presence, Some(key), record, "cancelled in the copy that gave the series (7)");
            meeting.instances.insert(key, Instance::Cancelled(original));
        } else if let Some(mut event) = view.event(&[record, best], Some(key)) {
            let mut own = answers.clone();
            own.extend(view.answers(Some(exception.said)));
            view.answer(&mut event, &own, &[record, best], Some(key));
            meeting.instances.insert(key, Instance::Changed(original, Box::new(event)));
        }
    }
    for (key, original) in excluded {
        if has(key) {
            let original = form(&meeting.event.start, key, &original);
            meeting.instances.entry(key).or_insert(Instance::Cancelled(original));
        }
    }
}

/// The newest word on each instance among the siblings of `best`; what is not listed any more says nothing.
fn newest<'a>(
    view: &mut View<'a>,
    best: &SourceRecord,
    start: &DateOrTime,
    series: Option<&Series>,
) -> BTreeMap<Utc, Exception<'a>> {
    let mut found: BTreeMap<Utc, Exception<'a>> = BTreeMap::new();
    for record in view.members.clone() {
        let Some(Part::Instance { original_start, orphan, .. }) = &record.content.part else { continue };
        // Where series and exceptions come as one, what is older than the series is there no more.
        let is_left_behind = *orphan == Orphan::Stands && record.generation() < best.generation();
        if record.series() != best.source || record.presence() == Presence::Unlisted || is_left_behind {
            continue;
        }
        let said = time::key_of(original_start, &Zone::utc());
        let key = key_in(original_start, start, series);
        let original = original_start.clone();
        let exception = Exception { record, version: record.version(), orphan: *orphan, original, said };
        match found.get(&key) {
            Some(other) if (other.version, &other.record.source) >= (exception.version, &record.source) => {}
            _ => {
                found.insert(key, exception);
            }
        }
    }
    found
}

/// The instance of a series that starts at `start` that `original` names, in whatever form: a day means the instance of that day, a
/// time means its day where all instances are days, and a time without a zone is one of the series' zone.
fn key_in(original: &DateOrTime, start: &DateOrTime, series: Option<&Series>) -> Utc {
    let key = time::key_of(original, &Zone::utc());
    match (original, start) {
        (DateOrTime::Floating(local), DateOrTime::Zoned(_, tzid)) => {
            Zone::named(tzid).map_or(key, |zone| zone.to_utc(*local))
        }
        (DateOrTime::Date(_), DateOrTime::Date(_)) => key,
        (DateOrTime::Date(_), _) => of_day(original, series).first().map_or(key, |(found, _)| *found),
        (_, DateOrTime::Date(_)) if series.is_some_and(|series| !yields(series, key)) => {
            Utc::from_naive(original.date().and_time(chrono::NaiveTime::MIN))
        }
        _ => key,
    }
}

/// The instances on the day of `date`, as it is written.
fn of_day(date: &DateOrTime, series: Option<&Series>) -> Vec<(Utc, DateOrTime)> {
    let key = time::key_of(&DateOrTime::Date(date.date()), &Zone::utc());
    let window = Interval::new(key.plus(-time::DAY), key.plus(2 * time::DAY));
    let same_day = |(_, start): &(Utc, DateOrTime)| start.date() == date.date();
    series.and_then(|series| at(series, window)).unwrap_or_default().into_iter().filter(same_day).collect()
}

/// The RECURRENCE-ID of the instance `key` of a series that starts at `start`, in the form of the start.
pub(super) fn form(start: &DateOrTime, key: Utc, original: &DateOrTime) -> DateOrTime {
    match start {
        DateOrTime::Date(_) => DateOrTime::Date(match original {
            DateOrTime::Date(date) => *date,
            _ => key.naive().date(),
        }),
        DateOrTime::Floating(_) => DateOrTime::Floating(key.naive()),
        DateOrTime::Utc(_) => DateOrTime::Utc(key.naive()),
        DateOrTime::Zoned(_, tzid) => match Zone::named(tzid) {
            Some(zone) => time::zoned(&zone, key),
            None => DateOrTime::Floating(key.naive()),
        },
    }
}

/// The series of `meeting` without its exceptions; `None` if its rule cannot be followed (then every exception is taken).
fn compile(meeting: &Meeting) -> Option<Series> {
    series_of(&meeting.event.start, &meeting.event.end, &meeting.recurrence)
}

/// The bare series of this start, end and rule.
pub(super) fn series_of(start: &DateOrTime, end: &DateOrTime, recurrence: &Recurrence) -> Option<Series> {
    let calendar = write::bare(start, end, recurrence);
    let object = CalendarObject::of(calendar, &Limits::default()).ok()?;
    Series::new(&object, &Zone::utc()).ok()
}

/// Whether `series` has an instance whose original start is `key`.
fn yields(series: &Series, key: Utc) -> bool {
    at(series, Interval::new(key, key.plus(1))).is_none_or(|keys| keys.iter().any(|(found, _)| *found == key))
}

/// The instances of `series` seen in `window`, by key; `None` if that is too much work.
pub(super) fn at(series: &Series, window: Interval) -> Option<Vec<(Utc, DateOrTime)>> {
    let mut budget = Budget { steps: STEPS_MAX, instances: STEPS_MAX };
    let found = series.occurrences(window, &mut budget).ok()?;
    let keyed = found.into_iter().map(|one| (time::key_of(&one.recurrence_id, &Zone::utc()), one.recurrence_id));
    Some(keyed.collect())
}

/// The instances that an EXDATE takes away: the one that starts then; of a DATE before a series of times, all of that day.
fn as_keys(date: &DateOrTime, meeting: &Meeting, series: Option<&Series>) -> Vec<(Utc, DateOrTime)> {
    let start = &meeting.event.start;
    if date.is_date() == start.is_date() {
        return vec![(key_in(date, start, series), date.clone())];
    }
    of_day(date, series)
}
