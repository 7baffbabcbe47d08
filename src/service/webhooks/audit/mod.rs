//! What an endpoint was told, and how: once, more than once, out of order, or not at all. The scope of an incident, computed from the ledger
//! alone.
//!
//! Only the receiver knows what it took. The ledger knows of each attempt whether it was answered; an attempt that began and got no
//! answer may have been taken or not. So this counts two things apart: what is certain, and what may be.

mod gather;
mod window;

pub use gather::{Audited, audit, behind};
pub(super) use gather::{event, first_since};
pub(super) use window::{Keep, Log, Side, Sought, Window, tries_of};

use std::collections::HashMap;

use super::Class;

/// A delivery as the audit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The event's place in the outbox, or a test's number.
    pub event: u64,
    /// The webhook-id: the same for all attempts.
    pub webhook_id: String,
    /// The calendar of the change.
    pub calendar: String,
    /// The calendar's sequence of the change.
    pub sequence: u64,
    /// When the change was made: no attempt began before. Milliseconds since 1970.
    pub changed_ms: i64,
    /// What became of it.
    pub fate: Fate,
    /// Why it was given up, or failed last.
    pub reason: Option<String>,
    /// The attempts, in order.
    pub attempts: Vec<Try>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has said that it has it.
    Delivered,
    /// It is still to be sent.
    Waiting,
    /// It was given up.
    Dead,
    /// It was left out, because a newer one of the same object followed.
    Superseded,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// Its number, from 1 up.
    pub number: u32,
    /// When it began: milliseconds since 1970.
    pub began_ms: i64,
    /// When it had ended.
    pub ended_ms: i64,
    /// How.
    pub end: End,
    /// How, in the words of the log.
    pub class: Class,
    /// The answer's status.
    pub status: Option<u16>,
    /// What the log says besides.
    pub detail: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The receiver said that it has it: 2xx.
    Taken,
    /// The receiver said something else.
    Refused,
    /// It was sent, or may have been, and no answer came: time was up, the connection broke, the server ended.
    NoAnswer,
    /// Nothing was sent: no address, no connection.
    NotSent,
}

/// Begins and lengths are kept in whole milliseconds, rounded down: an end that is computed of the two is too early by less than this.
const ROUNDING_MS: i64 = 2;

/// The first of many, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// How many.
    pub total: u64,
    /// The first of them.
    pub first: Vec<T>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { total: 0, first: Vec::new() }
    }
}

impl<T> Listing<T> {
    fn push(&mut self, limit: usize, make: impl FnOnce() -> T) {
        self.total += 1;
        if self.first.len() < limit {
            self.first.push(make());
        }
    }
}

/// A message that the receiver has, or may have, more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The delivery.
    pub story: Story,
    /// How often the receiver said that it has it.
    pub taken: u32,
    /// The numbers of the attempts that got no answer: why it was sent again.
    pub unanswered: Vec<u32>,
}

/// A message that the receiver got after a later one of the same calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The event's place in the outbox.
    pub event: u64,
    /// The webhook-id.
    pub webhook_id: String,
    /// The calendar.
    pub calendar: String,
    /// Its sequence.
    pub sequence: u64,
    /// The sequence that was there before it.
    pub after: u64,
    /// By how many milliseconds at least.
    pub behind_ms: i64,
}

/// A message that the receiver has not said that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The delivery.
    pub story: Story,
    /// Whether an attempt got no answer, so that the receiver may have it all the same.
    pub perhaps: bool,
}

/// What an endpoint was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Deliveries looked at.
    pub deliveries: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// The receiver has said that it has them.
    pub delivered: u64,
    /// Of those, the ones with one answer and no attempt without: the receiver got them once.
    pub once: u64,
    /// What the receiver has, or may have, more than once.
    pub more_than_once: Listing<Repeated>,
    /// What surely came after a later message of the same calendar.
    pub out_of_order: Listing<Late>,
    /// Messages that were under way at the same time as a later one of the same calendar: their order is not known.
    pub overlapping: u64,
    /// Still to be sent.
    pub waiting: u64,
    /// Given up.
    pub dead: u64,
    /// Left out, because a newer one of the same object followed.
    pub superseded: u64,
    /// What is waiting or given up.
    pub not_delivered: Listing<Missing>,
}

/// The computation: takes deliveries in any order, one at a time.
pub struct Audit {
    limit: usize,
    report: Report,
    /// For each calendar the sequence, begin and end of the attempt that brought each message.
    arrivals: HashMap<String, Vec<Arrival>>,
}

struct Arrival {
    sequence: u64,
    began_ms: i64,
    ended_ms: i64,
    event: u64,
}

impl Audit {
    /// An audit whose listings name at most `limit` messages each.
    pub fn new(limit: usize) -> Self {
        Self { limit, report: Report::default(), arrivals: HashMap::new() }
    }

    /// Takes one delivery.
    pub fn take(&mut self, story: &Story) {
        let report = &mut self.report;
        report.deliveries += 1;
        report.attempts += story.attempts.len() as u64;
        let taken: Vec<&Try> = story.attempts.iter().filter(|attempt| attempt.end == End::Taken).collect();
        let unanswered: Vec<u32> = story
            .attempts
            .iter()
            .filter(|attempt| attempt.end == End::NoAnswer)
            .map(|attempt| attempt.number)
            .collect();
        let times = taken.len() + unanswered.len();
        if times > 1 {
            let repeated =
                || Repeated { story: story.clone(), taken: taken.len() as u32, unanswered: unanswered.clone() };
            report.more_than_once.push(self.limit, repeated);
        }
        match story.fate {
            Fate::Delivered => {
                report.delivered += 1;
                report.once += u64::from(times == 1);
            }
            Fate::Waiting => report.waiting += 1,
            Fate::Dead => report.dead += 1,
            Fate::Superseded => report.superseded += 1,
        }
        // One that was delivered and is being sent again by hand is not missing.
        if matches!(story.fate, Fate::Waiting | Fate::Dead) && taken.is_empty() {
            let perhaps = !unanswered.is_empty();
            report.not_delivered.push(self.limit, || Missing { story: story.clone(), perhaps });
        }
        // What is about no calendar has no order in one.
        if let Some(first) = taken.first().filter(|_| !story.calendar.is_empty()) {
            // An attempt without an answer may have been the one that brought it.
            let before = story.attempts.iter().filter(|attempt| attempt.end == End::NoAnswer);
            // When one began that the server did not see the end of is not known either.
            let begins = before.map(|attempt| match attempt.class {
                Class::Lost => story.changed_ms,
                _ => attempt.began_ms,
            });
            let began_ms = begins.fold(first.began_ms, i64::min);
            let arrival = Arrival { sequence: story.sequence, began_ms, ended_ms: first.ended_ms, event: story.event };
            self.arrivals.entry(story.calendar.clone()).or_default().push(arrival);
        }
    }

    /// What came of all that was taken.
    pub fn end(mut self) -> Report {
        let mut calendars: Vec<_> = self.arrivals.drain().collect();
        calendars.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        for (calendar, arrivals) in calendars {
            self.order(&calendar, arrivals);
        }
        self.report
    }

    /// From the last sequence to the first: whether a later one had ended, or begun, before this one.
    fn order(&mut self, calendar: &str, mut arrivals: Vec<Arrival>) {
        arrivals.sort_unstable_by_key(|arrival| std::cmp::Reverse(arrival.sequence));
        // Of the later ones: the one that ended first (end, sequence), and the first begin of any.
        let (mut ended, mut began): (Option<(i64, u64)>, Option<i64>) = (None, None);
        let mut late = Vec::new();
        for arrival in &arrivals {
            match ended {
                Some((end, after)) if arrival.began_ms >= end + ROUNDING_MS => late.push(Late {
                    event: arrival.event,
                    // Whoever reads the report is told it; whoever makes it need not keep it.
                    webhook_id: String::new(),
                    calendar: calendar.to_owned(),
                    sequence: arrival.sequence,
                    after,
                    behind_ms: arrival.began_ms - end,
                }),
                _ if began.is_some_and(|began| arrival.ended_ms + ROUNDING_MS > began) => self.report.overlapping += 1,
                _ => {}
            }
            if ended.is_none_or(|(end, _)| arrival.ended_ms < end) {
                ended = Some((arrival.ended_ms, arrival.sequence));
            }
            began = Some(began.map_or(arrival.began_ms, |first| first.min(arrival.began_ms)));
        }
        for late in late.into_iter().rev() {
            self.report.out_of_order.push(self.limit, || late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(sequence: u64, fate: Fate, attempts: &[(i64, i64, End)]) -> Story {
        let attempts = (1..).zip(attempts).map(|(number, (began_ms, ended_ms, end))| Try {
            number,
            began_ms: *began_ms,
            ended_ms: *ended_ms,
            end: *end,
            class: Class::Delivered,
            status: None,
            detail: String::new(),
        });
        Story {
            event: sequence,
            webhook_id: format!("msg_{sequence}"),
            calendar: "anna/default".to_owned(),
            sequence,
            changed_ms: 0,
            fate,
            reason: None,
            attempts: attempts.collect(),
        }
    }

    fn report(stories: &[Story]) -> Report {
        let mut audit = Audit::new(10);
        stories.iter().for_each(|story| audit.take(story));
        audit.end()
    }

    #[test]
    fn once_is_one_answer_and_no_attempt_without() {
        use End::{NoAnswer, NotSent, Refused, Taken};
        let found = report(&[
            story(1, Fate::Delivered, &[(0, 5, Taken)]),
            story(2, Fate::Delivered, &[(10, 15, Refused), (20, 25, NotSent), (30, 35, Taken)]),
            story(3, Fate::Delivered, &[(40, 55, NoAnswer), (60, 65, Taken)]),
            story(4, Fate::Delivered, &[(70, 75, Taken), (80, 85, Taken)]),
        ]);
        assert_eq!((found.delivered, found.once, found.attempts), (4, 2, 8));
        let repeated: Vec<_> =
            found.more_than_once.first.iter().map(|r| (r.story.sequence, r.taken, r.unanswered.clone())).collect();
        assert_eq!(repeated, [(3, 1, vec![1]), (4, 2, vec![])]);
        assert_eq!(found.not_delivered.total, 0);
    }

    #[test]
    fn what_was_not_acknowledged_is_missing_and_may_be_there_all_the_same() {
        let found = report(&[
            story(1, Fate::Waiting, &[]),
            story(2, Fate::Dead, &[(0, 5, End::Refused), (10, 15, End::Refused)]),
            story(3, Fate::Dead, &[(0, 5, End::NoAnswer), (10, 15, End::NoAnswer)]),
            // Delivered, and resent by hand: it waits, and is not missing.
            story(4, Fate::Waiting, &[(0, 5, End::Taken)]),
        ]);
        assert_eq!((found.waiting, found.dead, found.delivered), (2, 2, 0));
        let missing: Vec<_> = found.not_delivered.first.iter().map(|m| (m.story.sequence, m.perhaps)).collect();
        assert_eq!(missing, [(1, false), (2, false), (3, true)]);
        assert_eq!(found.more_than_once.total, 1, "the one that may have come twice");
    }

    #[test]
    fn order_is_told_where_it_is_certain() {
        let taken = |sequence, began, ended| story(sequence, Fate::Delivered, &[(began, ended, End::Taken)]);
        let in_order = report(&[taken(2, 10, 20), taken(1, 0, 5), taken(3, 30, 31)]);
        assert_eq!((in_order.out_of_order.total, in_order.overlapping), (0, 0));
        let rounded = report(&[taken(1, 21, 30), taken(2, 10, 20)]);
        assert_eq!((rounded.out_of_order.total, rounded.overlapping), (0, 1), "a millisecond is too little to be sure");
        let late = report(&[taken(1, 100, 120), taken(2, 10, 20), taken(3, 15, 40)]);
        assert_eq!(
            late.out_of_order.first,
            [Late {
                event: 1,
                webhook_id: String::new(),
                calendar: "anna/default".to_owned(),
                sequence: 1,
                after: 2,
                behind_ms: 80,
            }]
        );
        assert_eq!(late.overlapping, 1, "2 and 3 were under way at the same time");
    }

    #[test]
    fn listings_are_bounded_and_counts_are_not() {
        let mut audit = Audit::new(3);
        for sequence in 0..50 {
            audit.take(&story(sequence, Fate::Dead, &[]));
        }
        let report = audit.end();
        assert_eq!((report.not_delivered.total, report.not_delivered.first.len()), (50, 3));
    }
}
