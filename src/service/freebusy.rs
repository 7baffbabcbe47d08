//! free-busy-query (RFC 4791 §7.10) from masks: a calendar's busy time is kept as one mask a week in its index, tied to
//! the calendar's revision (invariants F1, F2), and a report is put together from those.

use std::sync::Arc;

use super::index::{self, week_start, weeks_of};
use super::parsed::{Content, Keep};
use super::query::{Reach, calendars, over_budget};
use super::tree::{self, Node, Resource};
use super::{Context, Error};
use crate::access::Actor;
use crate::base::{Interval, Revision, Utc};
use crate::freebusy::{self, Blocking, BusyPeriod, BusyTime, CalendarMask};
use crate::ical::{self, CalendarObject, ComponentKind};
use crate::model::{Collection, Path, Precondition, Privilege, UserName};
use crate::recur::Budget;

/// The busy time in `window` of the calendar at `path`, or of all calendars of the home there that are not transparent
/// (RFC 6638 §9.1), as iCalendar text.
///
/// # Errors
/// [`Error::NotFound`] without CALDAV:read-free-busy, whatever else the actor may do; CALDAV:max-date-time for a window longer
/// than the limit.
pub async fn report(
    context: &Context,
    actor: Actor,
    path: &Path,
    reach: Reach,
    window: Interval,
) -> Result<String, Error> {
    let node = match tree::resolve(context, actor, path).await? {
        Resource::Collection(node) => node,
        Resource::Object(..) | Resource::Fixed(_) | Resource::Principal(_) => {
            let message = "busy time is that of a calendar or of a home, not of one object";
            return Err(Error::precondition(Precondition::SupportedReport, message));
        }
    };
    let is_calendar = node.collection.calendar().is_some();
    let nodes = calendars(context, actor, node, reach, Privilege::ReadFreeBusy).await.map_err(hidden)?;
    let counts = |node: &Node| is_calendar || node.collection.calendar().is_some_and(|settings| !settings.transparent);
    let mut found = Vec::new();
    let mut room = context.budget().instances;
    for node in nodes.iter().filter(|node| counts(node)) {
        let busy = match busy(context, &node.collection, window).await {
            // Deleted since the home was listed.
            Err(Error::NotFound) if !is_calendar => continue,
            busy => busy?,
        };
        room = room.checked_sub(busy.periods().len() as u64).ok_or_else(over_budget)?;
        found.push(busy);
    }
    let now = context.clock.now();
    Ok(match found.as_slice() {
        [busy] => busy.vfreebusy(window, now),
        several => {
            let all = several.iter().flat_map(|busy| busy.periods().iter().copied());
            freebusy::vfreebusy(window, &freebusy::merge(all.collect()), now)
        }
    })
}

/// RFC 4791 §7.10 has 404 for a missing privilege, and no other answer.
fn hidden(error: Error) -> Error {
    match error {
        Error::Precondition { condition, .. } if matches!(*condition, Precondition::NeedPrivileges(_)) => {
            Error::NotFound
        }
        other => other,
    }
}

/// The merged busy periods of one calendar in `window`.
///
/// # Errors
/// CALDAV:max-date-time for a window longer than the limit; DAV:number-of-matches-within-limits.
pub async fn busy(context: &Context, calendar: &Collection, window: Interval) -> Result<Arc<BusyTime>, Error> {
    let shared = context.indexes.of(context, calendar).await?;
    let revision = {
        let index = shared.read().await;
        if let Some(known) = index.answer(window) {
            return Ok(known);
        }
        index.revision()
    };
    let busy = Arc::new(BusyTime::new(merged(context, calendar, window).await?));
    if busy.periods().len() as u64 > context.budget().instances {
        return Err(over_budget());
    }
    shared.write().await.keep_answer(window, revision, &busy);
    Ok(busy)
}

async fn merged(context: &Context, calendar: &Collection, window: Interval) -> Result<Vec<BusyPeriod>, Error> {
    match masks(context, calendar, window).await {
        Ok(masks) => Ok(freebusy::periods_of(masks.iter().map(|mask| &**mask), window)),
        // A whole week of it is too much for a mask. What was asked for may be less, and is worth trying.
        Err(Error::Precondition { condition, .. }) if *condition == Precondition::NumberOfMatchesWithinLimits => {
            let (_, periods) = contributed(context, calendar, window, &mut context.budget()).await?;
            Ok(freebusy::merge(periods))
        }
        Err(error) => Err(error),
    }
}

/// A meeting to find a time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// How long it lasts, in seconds.
    pub duration: i64,
    /// Seconds from one start that is tried to the next.
    pub step: i64,
    /// What stands in its way.
    pub blocking: Blocking,
}

/// When in `window` all of `users` have time for `meeting` (invariant F3): by the masks of their calendars that are not
/// transparent (RFC 6638 §9.1) and whose busy time the actor may read.
///
/// # Errors
/// [`Error::NotFound`] if there is no such user, or the actor may not know of one; else as [`busy`].
pub async fn common_free(
    context: &Context,
    actor: Actor,
    users: &[UserName],
    window: Interval,
    meeting: Meeting,
) -> Result<Vec<Interval>, Error> {
    let mut people = Vec::new();
    for user in users {
        let home = tree::collection(context, actor, &Path::Home(user.clone())).await?;
        for node in calendars(context, actor, home, Reach::Members, Privilege::ReadFreeBusy).await? {
            if node.collection.calendar().is_some_and(|settings| !settings.transparent) {
                let weeks = masks(context, &node.collection, window).await?;
                people.extend(CalendarMask::join(weeks.iter().map(|week| &**week)));
            }
        }
    }
    let masks: Vec<&CalendarMask> = people.iter().collect();
    Ok(freebusy::common_free(&masks, window, meeting.duration, meeting.step, meeting.blocking))
}

/// The masks of the weeks that `window` touches, in order.
///
/// # Errors
/// As [`busy`].
pub async fn masks(
    context: &Context,
    calendar: &Collection,
    window: Interval,
) -> Result<Vec<Arc<CalendarMask>>, Error> {
    let days_max = i64::try_from(context.limits.query_window_days_max).unwrap_or(i64::MAX);
    if window.seconds() > days_max.saturating_mul(86_400) {
        return Err(Error::precondition(
            Precondition::MaxDateTime,
            format!("the window is longer than {days_max} days (limit query_window_days_max); ask for a shorter one"),
        ));
    }
    let (first, last) = weeks_of(Interval::new(window.start, window.end.plus(-1).max(window.start)));
    let shared = context.indexes.of(context, calendar).await?;
    let mut masks: Vec<Arc<CalendarMask>> = Vec::new();
    let mut budget = context.budget();
    // Each period has two ends at most.
    let mut room = budget.instances.saturating_mul(2);
    for week in first..=last {
        let known = shared.read().await.busy(week);
        let outcome = if known.is_some() { "hit" } else { "miss" };
        metrics::counter!("kalends_mask_cache_total", "outcome" => outcome).increment(1);
        let mask = match known {
            Some(mask) => mask,
            None => {
                // Before they are merged periods may be many more than are written out: only the steps are those of the whole request.
                budget.instances = context.budget().instances;
                compute(context, calendar, week, &mut budget).await?
            }
        };
        room = room.checked_sub(mask.end_count() as u64).ok_or_else(over_budget)?;
        masks.push(mask);
    }
    Ok(masks)
}

/// Computes one week's mask and keeps it, if the calendar has not changed meanwhile.
async fn compute(
    context: &Context,
    calendar: &Collection,
    week: i64,
    budget: &mut Budget,
) -> Result<Arc<CalendarMask>, Error> {
    let window = Interval::new(week_start(week), week_start(week + 1));
    let (revision, periods) = contributed(context, calendar, window, budget).await?;
    let mask = Arc::new(CalendarMask::build(window, periods));
    let shared = context.indexes.of(context, calendar).await?;
    shared.write().await.keep_busy(week, revision, Arc::clone(&mask));
    // Weeks that are known already cost no waiting, and a long window should hold up nobody else.
    tokio::task::yield_now().await;
    Ok(mask)
}

/// What all objects of the calendar, and its availability, are busy with in `window`, not merged; and the revision at
/// which this is so at the latest.
async fn contributed(
    context: &Context,
    calendar: &Collection,
    window: Interval,
    budget: &mut Budget,
) -> Result<(Revision, Vec<BusyPeriod>), Error> {
    let shared = context.indexes.of(context, calendar).await?;
    let (revision, availability) = {
        let index = shared.read().await;
        (index.revision(), index.availability())
    };
    let (floating, objects) = index::candidates(context, calendar, Some(window)).await?;
    let mut periods = Vec::new();
    let mut available = Vec::new();
    for object in objects {
        let Some((_, Content::Parsed(parsed))) = context.present(calendar.id, object, Keep::Yes).await? else {
            continue;
        };
        let part = match (parsed.object.kind, parsed.series(&floating)) {
            (_, None) => continue,
            (ComponentKind::Availability, _) => {
                available.push(parsed);
                continue;
            }
            (ComponentKind::Event, Some(series)) => {
                freebusy::contributions_of_series(&parsed.object, &series, window, budget)
            }
            _ => freebusy::contributions(&parsed.object, window, &floating.zone, budget),
        };
        periods.extend(part.map_err(|_| over_budget())?);
    }
    // All availability together: which of it holds follows from the PRIORITYs (RFC 7953 §5).
    let own = availability.and_then(|text| set_availability(context, &text));
    let all: Vec<&CalendarObject> = available.iter().map(|parsed| &parsed.object).chain(&own).collect();
    periods.extend(freebusy::unavailable(&all, window, &floating.zone, budget).map_err(|_| over_budget())?);
    Ok((revision, periods))
}

/// CALDAV:calendar-availability (RFC 7953 §7.2.4), which may hold several VAVAILABILITYs.
fn set_availability(context: &Context, text: &str) -> Option<CalendarObject> {
    let calendar = ical::parse(text.trim().as_bytes(), &context.limits).ok()?;
    let kind = ComponentKind::Availability;
    Some(CalendarObject { calendar, uid: String::new(), kind, master: None, overrides: Vec::new() })
}

/// The window of a free-busy-query whose open ends are filled in (RFC 4791 §9.9 allows one of both to be missing): a
/// missing start is now, a missing end is as far as the limit allows.
pub fn closed_window(context: &Context, start: Option<Utc>, end: Option<Utc>) -> Interval {
    let seconds_max = i64::try_from(context.limits.query_window_days_max).unwrap_or(i64::MAX).saturating_mul(86_400);
    let start = start.unwrap_or_else(|| context.clock.now());
    Interval::new(start, end.unwrap_or_else(|| start.plus(seconds_max)))
}
