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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Collation;

    const WEEK: Interval = Interval { start: Utc(1_000), end: Utc(2_000) };

    fn comp(name: &str, time_range: Option<Interval>, props: Vec<PropFilter>, comps: Vec<CompFilter>) -> CompFilter {
        CompFilter { name: name.into(), test: CompTest::All { time_range, props, comps } }
    }

    fn of(inner: Vec<CompFilter>) -> Plan {
        plan(&comp("VCALENDAR", None, vec![], inner))
    }

    fn row(kind: ComponentKind, span: Option<(i64, Option<i64>)>) -> RowFacts<'static> {
        let span = span.map(|(start, end)| Span { start: Utc(start), end: end.map(Utc) });
        RowFacts { kind, uid: "Some-UID@example.com", span, recurring: false }
    }

    #[test]
    fn events_of_a_week() {
        let plan = of(vec![comp("VEVENT", Some(WEEK), vec![], vec![])]);
        assert_eq!(plan.kinds, Some(vec![ComponentKind::Event]));
        for (span, verdict) in [
            (Some((1_200, Some(1_300))), Verdict::Yes),
            (Some((1_000, Some(1_999))), Verdict::Yes),
            (Some((900, Some(1_300))), Verdict::Unsure),
            (Some((0, None)), Verdict::Unsure),
            (Some((2_001, None)), Verdict::No),
            (Some((0, Some(999))), Verdict::No),
            (None, Verdict::No),
        ] {
            assert_eq!(plan.verdict(row(ComponentKind::Event, span)), verdict, "{span:?}");
        }
        let recurring = RowFacts { recurring: true, ..row(ComponentKind::Event, Some((1_200, Some(1_300)))) };
        assert_eq!(plan.verdict(recurring), Verdict::Unsure);
        assert_eq!(plan.verdict(row(ComponentKind::Journal, Some((1_200, Some(1_300))))), Verdict::No);
    }

    #[test]
    fn to_dos_without_dates_are_never_left_out() {
        let plan = of(vec![comp("VTODO", Some(WEEK), vec![], vec![])]);
        assert_eq!(plan.verdict(row(ComponentKind::Todo, None)), Verdict::Unsure);
        assert_eq!(plan.verdict(row(ComponentKind::Todo, Some((1_200, Some(1_300))))), Verdict::Unsure);
        assert_eq!(plan.verdict(row(ComponentKind::Todo, Some((2_000, Some(2_500))))), Verdict::Unsure);
        assert_eq!(plan.verdict(row(ComponentKind::Todo, Some((2_001, Some(2_500))))), Verdict::No);
    }

    #[test]
    fn kinds_alone_decide_where_nothing_else_is_asked() {
        let all = of(vec![]);
        assert_eq!(all.verdict(row(ComponentKind::FreeBusy, None)), Verdict::Yes);
        let todos = of(vec![comp("vtodo", None, vec![], vec![])]);
        assert_eq!(todos.verdict(row(ComponentKind::Todo, None)), Verdict::Yes);
        assert_eq!(todos.verdict(row(ComponentKind::Event, None)), Verdict::No);
        let no_events = of(vec![CompFilter { name: "VEVENT".into(), test: CompTest::IsNotDefined }]);
        assert_eq!(no_events.verdict(row(ComponentKind::Event, None)), Verdict::No);
        assert_eq!(no_events.verdict(row(ComponentKind::Todo, None)), Verdict::Yes);
        let both = of(vec![comp("VTODO", None, vec![], vec![]), comp("VEVENT", None, vec![], vec![])]);
        assert_eq!(both.kinds, Some(vec![]));
        assert_eq!(plan(&CompFilter { name: "VCALENDAR".into(), test: CompTest::IsNotDefined }).kinds, Some(vec![]));
    }

    #[test]
    fn what_a_row_does_not_hold_leaves_it_unsure() {
        let event = || row(ComponentKind::Event, Some((1_200, Some(1_300))));
        let summary = PropFilter { name: "SUMMARY".into(), test: PropTest::IsNotDefined };
        let alarm = comp("VALARM", Some(WEEK), vec![], vec![]);
        for filter in [
            comp("VEVENT", Some(WEEK), vec![summary.clone()], vec![]),
            comp("VEVENT", None, vec![], vec![alarm]),
            comp("VTIMEZONE", None, vec![], vec![]),
            CompFilter { name: "X-THING".into(), test: CompTest::IsNotDefined },
        ] {
            let plan = of(vec![filter]);
            assert_eq!(plan.verdict(event()), Verdict::Unsure, "{plan:?}");
        }
        let outer = plan(&comp("VCALENDAR", None, vec![summary], vec![]));
        assert_eq!(outer.verdict(event()), Verdict::Unsure);
    }

    #[test]
    fn a_uid_is_looked_for_in_the_row() {
        let uid = |text: &str, collation, negate| {
            let test = TextMatch { text: text.into(), collation, negate };
            let test = PropTest::All { value: Some(ValueMatch::Text(test)), params: vec![] };
            of(vec![comp("VEVENT", None, vec![PropFilter { name: "uid".into(), test }], vec![])])
        };
        let event = || row(ComponentKind::Event, None);
        assert_eq!(uid("some-uid", Collation::AsciiCasemap, false).verdict(event()), Verdict::Unsure);
        assert_eq!(uid("some-uid", Collation::Octet, false).verdict(event()), Verdict::No);
        assert_eq!(uid("some-uid", Collation::AsciiCasemap, true).verdict(event()), Verdict::No);
        assert_eq!(uid("other", Collation::Octet, true).uid_contains, None);
    }
}
