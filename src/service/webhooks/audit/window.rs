//! A part of what the ledger knows of an endpoint's deliveries, of bounded size: which are owed, claimed, waiting, dead, and what became of
//! their attempts, without a text.
//!
//! What is owed, claimed, waiting and dead is to be read first and the log after it, so that what is delivered meanwhile shows up as
//! delivered, never as lost.
//!
//! Memory: at most `most` deliveries at a time, some 100 bytes each and 60 for each attempt that is kept, and one page of rows. Whoever wants more goes
//! on behind the window: time is paid instead, a walk of the log for each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::{Attempt, Class, EndpointId, Millis, ledger};
use super::{End, Fate, Try};
use crate::base::Utc;
use crate::service::{Context, StoreError};

/// Rows that are read at a time.
const PAGE: usize = 1_000;
/// Rows of the log that are read at a time: each may hold many answers' beginnings.
const LOG_PAGE: usize = 32;

/// What is known of one delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Mark {
    /// It is owed by itself, and nobody has claimed it.
    unclaimed: bool,
    held: bool,
    waiting: Option<Option<Class>>,
    dead: bool,
    /// The number of the last attempt, and what became of it.
    last: Option<(u32, Class)>,
    /// The attempts in order, without their texts, if they are kept.
    pub(in super::super) tries: Vec<Try>,
}

impl Mark {
    /// What became of it.
    pub fn fate(&self) -> Fate {
        if self.dead {
            return Fate::Dead;
        }
        if self.waiting.is_some() || self.held || self.unclaimed && self.last.is_none() {
            return Fate::Waiting;
        }
        match self.last {
            Some((_, Class::Superseded)) => Fate::Superseded,
            _ => Fate::Delivered,
        }
    }

    /// Why it failed last, of one that waits. Why one was given up stands in its dead letter.
    pub fn reason(&self) -> Option<String> {
        let class = self.waiting.filter(|_| !self.dead).flatten();
        class.map(|class| class.name().to_owned())
    }
}

/// Which end of the numbers a window begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Side {
    Lowest,
    Highest,
}

/// Which deliveries are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Sought {
    /// None but those that are in the window already.
    Known,
    /// All.
    All,
    /// Those that wait.
    Waiting,
    /// Those that were given up.
    Dead,
}

impl Sought {
    /// Those that can stand so.
    pub fn of(fate: Option<Fate>) -> Self {
        match fate {
            Some(Fate::Waiting) => Self::Waiting,
            Some(Fate::Dead) => Self::Dead,
            Some(Fate::Delivered | Fate::Superseded) | None => Self::All,
        }
    }
}

/// What is kept of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Keep {
    /// What became of the last attempt.
    Last,
    /// Every attempt, without its text.
    Tries,
}

/// The deliveries at one end of a range of numbers.
pub(in super::super) struct Window {
    /// The numbers that it covers: all that is known of them is in it.
    range: Range<u64>,
    side: Side,
    most: usize,
    found: BTreeMap<u64, Mark>,
    cut: bool,
}

impl Window {
    /// An empty one over `range`, for at most `most` deliveries.
    pub fn new(range: Range<u64>, side: Side, most: usize) -> Self {
        Self { range, side, most: most.max(1), found: BTreeMap::new(), cut: false }
    }

    /// What was found, by number; and the numbers that are left, if it was too much.
    pub fn end(mut self) -> (BTreeMap<u64, Mark>, Option<u64>) {
        self.found.values_mut().for_each(|mark| mark.tries.sort_by_key(|attempt| attempt.number));
        let place = match self.side {
            Side::Lowest => self.range.end,
            Side::Highest => self.range.start,
        };
        (self.found, self.cut.then_some(place))
    }

    /// The mark of a number, if the window covers it; one that is new only if `adds`.
    fn mark(&mut self, number: u64, adds: bool) -> Option<&mut Mark> {
        if !self.range.contains(&number) {
            return None;
        }
        if adds {
            self.found.entry(number).or_default();
            if self.found.len() > self.most {
                self.cut = true;
                match self.side {
                    Side::Lowest => self.range.end = self.found.pop_last()?.0,
                    Side::Highest => self.range.start = self.found.pop_first()?.0.saturating_add(1),
                }
            }
        }
        self.found.get_mut(&number)
    }

    /// What is owed, claimed, waiting and dead.
    pub async fn read_standing(&mut self, context: &Context, id: EndpointId, sought: Sought) -> Result<(), StoreError> {
        self.read_lots(context, id, sought).await?;
        let adds = matches!(sought, Sought::All | Sought::Waiting);
        for (_, lease) in ledger::leases(context).await? {
            for held in lease.held.iter().filter(|held| held.endpoint == id) {
                if let Some(mark) = self.mark(held.event, adds) {
                    mark.held = true;
                }
            }
        }
        self.read_waiting(context, id, adds).await?;
        self.read_dead(context, id, matches!(sought, Sought::All | Sought::Dead)).await
    }

    async fn read_lots(&mut self, context: &Context, id: EndpointId, sought: Sought) -> Result<(), StoreError> {
        let frontier = ledger::frontier(context, id).await?;
        let mut first = 0;
        loop {
            let (lots, more) = ledger::lots(context, id, first, PAGE).await?;
            for lot in lots {
                let Some(begin) = lot.first().copied() else { continue };
                first = begin.saturating_add(1);
                let claimed = match begin.cmp(&frontier.lot) {
                    std::cmp::Ordering::Less => lot.len(),
                    std::cmp::Ordering::Equal => usize::try_from(frontier.index).unwrap_or(usize::MAX),
                    std::cmp::Ordering::Greater => 0,
                };
                for (at, event) in lot.into_iter().enumerate() {
                    let unclaimed = at >= claimed;
                    let adds = sought == Sought::All || sought == Sought::Waiting && unclaimed;
                    if let Some(mark) = self.mark(event, adds) {
                        mark.unclaimed |= unclaimed;
                    }
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn read_waiting(&mut self, context: &Context, id: EndpointId, adds: bool) -> Result<(), StoreError> {
        let mut from = self.range.start;
        loop {
            let (rows, more) = ledger::waiting(context, id, from, PAGE).await?;
            from = rows.last().map_or(u64::MAX, |(event, _)| event.saturating_add(1));
            for (event, row) in rows {
                if let Some(mark) = self.mark(event, adds) {
                    mark.waiting = Some(row.class);
                }
            }
            if !more || from >= self.range.end {
                return Ok(());
            }
        }
    }

    async fn read_dead(&mut self, context: &Context, id: EndpointId, adds: bool) -> Result<(), StoreError> {
        let mut from = self.range.start;
        loop {
            let (rows, more) = ledger::dead_letters(context, id, from, PAGE).await?;
            from = rows.last().map_or(u64::MAX, |(event, _)| event.saturating_add(1));
            for (event, _) in rows {
                if let Some(mark) = self.mark(event, adds) {
                    mark.dead = true;
                }
            }
            if !more || from >= self.range.end {
                return Ok(());
            }
        }
    }

    /// The attempts that began in `span`.
    pub async fn read_log(
        &mut self,
        context: &Context,
        id: EndpointId,
        span: &Range<Utc>,
        sought: Sought,
        keep: Keep,
    ) -> Result<(), StoreError> {
        let mut log = Log::new(id, span);
        while let Some(attempts) = log.next(context).await? {
            for attempt in attempts {
                let Some(mark) = self.mark(attempt.event, sought == Sought::All) else { continue };
                if mark.last.is_none_or(|(number, _)| number <= attempt.attempt) {
                    mark.last = Some((attempt.attempt, attempt.class));
                }
                if keep == Keep::Tries {
                    mark.tries.push(Try { detail: String::new(), ..of_attempt(attempt) });
                }
            }
        }
        Ok(())
    }
}

/// A walk of an endpoint's attempt log, a few rows at a time.
pub(in super::super) struct Log {
    id: EndpointId,
    span: Range<Millis>,
    after: Option<Vec<u8>>,
    ended: bool,
}

impl Log {
    /// Over the attempts that began in `span`.
    pub fn new(id: EndpointId, span: &Range<Utc>) -> Self {
        let span = Millis::from(span.start)..Millis::from(span.end);
        Self { id, span, after: None, ended: false }
    }

    /// The next of them; `None` at the end.
    ///
    /// # Errors
    /// The store's.
    pub async fn next(&mut self, context: &Context) -> Result<Option<Vec<Attempt>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let after = self.after.take();
        let (mut found, next) = ledger::attempts_page(context, self.id, self.span.start, after, LOG_PAGE).await?;
        found.retain(|attempt| attempt.started < self.span.end);
        (self.ended, self.after) = (next.is_none(), next);
        Ok(Some(found))
    }
}

/// The attempts of these deliveries, with their texts.
///
/// # Errors
/// The store's.
pub(in super::super) async fn tries_of(
    context: &Context,
    id: EndpointId,
    span: &Range<Utc>,
    events: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, Vec<Try>>, StoreError> {
    let mut found: BTreeMap<u64, Vec<Try>> = BTreeMap::new();
    if events.is_empty() {
        return Ok(found);
    }
    let mut log = Log::new(id, span);
    while let Some(attempts) = log.next(context).await? {
        for attempt in attempts.into_iter().filter(|attempt| events.contains(&attempt.event)) {
            found.entry(attempt.event).or_default().push(of_attempt(attempt));
        }
    }
    found.values_mut().for_each(|attempts| attempts.sort_by_key(|attempt| attempt.number));
    Ok(found)
}

fn of_attempt(attempt: Attempt) -> Try {
    let end = match attempt.class {
        Class::Delivered => End::Taken,
        Class::Timeout | Class::Lost | Class::Network => End::NoAnswer,
        Class::Unreachable | Class::Tls | Class::Blocked | Class::Expired | Class::Superseded => End::NotSent,
        Class::Throttled | Class::ServerError | Class::Refused | Class::Moved | Class::Gone => End::Refused,
    };
    Try {
        number: attempt.attempt,
        began_ms: attempt.started.0,
        ended_ms: attempt.started.plus(u64::from(attempt.elapsed_ms)).0,
        end,
        class: attempt.class,
        status: attempt.status,
        detail: attempt.detail,
    }
}
