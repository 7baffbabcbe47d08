//! What is sent now, and what follows from what became of it: fair over owners and over the endpoints of each, within each one's rate, breaker and schedule. Without store
//! and without a clock: the dispatcher loads it, asks it, and writes down what it says in one batch, before anything is sent.
//!
//! Two times go in: `now`, milliseconds of a clock that never goes back, which decides; and the wall clock, which is written
//! down. So a wall clock that jumps makes nothing due and holds nothing up.

use std::collections::{BTreeMap, VecDeque};

use super::breaker::Change;
use super::ledger::{self, Frontier, Health, Held, Lease, WaitingRow};
use super::post::{Entry, Flight, Post};
use super::{
    Attempt, Claim, Class, DETAIL_BYTES_MAX, DeadLetter, Endpoint, EndpointId, Millis, Outcome, Owner, SigningSecrets,
    Standing, Verdict, WebhookSettings,
};
use crate::base::CollectionId;
use crate::store::Write;

/// The worker inside the server.
pub const SERVER: &str = "server";
/// A request that is older than this no longer counts against [`WebhookSettings::in_flight_max`]: whoever is slow keeps nobody waiting.
const YOUNG_MS: u64 = 100;
/// Claimed deliveries at once, all together.
const FLIGHTS_MAX: usize = 2_048;
/// Claimed for one owner, of one endpoint, before the next one's turn.
const TURN: usize = 4;
/// Attempts after which the owner of a failing endpoint is told.
const TOLD_AFTER: u32 = 4;
/// The owner is told again after this time.
const TOLD_AGAIN_MS: i64 = 24 * 60 * 60 * 1_000;

/// Both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Milliseconds of a clock that never goes back.
    pub now: u64,
    /// The wall clock.
    pub wall: Millis,
}

/// What its owner is to be told of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It fails, as the delivery of that event showed.
    Failing(EndpointId, Class, u64),
    /// It works again.
    Recovered(EndpointId, u64),
    /// It is to be disabled, for this reason.
    Disable(EndpointId, String, u64),
    /// The delivery of that event was given up: the first since it worked.
    Exhausted(EndpointId, Class, u64),
}

/// The places for requests that are under way.
struct Places {
    /// How many young requests may be added.
    young: usize,
    /// How many are not taken.
    free: usize,
    held: BTreeMap<Owner, usize>,
}

impl Places {
    /// How many more an owner may take: as long as it holds fewer than are free. So an owner alone holds half of all at most, two that
    /// have much to send a third each, and there is always room for one who comes with nothing under way, however slow the endpoints
    /// of the others are.
    fn room_of(&self, owner: Owner) -> usize {
        let held = self.held.get(&owner).copied().unwrap_or_default();
        self.free.saturating_sub(held).div_ceil(2).min(self.young)
    }

    fn take(&mut self, owner: Owner, count: usize) {
        *self.held.entry(owner).or_default() += count;
        self.free = self.free.saturating_sub(count);
        self.young = self.young.saturating_sub(count);
    }
}

struct Worker {
    /// When the last of its leases ends, by the wall clock; `None` for the one in the server.
    until: Option<Millis>,
    /// What it holds, and when the lease of each ends by the clock that never goes back. Each has its own: a worker that never heard that
    /// it was given something goes on claiming, and must not hold that for as long as it does.
    held: BTreeMap<(EndpointId, u64), Option<u64>>,
    changed: bool,
}

/// The plan.
pub struct Plan {
    settings: WebhookSettings,
    posts: BTreeMap<EndpointId, Post>,
    workers: BTreeMap<String, Worker>,
    /// Whose turn it was last, and for each owner which endpoint's.
    turn: Option<Owner>,
    turns: BTreeMap<Owner, EndpointId>,
    writes: Vec<Write>,
    log: BTreeMap<EndpointId, Vec<Attempt>>,
    log_number: u32,
    notices: Vec<Notice>,
}

impl Plan {
    /// An empty one.
    pub fn new(settings: WebhookSettings) -> Self {
        Self {
            settings,
            posts: BTreeMap::new(),
            workers: BTreeMap::new(),
            turn: None,
            turns: BTreeMap::new(),
            writes: Vec::new(),
            log: BTreeMap::new(),
            log_number: 0,
            notices: Vec::new(),
        }
    }

    /// Takes in an endpoint; what it is owed and what waits follow. Without secrets nothing is sent to it.
    pub fn add(
        &mut self,
        endpoint: Endpoint,
        secrets: Option<SigningSecrets>,
        health: Health,
        frontier: Frontier,
        times: Times,
    ) {
        let breaker_ms = self.settings.breaker_seconds.saturating_mul(1_000);
        self.posts.insert(endpoint.id, Post::new(endpoint, secrets, health, frontier, breaker_ms, times.now));
    }

    /// The endpoint's row or secrets changed. `false` if it is not known.
    pub fn update(&mut self, endpoint: Endpoint, secrets: Option<SigningSecrets>, health: Health) -> bool {
        let post = self.posts.get_mut(&endpoint.id);
        post.map(|post| post.update(endpoint, secrets, health)).is_some()
    }

    /// The endpoint is gone.
    pub fn remove(&mut self, id: EndpointId) {
        self.posts.remove(&id);
        self.turns.retain(|_, last| *last != id);
        for worker in self.workers.values_mut() {
            let before = worker.held.len();
            worker.held.retain(|(endpoint, _), _| *endpoint != id);
            worker.changed |= worker.held.len() != before;
        }
    }

    /// The endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &std::sync::Arc<Endpoint>> {
        self.posts.values().map(|post| &post.endpoint)
    }

    /// A lot from the store.
    pub fn known_lot(&mut self, id: EndpointId, entries: Vec<Entry>) {
        if let Some(post) = self.posts.get_mut(&id) {
            post.owe(entries);
        }
    }

    /// The endpoint hears of these events, in the order of the outbox: lots are written.
    pub fn owe(&mut self, id: EndpointId, entries: &[Entry]) {
        let Some(post) = self.posts.get_mut(&id) else { return };
        for lot in entries.chunks(ledger::LOT_EVENTS_MAX) {
            let events: Vec<u64> = lot.iter().map(|entry| entry.0).collect();
            self.writes.extend(ledger::put_lot(id, &events));
            post.owe(lot.to_vec());
        }
    }

    /// A waiting delivery from the store. What is claimed already is not put into the queue again.
    pub fn known_waiting(&mut self, id: EndpointId, event: u64, row: WaitingRow, calendar: CollectionId, times: Times) {
        let longest = self.settings.schedule.longest_ms();
        let Some(post) = self.posts.get_mut(&id) else { return };
        if let Some(flight) = post.flights.get_mut(&event) {
            // The row came while it was under way: it goes with it.
            flight.stored = true;
            return;
        }
        if post.waits(event).is_some_and(|known| known == row) {
            return;
        }
        // A wall clock that was set back does not hold it up for longer than the schedule would.
        let ahead = u64::try_from(row.next.0.saturating_sub(times.wall.0)).unwrap_or(0).min(longest);
        post.wait(event, row, times.now + ahead, calendar);
    }

    /// A lease from the store. What a sender of an earlier life of the server held may have been sent: it is sent again.
    pub fn known_lease(&mut self, worker: &str, lease: &Lease, calendar: impl Fn(&Held) -> CollectionId, times: Times) {
        let longest = self.settings.lease_seconds.saturating_mul(1_000);
        let left =
            lease.until.map(|until| u64::try_from(until.0.saturating_sub(times.wall.0)).unwrap_or(0).min(longest));
        let left = left.unwrap_or(0);
        let mut held = BTreeMap::new();
        for one in &lease.held {
            if let Some(post) = self.posts.get_mut(&one.endpoint) {
                let stored = post.waits(one.event).is_some();
                let calendar = calendar(one);
                post.forget(one.event);
                post.flights.insert(one.event, Flight { held: *one, since: times.now, calendar, stored });
                held.insert((one.endpoint, one.event), Some(times.now + left));
            }
        }
        let until = Some(times.wall.plus(left));
        self.workers.insert(worker.to_owned(), Worker { until, held, changed: true });
    }

    /// Lots that must be read before more can be claimed.
    pub fn unread(&mut self, now: u64) -> Vec<(EndpointId, u64)> {
        let unread = |(id, post): (&EndpointId, &mut Post)| {
            let first = post.unread()?;
            (post.room(now) > 0).then_some((*id, first))
        };
        self.posts.iter_mut().filter_map(unread).collect()
    }

    /// Whether the endpoint wants to be told in order: entries of its lots need their calendars.
    pub fn is_in_order(&self, id: EndpointId) -> bool {
        self.posts.get(&id).is_some_and(|post| post.endpoint.order == super::Order::InOrder)
    }

    /// Gives a lot that was [`Plan::unread`], or one behind it; `None` if it is gone.
    pub fn read(&mut self, id: EndpointId, first: u64, entries: Option<Vec<Entry>>) {
        if let Some(post) = self.posts.get_mut(&id) {
            post.read(first, entries);
        }
    }

    /// Claims up to `max` deliveries for `worker`: round robin over the owners, and over the endpoints of each, a few at a time. They may
    /// be sent when what [`Plan::writes`] says is durable.
    pub fn claim(&mut self, worker: &str, max: usize, times: Times) -> Vec<Claim> {
        let (mut claimed, mut left) = (Vec::new(), max);
        let mut places = self.places(times.now);
        let mut line = self.line();
        while let Some((owner, mut endpoints)) = line.pop_front() {
            let room = left.min(places.room_of(owner));
            let Some(id) = endpoints.pop_front().filter(|_| room > 0) else { continue };
            let taken = self.claim_of(id, room.min(TURN), times, &mut claimed);
            if taken == 0 {
                // Nothing of it can go now: it is still its owner's turn.
                line.push_front((owner, endpoints));
                continue;
            }
            places.take(owner, taken);
            left -= taken;
            self.turn = Some(owner);
            self.turns.insert(owner, id);
            endpoints.push_back(id);
            line.push_back((owner, endpoints));
        }
        self.lease(worker, &claimed, times);
        claimed
    }

    /// The owners with their endpoints, beginning behind those whose turn it was last.
    fn line(&self) -> VecDeque<(Owner, VecDeque<EndpointId>)> {
        let mut owners: BTreeMap<Owner, VecDeque<EndpointId>> = BTreeMap::new();
        for (id, post) in &self.posts {
            owners.entry(post.endpoint.owner).or_default().push_back(*id);
        }
        for (owner, endpoints) in &mut owners {
            let last = self.turns.get(owner).copied().unwrap_or(EndpointId(0));
            let behind = endpoints.partition_point(|id| *id <= last) % endpoints.len().max(1);
            endpoints.rotate_left(behind);
        }
        let behind = self.turn.map_or(0, |last| owners.range(..=last).count()) % owners.len().max(1);
        let mut line: VecDeque<_> = owners.into_iter().collect();
        line.rotate_left(behind);
        line
    }

    fn claim_of(&mut self, id: EndpointId, max: usize, times: Times, claimed: &mut Vec<Claim>) -> usize {
        let Some(post) = self.posts.get_mut(&id) else { return 0 };
        let Some(secrets) = post.secrets.clone() else { return 0 };
        let (mut taken, mut held_back) = (0, Vec::new());
        while taken < max && post.room(times.now) > 0 {
            let Some(flight) = post.claim(times.now, times.wall, &mut held_back) else { break };
            let (endpoint, secrets) = (post.endpoint.clone(), secrets.clone());
            claimed.push(Claim { held: flight.held, endpoint, secrets, event: None });
            taken += 1;
        }
        self.writes.extend(held_back.into_iter().map(|(event, row)| ledger::put_waiting(id, event, &row)));
        taken
    }

    fn places(&self, now: u64) -> Places {
        let (mut all, mut young, mut held) = (0, 0, BTreeMap::new());
        for post in self.posts.values().filter(|post| !post.flights.is_empty()) {
            *held.entry(post.endpoint.owner).or_default() += post.flights.len();
            all += post.flights.len();
            young += post.flights.values().filter(|flight| flight.since + YOUNG_MS > now).count();
        }
        let young = self.settings.in_flight_max.saturating_sub(young);
        Places { young, free: FLIGHTS_MAX.saturating_sub(all), held }
    }

    fn lease(&mut self, name: &str, claimed: &[Claim], times: Times) {
        if claimed.is_empty() {
            return;
        }
        let lease_ms = self.settings.lease_seconds.saturating_mul(1_000);
        let outside = name != SERVER;
        let until = outside.then(|| times.wall.plus(lease_ms));
        let worker = self.workers.entry(name.to_owned()).or_insert_with(|| Worker {
            until,
            held: BTreeMap::new(),
            changed: true,
        });
        (worker.until, worker.changed) = (until, true);
        let end = outside.then(|| times.now + lease_ms);
        worker.held.extend(claimed.iter().map(|claim| ((claim.held.endpoint, claim.held.event), end)));
    }

    /// Takes down what became of claimed deliveries.
    pub fn report(&mut self, worker: &str, outcomes: Vec<Outcome>, times: Times) {
        for outcome in outcomes {
            let key = (outcome.endpoint, outcome.event);
            let was_held = self.workers.get_mut(worker).is_some_and(|worker| {
                worker.changed = true;
                worker.held.remove(&key).is_some()
            });
            let elsewhere = self.workers.values().any(|worker| worker.held.contains_key(&key));
            if was_held || !elsewhere && outcome.class == Class::Delivered {
                self.take_down(outcome, times);
            }
        }
    }

    /// What senders hold whose lease has ended goes back into the queue.
    pub fn end_leases(&mut self, times: Times) {
        let mut lost = Vec::new();
        for worker in self.workers.values_mut() {
            let before = lost.len();
            let is_over = |end: &Option<u64>| end.is_some_and(|end| end <= times.now);
            lost.extend(worker.held.iter().filter(|(_, end)| is_over(end)).map(|(key, _)| *key));
            if lost.len() > before {
                worker.held.retain(|_, end| !is_over(end));
                worker.changed = true;
            }
        }
        for (id, event) in lost {
            let Some(flight) = self.posts.get(&id).and_then(|post| post.flights.get(&event)).copied() else { continue };
            let outcome = Outcome {
                endpoint: id,
                event,
                attempt: flight.held.attempt,
                started: times.wall,
                elapsed_ms: 0,
                class: Class::Lost,
                status: None,
                retry_after_ms: None,
                detail: "whoever sent it ended before it said what became of it; it may have arrived".to_owned(),
            };
            self.take_down(outcome, times);
        }
    }

    fn take_down(&mut self, outcome: Outcome, times: Times) {
        let Some(post) = self.posts.get_mut(&outcome.endpoint) else { return };
        let flight = post.flights.remove(&outcome.event).or_else(|| {
            // Its lease had ended and it waits to be sent again: not any more.
            let row = post.waits(outcome.event)?;
            let held = Held {
                endpoint: outcome.endpoint,
                event: outcome.event,
                attempt: outcome.attempt,
                before: row.before,
                manual: row.manual,
            };
            Some(Flight { held, since: times.now, calendar: CollectionId(0), stored: true })
        });
        let Some(flight) = flight else { return };
        let next = match outcome.class {
            Class::Delivered | Class::Superseded => self.finished(&outcome, flight, times),
            _ => self.failed(&outcome, flight, times),
        };
        let mut detail = outcome.detail;
        let mut end = detail.len().min(DETAIL_BYTES_MAX);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
        self.log.entry(outcome.endpoint).or_default().push(Attempt {
            event: outcome.event,
            attempt: outcome.attempt,
            started: outcome.started,
            elapsed_ms: outcome.elapsed_ms,
            class: outcome.class,
            status: outcome.status,
            next,
            manual: flight.held.manual,
            detail,
        });
    }

    /// Nothing more is to be done for it.
    fn finished(&mut self, outcome: &Outcome, flight: Flight, times: Times) -> Option<Millis> {
        let (id, event) = (outcome.endpoint, outcome.event);
        let post = self.posts.get_mut(&id)?;
        post.forget(event);
        post.leave_line(event, flight.calendar);
        if flight.stored {
            self.writes.push(ledger::delete_waiting(id, event));
        }
        if outcome.class == Class::Superseded {
            post.breaker.forget_probe();
            return None;
        }
        let change = post.breaker.succeeded(times.now);
        if change == Change::Closed {
            metrics::counter!("kalends_webhook_breaker_transitions_total", "to" => "closed").increment(1);
        }
        let was_told = post.health.told.is_some();
        let was_bad = post.health.failing_since.is_some() || change == Change::Closed;
        post.health.delivered = Some(times.wall);
        post.exhausted_told = false;
        if was_bad {
            post.health = Health { delivered: Some(times.wall), ..Health::default() };
            self.writes.push(ledger::put_health(id, &post.health));
        }
        if was_told {
            self.notices.push(Notice::Recovered(id, event));
        }
        None
    }

    /// It failed: it is tried again, or given up.
    fn failed(&mut self, outcome: &Outcome, flight: Flight, times: Times) -> Option<Millis> {
        let (id, event, held) = (outcome.endpoint, outcome.event, flight.held);
        let lost = outcome.class == Class::Lost;
        // An attempt that our own end cut off does not count against the schedule.
        let before = held.before + u32::from(lost);
        let attempt = outcome.attempt.saturating_sub(held.before).max(1);
        let verdict = if lost {
            Verdict::Retry(0)
        } else {
            self.settings.schedule.after(id, event, attempt, outcome.class, outcome.retry_after_ms)
        };
        let post = self.posts.get_mut(&id)?;
        let wait = match verdict {
            Verdict::Dead => None,
            Verdict::Retry(wait) => Some(wait),
            Verdict::Disable => Some(0),
        };
        let next = wait.map(|wait| times.wall.plus(wait));
        match wait {
            Some(wait) => {
                let row = WaitingRow {
                    attempts: outcome.attempt,
                    before,
                    next: times.wall.plus(wait),
                    class: Some(outcome.class),
                    status: outcome.status,
                    manual: held.manual,
                };
                post.wait(event, row, times.now + wait, flight.calendar);
                self.writes.push(ledger::put_waiting(id, event, &row));
            }
            None => {
                post.forget(event);
                post.leave_line(event, flight.calendar);
                post.dead += 1;
                if !std::mem::replace(&mut post.exhausted_told, true) {
                    self.notices.push(Notice::Exhausted(id, outcome.class, event));
                }
                metrics::counter!("kalends_webhook_dead_total", "class" => outcome.class.name()).increment(1);
                let letter = DeadLetter {
                    at: times.wall,
                    attempts: outcome.attempt,
                    class: outcome.class,
                    status: outcome.status,
                    reason: outcome.detail.chars().take(300).collect(),
                };
                self.writes.push(ledger::put_dead(id, event, &letter));
                if flight.stored {
                    self.writes.push(ledger::delete_waiting(id, event));
                }
            }
        }
        if outcome.class == Class::Throttled && outcome.retry_after_ms.is_some() {
            post.hold_until = post.hold_until.max(times.now + wait.unwrap_or(0));
        }
        if matches!(outcome.class, Class::Lost | Class::Expired) {
            post.breaker.forget_probe();
        } else {
            self.suffered(outcome, attempt, verdict, times);
        }
        next
    }

    /// The endpoint itself fared badly.
    fn suffered(&mut self, outcome: &Outcome, attempt: u32, verdict: Verdict, times: Times) {
        let Some(post) = self.posts.get_mut(&outcome.endpoint) else { return };
        let change = post.breaker.failed(times.now);
        if change == Change::Opened {
            metrics::counter!("kalends_webhook_breaker_transitions_total", "to" => "open").increment(1);
        }
        let health = &mut post.health;
        let new = health.failing_since.is_none();
        let since = *health.failing_since.get_or_insert(times.wall);
        (health.class, health.status) = (Some(outcome.class), outcome.status);
        health.opened = post.breaker.opened();
        let told_lately = health.told.is_some_and(|told| times.wall.0 - told.0 < TOLD_AGAIN_MS);
        let tell = !told_lately && (attempt >= TOLD_AFTER || change == Change::Opened);
        if tell {
            health.told = Some(times.wall);
            self.notices.push(Notice::Failing(outcome.endpoint, outcome.class, outcome.event));
        }
        if new || tell || change == Change::Opened {
            self.writes.push(ledger::put_health(outcome.endpoint, health));
        }
        if post.hold_until == u64::MAX {
            // It is being disabled already; this was under way then.
            return;
        }
        let patience = i64::try_from(self.settings.disable_days.saturating_mul(86_400_000)).unwrap_or(i64::MAX);
        let reason = if verdict == Verdict::Disable {
            "it answered 410 Gone: it wants no more".to_owned()
        } else if times.wall.0.saturating_sub(since.0) >= patience {
            format!(
                "nothing could be delivered for {} days; the last failure was: {}",
                self.settings.disable_days,
                outcome.class.name()
            )
        } else {
            return;
        };
        // Nothing more goes, until its row says so and somebody has resumed it.
        post.hold_until = u64::MAX;
        self.notices.push(Notice::Disable(outcome.endpoint, reason, outcome.event));
    }

    /// What is to be written down, in one batch, before anything claimed is sent.
    pub fn writes(&mut self, wall: Millis) -> Vec<Write> {
        let mut writes = std::mem::take(&mut self.writes);
        for (id, attempts) in std::mem::take(&mut self.log) {
            self.log_number = self.log_number.wrapping_add(1);
            if self.posts.contains_key(&id) {
                writes.push(ledger::put_attempts(id, wall, self.log_number, &attempts));
            }
        }
        for post in self.posts.values_mut().filter(|post| post.frontier_moved) {
            post.frontier_moved = false;
            writes.push(ledger::put_frontier(post.id(), post.frontier));
        }
        let posts = &self.posts;
        for (name, worker) in self.workers.iter_mut().filter(|(_, worker)| worker.changed) {
            worker.changed = false;
            let flight = |(id, event): &(EndpointId, u64)| posts.get(id)?.flights.get(event);
            let held = worker.held.keys().filter_map(flight).map(|flight| flight.held).collect();
            writes.push(ledger::put_lease(name, &Lease { until: worker.until, held }));
        }
        self.workers.retain(|_, worker| !worker.held.is_empty());
        writes
    }

    /// What was taken down and is not yet in [`Plan::writes`].
    pub fn taken_down(&self) -> impl Iterator<Item = (EndpointId, &Attempt)> {
        self.log.iter().flat_map(|(id, attempts)| attempts.iter().map(|attempt| (*id, attempt)))
    }

    /// What owners are to be told.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// When something can be done that cannot be done now, by the clock that never goes back.
    pub fn wakes_at(&mut self, now: u64) -> Option<u64> {
        let places = self.places(now);
        let leases = self.workers.values().flat_map(|worker| worker.held.values().copied().flatten()).min();
        let posts = self.posts.values_mut().filter_map(|post| {
            let at = post.wakes_at(now)?;
            // With no room left, the youngest have to grow older.
            Some(if places.room_of(post.endpoint.owner) == 0 { at.max(now + YOUNG_MS / 4) } else { at })
        });
        let posts = posts.min();
        leases.into_iter().chain(posts).min()
    }

    /// How many deliveries are claimed.
    pub fn in_flight(&self) -> usize {
        self.posts.values().map(|post| post.flights.len()).sum()
    }

    /// How all endpoints stand.
    pub fn standings(&self, times: Times) -> BTreeMap<EndpointId, Standing> {
        self.posts.iter().map(|(id, post)| (*id, post.standing(times.now, times.wall))).collect()
    }
}

#[cfg(test)]
mod tests;
