//! The evaluator and the plan against a slow evaluator that is obviously right: it has the instances in a list, made
//! from the same model as the calendar text, and reads the tables of RFC 4791 §9.9 over them.

use std::fmt::Write;

use kalends::base::{Interval, Limits, Utc};
use kalends::filter::{
    Collation, CompFilter, CompTest, DataRequest, PropFilter, PropTest, RecurrenceRequest, RowFacts, TextMatch,
    ValueMatch, Verdict, matches, plan, render, span_of,
};
use kalends::freebusy::{contributions, merge};
use kalends::ical::CalendarObject;
use kalends::recur::{Budget, Series};
use kalends::zone::Zone;
use proptest::prelude::*;
use proptest::sample::select;

/// 2026-03-02T00:00:00Z
const EPOCH: i64 = 1_772_409_600;
const DAY: i64 = 86_400;

/// How a component says where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    /// DTSTART, and DTEND or DUE so much later.
    StartEnd(i64),
    /// DTSTART and DURATION.
    StartDuration(i64),
    /// DTSTART alone.
    Start,
    /// A VTODO's DUE alone.
    Due,
    /// A VTODO without either.
    Nothing { created: bool, completed: bool },
}

#[derive(Debug, Clone)]
struct Part {
    start: i64,
    dates: Dates,
    summary: &'static str,
    /// Seconds from the start or, if so, the end; how often more, and how far apart.
    alarm: Option<(i64, bool, i64, i64)>,
}

#[derive(Debug, Clone)]
struct Model {
    todo: bool,
    master: Part,
    /// Days between instances, and how many.
    rule: Option<(i64, i64)>,
    excluded: Vec<i64>,
    /// Which instance, and whether all later ones with it.
    overrides: Vec<(i64, bool, Part)>,
}

/// One instance: which part describes it, its start and end.
type Instance = (usize, i64, i64);

impl Part {
    fn length(&self) -> i64 {
        match self.dates {
            Dates::StartEnd(length) | Dates::StartDuration(length) => length,
            Dates::Start | Dates::Due | Dates::Nothing { .. } => 0,
        }
    }

    fn lines(&self, todo: bool) -> String {
        let mut text = format!("SUMMARY:{}\r\n", self.summary);
        let at = |name: &str, time: i64| format!("{name}:{}\r\n", Utc(time));
        match self.dates {
            Dates::StartEnd(length) => {
                text += &at("DTSTART", self.start);
                text += &at(if todo { "DUE" } else { "DTEND" }, self.start + length);
            }
            Dates::StartDuration(length) => {
                text += &at("DTSTART", self.start);
                write!(text, "DURATION:PT{length}S\r\n").expect("a String");
            }
            Dates::Start => text += &at("DTSTART", self.start),
            Dates::Due => text += &at("DUE", self.start),
            Dates::Nothing { created, completed } => {
                text += &if created { at("CREATED", self.start) } else { String::new() };
                text += &if completed { at("COMPLETED", self.start + DAY) } else { String::new() };
            }
        }
        if let Some((offset, end, count, every)) = self.alarm {
            let sign = if offset < 0 { "-" } else { "" };
            let related = if end { "END" } else { "START" };
            text += "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\n";
            write!(text, "TRIGGER;RELATED={related}:{sign}PT{}S\r\n", offset.abs()).expect("a String");
            if count > 0 {
                write!(text, "REPEAT:{count}\r\nDURATION:PT{every}S\r\n").expect("a String");
            }
            text += "END:VALARM\r\n";
        }
        text
    }
}

impl Model {
    /// The same with a place in time.
    fn dated(mut self) -> Self {
        if matches!(self.master.dates, Dates::Nothing { .. }) {
            self.master.dates = Dates::Start;
        }
        self
    }

    /// The same as an event.
    fn into_event(self) -> Self {
        let mut event = Self { todo: false, ..self.dated() };
        if event.master.dates == Dates::Due {
            event.master.dates = Dates::Start;
        }
        event
    }

    fn name(&self) -> &'static str {
        if self.todo { "VTODO" } else { "VEVENT" }
    }

    fn start_of(&self, n: i64) -> i64 {
        self.master.start + n * self.rule.map_or(0, |(days, _)| days) * DAY
    }

    fn text(&self) -> String {
        let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\n".to_owned();
        let mut push = |more: String, part: &Part| {
            write!(
                text,
                "BEGIN:{0}\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n{more}{1}END:{0}\r\n",
                self.name(),
                part.lines(self.todo)
            )
            .expect("a String");
        };
        let mut rule = self
            .rule
            .map_or_else(String::new, |(days, count)| format!("RRULE:FREQ=DAILY;INTERVAL={days};COUNT={count}\r\n"));
        for n in &self.excluded {
            write!(rule, "EXDATE:{}\r\n", Utc(self.start_of(*n))).expect("a String");
        }
        push(rule, &self.master);
        for (n, future, part) in &self.overrides {
            let range = if *future { ";RANGE=THISANDFUTURE" } else { "" };
            push(format!("RECURRENCE-ID{range}:{}\r\n", Utc(self.start_of(*n))), part);
        }
        text + "END:VCALENDAR\r\n"
    }

    fn instances(&self) -> Vec<Instance> {
        let mut all = Vec::new();
        for n in 0..self.rule.map_or(1, |(_, count)| count) {
            let own = (1..).zip(&self.overrides).find(|(_, (of, future, _))| *of == n && !future);
            let future = (1..).zip(&self.overrides).find(|(_, (from, future, _))| *future && *from <= n);
            if let Some((index, (_, _, part))) = own {
                all.push((index, part.start, part.start + part.length()));
            } else if self.excluded.contains(&n) {
            } else if let Some((index, (from, _, part))) = future {
                let start = self.start_of(n) + part.start - self.start_of(*from);
                all.push((index, start, start + part.length()));
            } else {
                all.push((0, self.start_of(n), self.start_of(n) + self.master.length()));
            }
        }
        all
    }

    fn parts(&self) -> Vec<&Part> {
        std::iter::once(&self.master).chain(self.overrides.iter().map(|(_, _, part)| part)).collect()
    }
}

#[derive(Debug, Clone)]
enum Alarm {
    None,
    In(i64, i64),
}

#[derive(Debug, Clone)]
struct Asked {
    range: Option<(i64, i64)>,
    summary: Option<&'static str>,
    alarm: Option<Alarm>,
}

fn within((start, end): (i64, i64), point: i64) -> bool {
    start <= point && end > point
}

/// RFC 4791 §9.9, VEVENT and VTODO.
fn overlaps(todo: bool, part: &Part, instance: Option<(i64, i64)>, (start, end): (i64, i64)) -> bool {
    let (created, completed) = (part.start, part.start + DAY);
    let (dtstart, dtend) = instance.unwrap_or_default();
    match (todo, part.dates) {
        (false, Dates::StartEnd(_)) => start < dtend && end > dtstart,
        (false, Dates::StartDuration(length)) if length > 0 => start < dtend && end > dtstart,
        (false, _) => start <= dtstart && end > dtstart,
        (true, Dates::StartDuration(_)) => start <= dtend && (end > dtstart || end >= dtend),
        (true, Dates::StartEnd(_)) => (start < dtend || start <= dtstart) && (end > dtstart || end >= dtend),
        (true, Dates::Start) => start <= dtstart && end > dtstart,
        (true, Dates::Due) => start < dtend && end >= dtend,
        (true, Dates::Nothing { created: true, completed: true }) => {
            (start <= created || start <= completed) && (end >= created || end >= completed)
        }
        (true, Dates::Nothing { created: false, completed: true }) => start <= completed && end >= completed,
        (true, Dates::Nothing { created: true, completed: false }) => end > created,
        (true, Dates::Nothing { created: false, completed: false }) => true,
    }
}

fn expected(model: &Model, asked: &Asked) -> bool {
    let instances = model.instances();
    (0..).zip(model.parts()).any(|(index, part)| {
        let own = || instances.iter().filter(|i| i.0 == index).map(|i| (i.1, i.2));
        let undated = matches!(part.dates, Dates::Nothing { .. });
        let in_time = match asked.range {
            None => true,
            Some(range) if undated => overlaps(model.todo, part, None, range),
            Some(range) => own().any(|i| overlaps(model.todo, part, Some(i), range)),
        };
        let rings = |range| {
            part.alarm.is_some_and(|(offset, end, count, every)| {
                let first = |i: (i64, i64)| offset + if end { i.1 } else { i.0 };
                !undated && own().any(|i| (0..=count).any(|n| within(range, first(i) + n * every)))
            })
        };
        let alarmed = match asked.alarm {
            None => true,
            Some(Alarm::None) => part.alarm.is_none(),
            Some(Alarm::In(start, end)) => rings((start, end)),
        };
        in_time && alarmed && asked.summary.is_none_or(|text| part.summary.contains(text))
    })
}

/// RFC 4791 §9.6.5: for each instance in `range`, its start.
fn expansion(model: &Model, range: (i64, i64)) -> Vec<i64> {
    let parts = model.parts();
    let mut all = model.instances();
    all.retain(|(index, start, end)| overlaps(model.todo, parts[*index], Some((*start, *end)), range));
    all.into_iter().map(|(_, start, _)| start).collect()
}

/// RFC 4791 §9.6.6: the overrides that have or replace an instance in `range`.
fn kept_overrides(model: &Model, range: (i64, i64)) -> usize {
    let count = model.rule.map_or(1, |(_, count)| count);
    let original = |n: i64| {
        let start = model.start_of(n);
        let instance = (start, start + model.master.length());
        !model.excluded.contains(&n) && overlaps(model.todo, &model.master, Some(instance), range)
    };
    let kept = (1..).zip(&model.overrides).filter(|(index, (n, future, part))| {
        let current =
            model.instances().iter().any(|i| i.0 == *index && overlaps(model.todo, part, Some((i.1, i.2)), range));
        current || if *future { (*n..count).any(original) } else { original(*n) }
    });
    kept.count()
}

fn filter_of(model: &Model, asked: &Asked) -> CompFilter {
    let interval = |(start, end): (i64, i64)| Interval::new(Utc(start), Utc(end));
    let text = |text: &str| TextMatch { text: text.into(), collation: Collation::Octet, negate: false };
    let summary = |t| PropFilter {
        name: "SUMMARY".into(),
        test: PropTest::All { value: Some(ValueMatch::Text(text(t))), params: vec![] },
    };
    let comp = |name: &str, test| CompFilter { name: name.into(), test };
    let all = |time_range, props, comps| CompTest::All { time_range, props, comps };
    let alarm = asked.alarm.as_ref().map(|alarm| match alarm {
        Alarm::None => comp("VALARM", CompTest::IsNotDefined),
        Alarm::In(start, end) => comp("VALARM", all(Some(interval((*start, *end))), vec![], vec![])),
    });
    let inner =
        all(asked.range.map(interval), asked.summary.map(summary).into_iter().collect(), alarm.into_iter().collect());
    comp("VCALENDAR", all(None, vec![], vec![comp(model.name(), inner)]))
}

/// Times on a coarse grid, so that ends meet often.
fn time() -> impl Strategy<Value = i64> {
    (0..30 * 4_i64, select(vec![0_i64, 0, 0, 1, -1, 3600])).prop_map(|(quarter, off)| EPOCH + quarter * DAY / 4 + off)
}

fn range() -> impl Strategy<Value = (i64, i64)> {
    let length = select(vec![1, 3600, DAY / 4, DAY, 5 * DAY]);
    let closed = (time(), length).prop_map(|(start, length)| (start, start + length));
    prop_oneof![6 => closed, 1 => time().prop_map(|start| (start, Utc::MAX.0)), 1 => time().prop_map(|end| (Utc::MIN.0, end))]
}

fn part() -> impl Strategy<Value = Part> {
    let length = || select(vec![1_i64, 3600, DAY / 4, DAY, 3 * DAY]);
    let dates = prop_oneof![
        length().prop_map(Dates::StartEnd),
        length().prop_map(Dates::StartDuration),
        Just(Dates::Start),
        Just(Dates::StartDuration(0))
    ];
    let alarm = (
        select(vec![-900_i64, -DAY, 0, 3600]),
        any::<bool>(),
        select(vec![0_i64, 0, 3]),
        select(vec![60_i64, DAY / 4]),
    );
    (time(), dates, select(vec!["red", "green", "blue"]), prop::option::of(alarm))
        .prop_map(|(start, dates, summary, alarm)| Part { start, dates, summary, alarm })
}

fn model() -> impl Strategy<Value = Model> {
    let lone = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Dates::Due)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(created, completed)| Some(Dates::Nothing { created, completed })),
    ];
    let rule = prop::option::of((1..4_i64, 2..9_i64));
    let overrides = prop::collection::btree_map(0..9_i64, (prop::bool::weighted(0.2), part()), 0..3);
    (any::<bool>(), part(), lone, rule, prop::collection::vec(0..9_i64, 0..3), overrides).prop_map(
        |(todo, mut master, lone, rule, excluded, overrides)| {
            let mut rule = rule;
            if let (true, Some(dates)) = (todo, lone) {
                master.dates = dates;
                rule = None;
            }
            let count = rule.map_or(0, |(_, count)| count);
            let mut futures = 0;
            let overrides: Vec<(i64, bool, Part)> = overrides
                .into_iter()
                .filter(|(n, _)| *n < count)
                .map(|(n, (future, part))| {
                    // One override of the future is enough, and the first instance is the master's own.
                    let future = future && n > 0 && futures == 0;
                    futures += i64::from(future);
                    (n, future, part)
                })
                .collect();
            let taken = |n: &i64| overrides.iter().any(|(of, _, _)| of == n);
            let excluded = excluded.into_iter().filter(|n| *n > 0 && *n < count && !taken(n)).collect();
            Model { todo, master, rule, excluded, overrides }
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let alarm = prop_oneof![Just(Alarm::None), range().prop_map(|(start, end)| Alarm::In(start, end))];
    (
        prop::option::weighted(0.8, range()),
        prop::option::weighted(0.3, select(vec!["red", "blue"])),
        prop::option::weighted(0.4, alarm),
    )
        .prop_map(|(range, summary, alarm)| Asked { range, summary, alarm })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn expansions_and_limits_agree_with_the_list(model in model().prop_map(Model::dated), ranges in prop::collection::vec(range(), 4)) {
        let text = model.text();
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        for range in ranges {
            let window = Interval::new(Utc(range.0), Utc(range.1));
            let lines = |recurrence, start: &str| {
                let request = DataRequest { recurrence, ..DataRequest::default() };
                let mut budget = Budget { steps: 1_000_000, instances: 100_000 };
                let text = render(&request, &object, &text, &Zone::utc(), &mut budget).expect("within the budget");
                let mut lines: Vec<String> = text.lines().filter_map(|l| l.strip_prefix(start)).map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let start = if model.master.dates == Dates::Due { "DUE:" } else { "DTSTART:" };
            let mut starts: Vec<String> = expansion(&model, range).into_iter().map(|start| Utc(start).to_string()).collect();
            starts.sort();
            prop_assert_eq!(lines(RecurrenceRequest::Expand(window), start), starts, "{:?} in\n{}", window, text);
            let kept = lines(RecurrenceRequest::Limit(window), "RECURRENCE-ID").len();
            prop_assert_eq!(kept, kept_overrides(&model, range), "{:?} in\n{}", window, text);
        }
    }

    #[test]
    fn busy_time_agrees_with_the_list(model in model().prop_map(Model::into_event), range in range()) {
        let text = model.text();
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let window = Interval::new(Utc(range.0), Utc(range.1));
        let mut budget = Budget { steps: 1_000_000, instances: 100_000 };
        let busy = contributions(&object, window, &Zone::utc(), &mut budget).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let mut instances = model.instances();
        instances.retain(|i| i.1.max(range.0) < i.2.min(range.1));
        instances.sort_by_key(|i| i.1);
        let mut expected: Vec<(i64, i64)> = Vec::new();
        for (_, start, end) in instances {
            match expected.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end.min(range.1)),
                _ => expected.push((start.max(range.0), end.min(range.1))),
            }
        }
        let found: Vec<(i64, i64)> = merge(busy).iter().map(|p| (p.interval.start.0, p.interval.end.0)).collect();
        prop_assert_eq!(found, expected, "{:?} in\n{}", window, text);
    }

    #[test]
    fn the_evaluator_agrees_with_the_list(model in model(), questions in prop::collection::vec(asked(), 8)) {
        let text = model.text();
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let series = Series::new(&object, &Zone::utc()).map_err(TestCaseError::fail)?;
        let recurring = series.is_recurring() || object.calendar.components.len() > 1;
        let row = RowFacts { kind: object.kind, uid: &object.uid, span: span_of(&object, &series), recurring };
        for asked in questions {
            let filter = filter_of(&model, &asked);
            let mut budget = Budget { steps: 1_000_000, instances: 100_000 };
            let found = matches(&filter, &object, &Zone::utc(), &mut budget).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(found, expected(&model, &asked), "{:?} in\n{}", asked, text);
            match plan(&filter).verdict(row) {
                Verdict::Unsure => {}
                verdict => prop_assert_eq!(verdict == Verdict::Yes, found, "planned: {:?} for {:?} in\n{}", asked, row, text),
            }
        }
    }
}
