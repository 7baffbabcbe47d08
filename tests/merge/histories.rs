//! Random histories of meetings at four sources with skewed clocks, their reports dropped, doubled and shuffled: the same set of
//! reports ends in the same bytes, with no meeting twice, none that is gone, and each as its organiser has it.
//!
//! PROPTEST_CASES sets how many histories are tried (64 if it says nothing).

use std::collections::{BTreeMap, BTreeSet};

use kalends::base::{Limits, Utc};
use kalends::ical::{CalendarObject, DateOrTime};
use kalends::merge::{
    Content, Generation, Instance, Mention, MentionKind, Orphan, Part, Presence, Recurrence, Role, SourceRecord, Sweep,
    Version,
};
use proptest::prelude::*;

use crate::ingested::Server;
use crate::world::*;

const MEETINGS: usize = 4;
const WEEKS: i64 = 4;
const WEEK: i64 = 7 * 86_400;
/// Tuesday, 3 November 2026, 9:00 UTC.
const FIRST: i64 = 1_793_696_400;

/// What happens to a meeting.
#[derive(Debug, Clone)]
enum Happening {
    Create,
    Rename(u8),
    Move(i64),
    MoveInstance(i64, i64),
    CancelInstance(i64),
    RestoreInstance(i64),
    Delete,
    Restore,
}

#[derive(Debug, Clone)]
struct Step {
    meeting: usize,
    happening: Happening,
    /// Which sources hear of it: Google, Microsoft, Zoom, the feed.
    heard: [bool; 4],
}

/// How a meeting truly is.
#[derive(Debug, Clone, Default)]
struct Truth {
    exists: bool,
    title: u8,
    shift: i64,
    /// By week: how far moved, or cancelled.
    instances: BTreeMap<i64, Option<i64>>,
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Create),
        2 => any::<u8>().prop_map(Happening::Rename),
        3 => (-6i64..6).prop_map(Happening::Move),
        2 => (0..WEEKS, 1i64..6).prop_map(|(week, by)| Happening::MoveInstance(week, by)),
        2 => (0..WEEKS).prop_map(Happening::CancelInstance),
        1 => (0..WEEKS).prop_map(Happening::RestoreInstance),
        2 => Just(Happening::Delete),
        1 => Just(Happening::Restore),
    ]
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..MEETINGS, happenings(), any::<[bool; 4]>());
    let step = step.prop_map(|(meeting, happening, heard)| Step { meeting, happening, heard });
    proptest::collection::vec(step, 1..24)
}

fn is_series(meeting: usize) -> bool {
    meeting.is_multiple_of(2)
}

fn uid(meeting: usize) -> String {
    format!("m{meeting}@google.com")
}

fn join(meeting: usize) -> String {
    format!("8451234500{meeting}")
}

/// A point as Google writes it: in UTC, to be shown in Berlin.
fn at(meeting: usize, seconds: i64) -> DateOrTime {
    let day = i64::try_from(meeting).expect("few meetings") * 86_400;
    DateOrTime::Utc(Utc(FIRST + day + seconds).naive())
}

fn apply(truth: &mut Truth, happening: &Happening, meeting: usize, clock: u64) -> bool {
    match happening {
        Happening::Create if truth.title == 0 => *truth = Truth { exists: true, title: 1, ..Truth::default() },
        Happening::Create | Happening::Restore if !truth.exists && truth.title > 0 => truth.exists = true,
        _ if !truth.exists => return false,
        Happening::Rename(title) => truth.title = (*title).max(1),
        Happening::Move(hours) => {
            // Never to a time it has had before: then its exceptions of that time would rightly be back.
            truth.shift = hours * 3_600 + i64::try_from(clock).expect("small") * 60;
            truth.instances.clear();
        }
        Happening::MoveInstance(week, hours) if is_series(meeting) => {
            truth.instances.insert(*week, Some(hours * 3_600));
        }
        Happening::CancelInstance(week) if is_series(meeting) => {
            truth.instances.insert(*week, None);
        }
        Happening::RestoreInstance(week) if truth.instances.contains_key(week) => {
            truth.instances.insert(*week, Some(0));
        }
        Happening::Delete => truth.exists = false,
        _ => return false,
    }
    true
}

fn content(meeting: usize, truth: &Truth, role: Role) -> Content {
    let rules = if is_series(meeting) { vec![format!("FREQ=WEEKLY;COUNT={WEEKS}")] } else { Vec::new() };
    Content {
        recurrence: Some(Recurrence { rules, ..Recurrence::default() }),
        location: Some(format!("https://zoom.us/j/{}", join(meeting))),
        ..event(role, &uid(meeting), &format!("Title {}", truth.title), at(meeting, truth.shift), 1_800)
    }
}

/// What one calendar source says now, as the pull number `clock` of it finds it.
struct Teller {
    skew: i64,
    role: Role,
    source: fn(&str) -> kalends::merge::SourceId,
}

impl Teller {
    fn tell(&self, clock: u64, meeting: usize, truth: &Truth, known: &mut BTreeSet<String>) -> Vec<Arrival> {
        let version = version(clock, i64::try_from(clock).expect("small") * 1_000 + self.skew);
        let id = format!("m{meeting}");
        let source = (self.source)(&id);
        if !truth.exists {
            let gone = Version::of_generation(Generation(clock));
            return match known.contains(&id) {
                true => vec![SourceRecord::tombstone(source, gone).into()],
                false => Vec::new(),
            };
        }
        known.insert(id.clone());
        let mut told = vec![SourceRecord::whole(source, version, content(meeting, truth, self.role)).into()];
        for (week, state) in &truth.instances {
            told.push(self.tell_instance(clock, version, meeting, truth, *week, *state));
        }
        told
    }

    fn tell_instance(
        &self,
        clock: u64,
        version: Version,
        meeting: usize,
        truth: &Truth,
        week: i64,
        state: Option<i64>,
    ) -> Arrival {
        let original = at(meeting, truth.shift + week * WEEK);
        let key = original.to_string();
        let part = Part::Instance { series: format!("m{meeting}"), original_start: original, orphan: Orphan::Waits };
        let source = (self.source)(&format!("m{meeting}_{key}"));
        let content = match state {
            None => Content { part: Some(part), presence: Some(Presence::Deleted), ..Content::default() },
            Some(by) => Content {
                part: Some(part),
                recurrence: None,
                start: Some(at(meeting, truth.shift + week * WEEK + by)),
                ..content(meeting, truth, self.role)
            },
        };
        match state {
            None => SourceRecord::partial(source, Version::of_generation(Generation(clock)), content).into(),
            Some(_) => SourceRecord::whole(source, version, content).into(),
        }
    }
}

fn zoom_says(clock: u64, meeting: usize, truth: &Truth, happening: &Happening) -> SourceRecord {
    let stamp = Version::of_stamp(i64::try_from(clock).expect("small") * 500 - 7_777);
    let source = zoom(&join(meeting));
    let base = Content { role: Some(Role::Zoom), part: Some(Part::Event), ..Content::default() };
    let said = match happening {
        Happening::Delete => Content { presence: Some(Presence::Deleted), ..base },
        Happening::Restore => Content { presence: Some(Presence::Live), ..base },
        Happening::Rename(_) => Content { title: Some(format!("Zoom {}", truth.title)), ..base },
        Happening::Move(_) => Content { start: Some(at(meeting, truth.shift)), ..base },
        _ => {
            Content { presence: Some(Presence::Live), uid: None, location: None, ..content(meeting, truth, Role::Zoom) }
        }
    };
    SourceRecord::partial(source, stamp, said)
}

/// The organiser's calendar always hears of everything in the end; the others hear of some.
fn reports(history: &[Step]) -> (Vec<Arrival>, Vec<Truth>) {
    let google = Teller { skew: 0, role: Role::Organiser, source: google };
    let microsoft = Teller { skew: 3_600_000, role: Role::Attendee, source: microsoft };
    let mut truths = vec![Truth::default(); MEETINGS];
    let (mut known, mut known_there) = (BTreeSet::new(), BTreeSet::new());
    let mut arrivals = Vec::new();
    for (step, clock) in history.iter().zip(1u64..) {
        let meeting = step.meeting;
        if !apply(&mut truths[meeting], &step.happening, meeting, clock) {
            continue;
        }
        let truth = truths[meeting].clone();
        arrivals.extend(google.tell(clock, meeting, &truth, &mut known));
        if step.heard[1] {
            arrivals.extend(microsoft.tell(clock, meeting, &truth, &mut known_there));
        }
        if step.heard[2] {
            arrivals.push(zoom_says(clock, meeting, &truth, &step.happening).into());
        }
        if step.heard[3] {
            arrivals.extend(fetch(clock, &truths));
        }
        let mention = Content {
            mention: Some(Mention { channel: "C0".into(), kind: MentionKind::Link }),
            description: Some(format!("https://zoom.us/j/{}", join(meeting))),
            ..Content::default()
        };
        arrivals.push(SourceRecord::whole(slack(&format!("C0:{clock}")), Version::of_stamp(1), mention).into());
    }
    (arrivals, truths)
}

/// A whole fetch of the feed, in which all meetings stand that there are.
fn fetch(clock: u64, truths: &[Truth]) -> Vec<Arrival> {
    let mut told: Vec<Arrival> = Vec::new();
    for (meeting, truth) in truths.iter().enumerate().filter(|(_, truth)| truth.exists) {
        let copy = content(meeting, truth, Role::Feed);
        told.push(SourceRecord::whole(feed(&uid(meeting)), version(clock, 0), copy).into());
    }
    told.push(Arrival::Sweep(Sweep { scope: feed("").scope(), generation: Generation(clock), window: None }));
    told
}

fn played(arrivals: &[Arrival]) -> World {
    let mut world = World::of(&["mara@northwind.example"]);
    for arrival in arrivals {
        world.take(arrival.clone());
    }
    world
}

/// A permutation that a number decides.
fn shuffled(arrivals: &[Arrival], seed: u64) -> Vec<Arrival> {
    let mut order: Vec<Arrival> = arrivals.to_vec();
    let mut state = seed | 1;
    for place in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).expect("31 bits") % (place + 1);
        order.swap(place, other);
    }
    order
}

/// No ghosts, no holes, and each as the organiser has it.
fn check(world: &World, truths: &[Truth]) {
    let meetings = world.meetings();
    let uids: BTreeSet<&str> = meetings.iter().map(|meeting| meeting.uid.as_str()).collect();
    assert_eq!(uids.len(), meetings.len(), "a meeting twice");
    let wanted: BTreeSet<String> = (0..MEETINGS).filter(|meeting| truths[*meeting].exists).map(uid).collect();
    assert_eq!(uids.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), wanted);
    for (index, truth) in truths.iter().enumerate().filter(|(_, truth)| truth.exists) {
        let meeting = meetings.iter().find(|meeting| meeting.uid == uid(index)).expect("it is there");
        assert_eq!(meeting.event.title, format!("Title {}", truth.title));
        for (week, state) in &truth.instances {
            let key = Utc::from_naive(at(index, truth.shift + week * WEEK).local());
            match (state, meeting.instances.get(&key)) {
                (None, Some(Instance::Cancelled(_))) | (Some(_), Some(Instance::Changed(..))) => {}
                other => panic!("instance {key} of {index}: {other:?}"),
            }
        }
        let extra = meeting.instances.keys().filter(|key| {
            let weeks =
                truth.instances.keys().map(|week| Utc::from_naive(at(index, truth.shift + week * WEEK).local()));
            !weeks.into_iter().any(|known| known == **key)
        });
        // Exceptions of an earlier time of the series that the organiser never took back would be ghosts.
        assert_eq!(extra.collect::<Vec<_>>(), Vec::<&Utc>::new(), "meeting {index}");
    }
}

/// As many histories as PROPTEST_CASES says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_repetition_end_in_the_same_bytes(
        history in histories(), seeds in any::<[u64; 3]>(), twice in any::<u64>(),
    ) {
        let (arrivals, truths) = reports(&history);
        let world = played(&arrivals);
        check(&world, &truths);
        let seen = world.seen();
        for (uid, text) in &seen {
            let object = CalendarObject::parse(text.as_bytes(), &Limits::default());
            prop_assert!(object.is_ok_and(|object| object.uid == *uid), "{}", text);
        }
        let doubled: Vec<Arrival> = arrivals.iter().chain(arrivals.iter().rev()).cloned().collect();
        prop_assert_eq!(&played(&shuffled(&doubled, twice)).seen(), &seen);
        for seed in seeds {
            let mixed = played(&shuffled(&arrivals, seed));
            prop_assert_eq!(&mixed.seen(), &seen);
        }
    }
}

// A quarter as many: each goes through the store four times.
proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 4 + 1, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn clients_see_what_merging_says_in_every_order(history in histories(), seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (arrivals, truths) = reports(&history);
        let world = played(&arrivals);
        check(&world, &truths);
        let seen = world.seen();
        for order in [arrivals.clone(), shuffled(&arrivals, seed)] {
            runtime.block_on(async {
                let server = Server::new().await;
                for arrival in &order {
                    server.take(arrival).await;
                }
                assert_eq!(server.seen().await, seen);
                let revision = server.revision().await;
                for arrival in order.iter().rev() {
                    server.take(arrival).await;
                }
                assert_eq!(server.seen().await, seen);
                assert_eq!(server.revision().await, revision, "a repetition is no change");
            });
        }
    }
}
