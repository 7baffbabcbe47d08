//! The embedded bus: the outbox is the queue (invariant D1), and no other process is needed.
//!
//! A group's position is a row in the store; everything up to it is done. The members of a group live in this process and
//! share its events by calendar: each calendar has a lane, each lane one member, so that a calendar's events stay in order. When a
//! member comes or goes the lanes are dealt out anew, and what the old owner had in hand comes again from the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{BusError, Consumer, Dead, Delivery, Lag, Position, record};
use crate::model::Event;
use crate::service::outbox::{self, Buried};
use crate::service::{Context, StoreError};

/// How many lanes the calendars of a group are dealt out in.
const LANES: u64 = 64;
/// How many events beyond the first open one a group looks at: what memory a stuck event can cost.
const WINDOW: usize = 8_192;
/// How often the outbox is looked at while nothing is in it.
const POLL: Duration = Duration::from_millis(20);

/// One group of the outbox's consumers. Members share it.
#[derive(Clone)]
pub struct Group {
    context: Arc<Context>,
    name: Arc<str>,
    state: Arc<Mutex<State>>,
    moved: Arc<Notify>,
    /// Held while the position is stored, so that it never goes back.
    storing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Up to here all are done and this is stored.
    position: u64,
    /// Up to here events were read from the outbox.
    read: u64,
    /// Read, and given to nobody yet.
    waiting: BTreeMap<u64, Event>,
    /// Given out, with the member.
    in_hand: BTreeMap<u64, (u64, Event)>,
    members: BTreeSet<u64>,
    next_member: u64,
}

impl State {
    /// Whose lane the event lies in.
    fn owner(&self, event: &Event) -> Option<u64> {
        let lane = event.collection.0 % LANES;
        let index = usize::try_from(lane % self.members.len().max(1) as u64).unwrap_or(0);
        self.members.iter().nth(index).copied()
    }

    /// Gives back what a member had in hand.
    fn give_back(&mut self, member: u64) {
        let seqs: Vec<u64> =
            self.in_hand.iter().filter(|(_, (owner, _))| *owner == member).map(|(seq, _)| *seq).collect();
        for seq in seqs {
            if let Some((_, event)) = self.in_hand.remove(&seq) {
                self.waiting.insert(seq, event);
            }
        }
    }

    /// After a member came or went: what lies in another's lane now is given back.
    fn deal_out(&mut self) {
        let moved: Vec<u64> = self
            .in_hand
            .iter()
            .filter(|(_, (owner, event))| self.owner(event) != Some(*owner))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in moved {
            if let Some((_, event)) = self.in_hand.remove(&seq) {
                self.waiting.insert(seq, event);
            }
        }
    }

    /// The next events for `member`. An event waits while an earlier one of its calendar is in other hands.
    fn take(&mut self, member: u64, max: usize) -> Vec<Event> {
        let mine: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, event)| self.owner(event) == Some(member))
            .map(|(seq, _)| *seq)
            .take(max)
            .collect();
        let mut taken = Vec::with_capacity(mine.len());
        for seq in mine {
            if let Some(event) = self.waiting.remove(&seq) {
                self.in_hand.insert(seq, (member, event.clone()));
                taken.push(event);
            }
        }
        taken
    }

    /// Up to where all are done.
    fn done_up_to(&self) -> u64 {
        let open = self.waiting.keys().next().into_iter().chain(self.in_hand.keys().next()).min();
        open.map_or(self.read, |seq| seq - 1)
    }

    fn open(&self) -> usize {
        self.waiting.len() + self.in_hand.len()
    }
}

impl Group {
    /// The group called `name`; it begins where it stood, or with the first event there is.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(context: Arc<Context>, name: &str) -> Result<Self, BusError> {
        let position = outbox::join(&context, name).await.map_err(|error| unavailable(&error))?.position;
        let state = State { position, read: position, ..State::default() };
        Ok(Self {
            context,
            name: name.into(),
            state: Arc::new(Mutex::new(state)),
            moved: Arc::new(Notify::new()),
            storing: Arc::new(tokio::sync::Mutex::new(())),
        })
    }

    /// A new member. It leaves when it is dropped.
    pub fn member(&self) -> Member {
        let mut state = self.state.lock();
        let id = state.next_member;
        state.next_member += 1;
        state.members.insert(id);
        state.deal_out();
        drop(state);
        self.moved.notify_waiters();
        Member { group: self.clone(), id, paused: false }
    }

    /// Reads on in the outbox, up to the window's end.
    async fn read_on(&self) -> Result<(), StoreError> {
        let (after, room) = {
            let state = self.state.lock();
            (state.read, WINDOW.saturating_sub(state.open()))
        };
        if room == 0 {
            return Ok(());
        }
        let page = self.context.store.events(after, room).await?;
        let mut state = self.state.lock();
        for event in page.rows {
            // Another member may have read the same meanwhile.
            if event.seq > state.read {
                state.read = event.seq;
                state.waiting.insert(event.seq, event);
            }
        }
        Ok(())
    }

    /// Stores how far all are done.
    async fn store_position(&self) -> Result<(), StoreError> {
        let _storing = self.storing.lock().await;
        let (before, done) = {
            let state = self.state.lock();
            (state.position, state.done_up_to())
        };
        if done > before {
            outbox::advance(&self.context, &self.name, done).await?;
            self.state.lock().position = done;
        }
        Ok(())
    }
}

fn unavailable(error: &StoreError) -> BusError {
    BusError::Unavailable(error.to_string())
}

/// A member of a [`Group`].
pub struct Member {
    group: Group,
    id: u64,
    paused: bool,
}

impl Member {
    fn take(&self, max: usize) -> Vec<Delivery> {
        let events = self.group.state.lock().take(self.id, max);
        events.iter().map(delivery).collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        state.give_back(self.id);
        state.members.remove(&self.id);
        state.deal_out();
        drop(state);
        self.group.moved.notify_waiters();
    }
}

/// An event as a record.
fn delivery(event: &Event) -> Delivery {
    Delivery {
        position: Position { partition: 0, offset: i64::try_from(event.seq).unwrap_or(i64::MAX) },
        key: record::key(event).into(),
        payload: record::encode(event),
        headers: Vec::new(),
        at: event.at,
    }
}

impl Consumer for Member {
    fn group(&self) -> &str {
        &self.group.name
    }

    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            if !self.paused {
                self.group.read_on().await.map_err(|error| unavailable(&error))?;
                let taken = self.take(max);
                if !taken.is_empty() {
                    return Ok(taken);
                }
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            let _ = tokio::time::timeout(POLL, self.group.moved.notified()).await;
        }
    }

    async fn ack(&mut self, done: &[Position]) -> Result<(), BusError> {
        let mut lost = 0;
        {
            let mut state = self.group.state.lock();
            for position in done {
                let seq = u64::try_from(position.offset).unwrap_or(0);
                match state.in_hand.get(&seq) {
                    Some((owner, _)) if *owner == self.id => drop(state.in_hand.remove(&seq)),
                    _ => lost += 1,
                }
            }
        }
        self.group.store_position().await.map_err(|error| unavailable(&error))?;
        match lost {
            0 => Ok(()),
            lost => Err(BusError::Lost(format!("{lost} of {} come again", done.len()))),
        }
    }

    async fn bury(&mut self, delivery: &Delivery, dead: &Dead) -> Result<(), BusError> {
        let event = record::decode(&delivery.payload).map_err(|error| BusError::Config(error.to_string()))?;
        let buried = Buried {
            group: self.group.name.to_string(),
            event,
            reason: dead.reason.clone(),
            tries: dead.tries,
            at: self.group.context.clock.now(),
        };
        outbox::bury(&self.group.context, &buried).await.map_err(|error| unavailable(&error))
    }

    async fn rewind(&mut self) -> Result<(), BusError> {
        self.group.state.lock().give_back(self.id);
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), BusError> {
        self.paused = paused;
        Ok(())
    }

    async fn lag(&self) -> Lag {
        let standing = outbox::Standing { position: self.group.state.lock().position, paused: self.paused };
        match outbox::lag(&self.group.context, standing).await {
            Ok(lag) => Lag { records: lag.events, oldest: lag.oldest },
            Err(error) => {
                tracing::warn!(error = %error, "bus.lag_unknown");
                Lag::default()
            }
        }
    }
}
