//! One endpoint as the plan has it in memory: what it is owed, what waits, what is under way.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::breaker::{Breaker, BreakerState};
use super::bucket::Bucket;
use super::ledger::{Frontier, Health, Held, WaitingRow};
use super::{Endpoint, EndpointId, Millis, Order, SigningSecrets, Standing};
use crate::base::CollectionId;

/// Entries of lots that are kept in memory; those behind are read when their turn comes.
const ENTRIES_MAX: usize = 4_096;
/// Waiting deliveries of an endpoint above which nothing more is taken from its lots.
const WAITING_MAX: usize = 10_000;
/// Waiting deliveries that are looked at for one that may go.
const LOOK_MAX: usize = 256;

/// A delivery's event and its calendar; the latter matters for endpoints in order alone.
pub type Entry = (u64, CollectionId);

/// A lot that is not yet claimed to its end.
struct Lot {
    first: u64,
    count: u32,
    /// Its entries; `None` if they have not been read.
    entries: Option<Vec<Entry>>,
}

/// A delivery that waits.
#[derive(Debug, Clone, Copy)]
struct Wait {
    row: WaitingRow,
    /// When it may go, by the clock that never goes back.
    due: u64,
    calendar: CollectionId,
}

/// A delivery that is claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub held: Held,
    pub since: u64,
    pub calendar: CollectionId,
    /// Whether there is a waiting row of it in the store.
    pub stored: bool,
}

/// An endpoint in memory.
pub(super) struct Post {
    pub endpoint: Arc<Endpoint>,
    /// `None`: they cannot be opened, and nothing can be sent.
    pub secrets: Option<Arc<SigningSecrets>>,
    pub breaker: Breaker,
    pub health: Health,
    /// Until when the endpoint asked to be left alone.
    pub hold_until: u64,
    pub dead: u64,
    /// Whether its owner was told that a delivery was given up, since it worked last.
    pub exhausted_told: bool,
    pub flights: BTreeMap<u64, Flight>,
    pub frontier: Frontier,
    /// Whether the stored frontier is older.
    pub frontier_moved: bool,
    bucket: Bucket,
    lots: VecDeque<Lot>,
    /// Entries of lots that are in memory.
    known: usize,
    pending: u64,
    waiting: BTreeMap<u64, Wait>,
    queue: BTreeSet<(u64, u64)>,
    /// For endpoints in order: what is under way or waits, by calendar.
    outstanding: HashMap<CollectionId, BTreeSet<u64>>,
}

impl Post {
    pub fn new(
        endpoint: Endpoint,
        secrets: Option<SigningSecrets>,
        health: Health,
        frontier: Frontier,
        breaker_ms: u64,
        now: u64,
    ) -> Self {
        Self {
            bucket: Bucket::full(endpoint.rate, now),
            breaker: Breaker::restored(health.opened, breaker_ms),
            endpoint: Arc::new(endpoint),
            secrets: secrets.map(Arc::new),
            health,
            hold_until: 0,
            dead: 0,
            exhausted_told: false,
            flights: BTreeMap::new(),
            frontier,
            frontier_moved: false,
            lots: VecDeque::new(),
            known: 0,
            pending: 0,
            waiting: BTreeMap::new(),
            queue: BTreeSet::new(),
            outstanding: HashMap::new(),
        }
    }

    /// The endpoint is owed these as well: a lot of its own behind all others.
    pub fn owe(&mut self, entries: Vec<Entry>) {
        let Some((first, _)) = entries.first().copied() else { return };
        let skip = if first == self.frontier.lot { self.frontier.index } else { 0 };
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        if first < self.frontier.lot || skip >= count {
            return;
        }
        self.pending += u64::from(count - skip);
        let last_is_known = self.lots.back().is_none_or(|lot| lot.entries.is_some());
        let entries = (last_is_known && self.known < ENTRIES_MAX).then_some(entries);
        self.known += entries.as_ref().map_or(0, Vec::len);
        self.lots.push_back(Lot { first, count, entries });
    }

    /// The lot that must be read before anything can be claimed from it.
    pub fn unread(&self) -> Option<u64> {
        self.lots.front().filter(|lot| lot.entries.is_none()).map(|lot| lot.first)
    }

    /// Gives the lot that was [`Post::unread`], or one behind it; `None` if it is gone.
    pub fn read(&mut self, first: u64, entries: Option<Vec<Entry>>) {
        let Ok(at) = self.lots.binary_search_by_key(&first, |lot| lot.first) else { return };
        match (entries, self.lots.get_mut(at)) {
            (Some(entries), Some(lot)) if lot.entries.is_none() => {
                self.known += entries.len();
                lot.entries = Some(entries);
            }
            (None, Some(lot)) => {
                self.pending = self.pending.saturating_sub(u64::from(lot.count));
                self.lots.remove(at);
            }
            _ => {}
        }
    }

    fn end_first_lot(&mut self) {
        let entries = self.lots.pop_front().and_then(|lot| lot.entries);
        self.known = self.known.saturating_sub(entries.map_or(0, |entries| entries.len()));
    }

    /// Puts a delivery into the queue. The later of two rows of the same delivery holds.
    pub fn wait(&mut self, event: u64, row: WaitingRow, due: u64, calendar: CollectionId) {
        if let Some(before) = self.waiting.insert(event, Wait { row, due, calendar }) {
            self.queue.remove(&(before.due, event));
        }
        self.queue.insert((due, event));
        self.stand_in_line(event, calendar);
    }

    /// What waits, if it does.
    pub fn waits(&self, event: u64) -> Option<WaitingRow> {
        self.waiting.get(&event).map(|wait| wait.row)
    }

    /// Takes a delivery out of the queue.
    pub fn forget(&mut self, event: u64) {
        if let Some(wait) = self.waiting.remove(&event) {
            self.queue.remove(&(wait.due, event));
            self.leave_line(event, wait.calendar);
        }
    }

    fn stand_in_line(&mut self, event: u64, calendar: CollectionId) {
        if self.endpoint.order == Order::InOrder {
            self.outstanding.entry(calendar).or_default().insert(event);
        }
    }

    /// Nothing more is to be done for the delivery.
    pub fn leave_line(&mut self, event: u64, calendar: CollectionId) {
        if let Some(line) = self.outstanding.get_mut(&calendar) {
            line.remove(&event);
            if line.is_empty() {
                self.outstanding.remove(&calendar);
            }
        }
    }

    /// Whether nothing older of the calendar stands in its way.
    fn is_first(&self, event: u64, calendar: CollectionId) -> bool {
        self.endpoint.order == Order::Any
            || self.outstanding.get(&calendar).and_then(BTreeSet::first).is_none_or(|first| *first >= event)
    }

    /// Whether one of the calendar is under way.
    fn is_under_way(&self, calendar: CollectionId) -> bool {
        self.endpoint.order == Order::InOrder && self.flights.values().any(|flight| flight.calendar == calendar)
    }

    /// Whether anything can be sent to it.
    fn is_sent_to(&self) -> bool {
        self.endpoint.is_active() && self.secrets.is_some()
    }

    /// How many may be claimed now.
    pub fn room(&mut self, now: u64) -> usize {
        if !self.is_sent_to() || self.hold_until > now {
            return 0;
        }
        let free = usize::from(self.endpoint.rate.in_flight_max).saturating_sub(self.flights.len());
        free.min(self.breaker.room(now)).min(self.bucket.tokens(self.endpoint.rate, now))
    }

    /// Claims the next delivery: one that waits and is due, else the next of the lots. Rows that become
    /// necessary on the way are put into `held_back`.
    pub fn claim(&mut self, now: u64, wall: Millis, held_back: &mut Vec<(u64, WaitingRow)>) -> Option<Flight> {
        let flight = self.due(now).or_else(|| self.next_of_lots(now, wall, held_back))?;
        self.breaker.sending(now);
        self.bucket.take();
        self.stand_in_line(flight.held.event, flight.calendar);
        self.flights.insert(flight.held.event, flight);
        Some(flight)
    }

    /// The waiting delivery that may go next, and when. In order, only the first of each calendar can.
    fn next_waiting(&self) -> Option<(u64, u64)> {
        if self.endpoint.order == Order::Any {
            return self.queue.iter().take(LOOK_MAX).find(|(_, event)| !self.flights.contains_key(event)).copied();
        }
        let first = |(calendar, line): (&CollectionId, &BTreeSet<u64>)| {
            let event = line.first()?;
            let wait = self.waiting.get(event)?;
            (!self.is_under_way(*calendar)).then_some((wait.due, *event))
        };
        self.outstanding.iter().filter_map(first).min()
    }

    fn due(&mut self, now: u64) -> Option<Flight> {
        let (due, event) = self.next_waiting()?;
        if due > now {
            return None;
        }
        let wait = self.waiting.remove(&event)?;
        self.queue.remove(&(wait.due, event));
        let row = wait.row;
        let attempt = row.attempts.saturating_add(1);
        let held = Held { endpoint: self.endpoint.id, event, attempt, before: row.before, manual: row.manual };
        Some(Flight { held, since: now, calendar: wait.calendar, stored: true })
    }

    fn next_of_lots(&mut self, now: u64, wall: Millis, held_back: &mut Vec<(u64, WaitingRow)>) -> Option<Flight> {
        while self.waiting.len() < WAITING_MAX {
            let (event, calendar) = self.next_entry()?;
            if self.waiting.contains_key(&event) || self.flights.contains_key(&event) {
                // Somebody asked for it to be sent again before its turn: that one goes.
                continue;
            }
            if self.is_first(event, calendar) && !self.is_under_way(calendar) {
                let held = Held { endpoint: self.endpoint.id, event, attempt: 1, before: 0, manual: false };
                return Some(Flight { held, since: now, calendar, stored: false });
            }
            let row = WaitingRow { attempts: 0, before: 0, next: wall, class: None, status: None, manual: false };
            self.wait(event, row, now, calendar);
            held_back.push((event, row));
        }
        None
    }

    fn next_entry(&mut self) -> Option<Entry> {
        loop {
            let lot = self.lots.front()?;
            let entries = lot.entries.as_ref()?;
            if self.frontier.lot != lot.first {
                self.frontier = Frontier { lot: lot.first, index: 0 };
            }
            let index = usize::try_from(self.frontier.index).unwrap_or(usize::MAX);
            let Some(entry) = entries.get(index).copied() else {
                self.end_first_lot();
                continue;
            };
            let is_last = index + 1 == entries.len();
            self.frontier.index += 1;
            self.frontier_moved = true;
            self.pending = self.pending.saturating_sub(1);
            if is_last {
                self.end_first_lot();
            }
            return Some(entry);
        }
    }

    /// When something can be claimed that cannot be claimed now; `None`: when something else happens first.
    pub fn wakes_at(&mut self, now: u64) -> Option<u64> {
        let full = self.flights.len() >= usize::from(self.endpoint.rate.in_flight_max);
        if full || !self.is_sent_to() {
            return None;
        }
        let of_lots = (!self.lots.is_empty() && self.waiting.len() < WAITING_MAX).then_some(now);
        let next = [of_lots, self.next_waiting().map(|(due, _)| due)].into_iter().flatten().min()?;
        let breaker = match self.breaker.state(now) {
            BreakerState::Open { until } => until,
            BreakerState::HalfOpen { probing: true } => return None,
            _ => now,
        };
        let bucket = if self.bucket.tokens(self.endpoint.rate, now) > 0 {
            now
        } else {
            now + self.bucket.wait_ms(self.endpoint.rate).max(1)
        };
        Some(next.max(self.hold_until).max(breaker).max(bucket))
    }

    /// How it stands.
    pub fn standing(&self, now: u64, wall: Millis) -> Standing {
        let next = self.queue.first().map(|(due, _)| wall.plus(due.saturating_sub(now)));
        let lot = self.lots.front().map(|lot| match (&lot.entries, lot.first == self.frontier.lot) {
            (Some(entries), true) => entries
                .get(usize::try_from(self.frontier.index).unwrap_or(usize::MAX))
                .map_or(lot.first, |entry| entry.0),
            _ => lot.first,
        });
        let real = |event: &&u64| **event < super::TEST_EVENTS;
        let oldest = [lot, self.waiting.keys().find(real).copied(), self.flights.keys().find(real).copied()];
        Standing {
            pending: self.pending,
            waiting: self.waiting.len() as u64,
            in_flight: self.flights.len() as u64,
            dead: self.dead,
            oldest: oldest.into_iter().flatten().min(),
            next,
            breaker: self.breaker.state(now),
            health: self.health.clone(),
        }
    }

    /// Its row, or secrets, changed. What waits stays.
    pub fn update(&mut self, endpoint: Endpoint, secrets: Option<SigningSecrets>, health: Health) {
        // Whoever resumes one that is failing wants it to be tried now.
        let cleared = health == Health::default() && self.health.failing_since.is_some();
        let resumed = endpoint.is_active() && (cleared || !self.endpoint.is_active());
        self.endpoint = Arc::new(endpoint);
        self.secrets = secrets.map(Arc::new);
        if resumed {
            self.breaker.reset();
            self.hold_until = 0;
            self.health = health;
        }
    }

    pub fn id(&self) -> EndpointId {
        self.endpoint.id
    }
}
