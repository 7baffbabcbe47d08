//! The plan of a filter: what an index row (kind, span, UID, flags) already says about an object, so that most
//! objects are never read. Conservative: where it does not know, it says so, and the evaluator decides.

use super::{CompFilter, CompTest, PropFilter, PropTest, TextMatch, ValueMatch};
use crate::base::{Interval, Utc};
use crate::ical::ComponentKind;
use crate::recur::Span;

/// What of the index rows can decide a filter before an object is read: rows outside of it cannot match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Only objects of these kinds can match; `None` is all.
    pub kinds: Option<Vec<ComponentKind>>,
    /// Only objects whose span touches this can match (both ends included); `None` is all. Alarms are left to the
    /// evaluator.
    pub window: Option<Interval>,
    /// Only objects whose UID contains this text can match, under the collation of [`Plan::uid`].
    pub uid_contains: Option<String>,
    /// The same as the match it came from.
    pub uid: Option<TextMatch>,
    /// Kind and window decide it alone: nothing else is asked. See [`Plan::verdict`].
    pub exact: bool,
}

/// What an index row tells about its object.
#[derive(Debug, Clone, Copy)]
pub struct RowFacts<'a> {
    /// The object's kind.
    pub kind: ComponentKind,
    /// Its UID.
    pub uid: &'a str,
    /// A span that holds everything it has, or a wider one; `None` if it has no time at all.
    pub span: Option<Span>,
    /// Whether it has more than one occurrence or more than one component.
    pub recurring: bool,
}

/// What a [`Plan`] says of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The object does not match.
    No,
    /// The object matches: it need not be read to know that.
    Yes,
    /// Only the evaluator can tell.
    Unsure,
}

/// The plan of `filter`.
pub fn plan(filter: &CompFilter) -> Plan {
    let mut plan = Plan { kinds: None, window: None, uid_contains: None, uid: None, exact: true };
    match &filter.test {
        _ if !filter.name.eq_ignore_ascii_case("VCALENDAR") => plan.forbid_all(),
        CompTest::IsNotDefined => plan.forbid_all(),
        CompTest::All { time_range, props, comps } => {
            plan.exact = time_range.is_none() && props.is_empty();
            comps.iter().for_each(|comp| plan.narrow(comp));
        }
    }
    plan
}

impl Plan {
    /// Whether the object of `row` matches, as far as the row tells.
    pub fn verdict(&self, row: RowFacts<'_>) -> Verdict {
        let outside = self.kinds.as_ref().is_some_and(|kinds| !kinds.contains(&row.kind))
            || self.uid.as_ref().is_some_and(|test| !test.matches(row.uid))
            || self.window.is_some_and(|window| !may_touch(window, row));
        match self.window {
            _ if outside => Verdict::No,
            None if self.exact => Verdict::Yes,
            Some(window) if self.exact && surely_inside(window, row) => Verdict::Yes,
            _ => Verdict::Unsure,
        }
    }

    fn forbid_all(&mut self) {
        self.kinds = Some(Vec::new());
    }

    /// Takes into account a filter on a component inside VCALENDAR.
    fn narrow(&mut self, filter: &CompFilter) {
        let Some(kind) = kind_named(&filter.name) else {
            self.exact = false;
            return;
        };
        match &filter.test {
            CompTest::IsNotDefined => self.keep_kinds(|k| k != kind),
            CompTest::All { time_range, props, comps } => {
                self.keep_kinds(|k| k == kind);
                self.exact &= props.is_empty() && comps.is_empty();
                props.iter().for_each(|prop| self.narrow_by_uid(prop));
                if let Some(range) = time_range {
                    self.narrow_by_time(kind, *range);
                }
            }
        }
    }

    fn keep_kinds(&mut self, keep: impl Fn(ComponentKind) -> bool) {
        self.kinds.get_or_insert_with(|| KINDS.map(|(_, kind)| kind).to_vec()).retain(|kind| keep(*kind));
    }

    /// Two comp-filters of one name may be met by two components of one object, so a second window cannot be cut with
    /// the first: the first stays, which is still conservative.
    fn narrow_by_time(&mut self, kind: ComponentKind, range: Interval) {
        self.exact &= self.window.is_none() && matches!(kind, ComponentKind::Event | ComponentKind::Journal);
        self.window.get_or_insert(range);
    }

    fn narrow_by_uid(&mut self, filter: &PropFilter) {
        if !filter.name.eq_ignore_ascii_case("UID") || self.uid.is_some() {
            return;
        }
        if let PropTest::All { value: Some(ValueMatch::Text(test)), .. } = &filter.test {
            self.uid_contains = (!test.negate).then(|| test.text.clone());
            self.uid = Some(test.clone());
        }
    }
}

const KINDS: [(&str, ComponentKind); 5] = [
    ("VEVENT", ComponentKind::Event),
    ("VTODO", ComponentKind::Todo),
    ("VJOURNAL", ComponentKind::Journal),
    ("VFREEBUSY", ComponentKind::FreeBusy),
    ("VAVAILABILITY", ComponentKind::Availability),
];

fn kind_named(name: &str) -> Option<ComponentKind> {
    KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// Whether anything in the row's span could match `window`. Ends that merely touch count: the tables of RFC 4791 §9.9 have
/// inclusive conditions. To-dos without DTSTART and DUE match by CREATED, COMPLETED or always, and unbounded
/// availability has no span, so for these kinds having no span is no reason to leave them out.
fn may_touch(window: Interval, row: RowFacts<'_>) -> bool {
    match row.span {
        Some(span) => span.start <= window.end && span.end.is_none_or(|end| end >= window.start),
        None => !matches!(row.kind, ComponentKind::Event | ComponentKind::Journal),
    }
}

/// Whether the only occurrence lies wholly inside of `window`, so that even a span that is wider than the truth proves a match.
fn surely_inside(window: Interval, row: RowFacts<'_>) -> bool {
    let inside = |span: Span| span.start >= window.start && span.end.is_some_and(|end: Utc| end < window.end);
    !row.recurring && row.span.is_some_and(inside)
}
