//! What every bus promises. A transport brings a [`Bench`]; the suite does not know which it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kalends::bus::consume::{self, Handler, Later, Refused, Terms};
use kalends::bus::{BusError, Consumer, Delivery, record};
use kalends::model::Event;
use tokio::sync::watch;

/// However slow the machine is, it does not take longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A transport under test: a stream of changes of several calendars, and members of groups that read it.
pub trait Bench {
    type Consumer: Consumer;

    /// Publishes `count` further changes, of all calendars in turn, and returns when the bus has them durably.
    async fn publish(&mut self, count: usize);

    /// A new member of `group`.
    async fn join(&mut self, group: &str) -> Self::Consumer;

    /// The member leaves.
    async fn leave(&mut self, member: Self::Consumer);

    /// The reasons of what was buried by `group`, in any order. Waits until there are `count`, and then for what should not be there.
    async fn dead_letters(&mut self, group: &str, count: usize) -> Vec<String>;

    /// All that was published so far.
    fn published(&self) -> usize;
}

/// Everything in one go.
pub async fn all(bench: &mut impl Bench) {
    order_and_at_least_once(bench).await;
    what_is_not_acknowledged_comes_again(bench).await;
    members_share_and_rebalance(bench).await;
    poison_is_buried_and_the_rest_goes_on(bench).await;
    trouble_of_the_handler_is_nobodys_fault(bench).await;
    lag_and_pause(bench).await;
}

fn event(delivery: &Delivery) -> Event {
    record::decode(&delivery.payload).expect("it is an event")
}

/// Takes until `count` records have come.
async fn take(member: &mut impl Consumer, count: usize) -> Vec<Delivery> {
    let started = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < count {
        assert!(started.elapsed() < PATIENCE, "{} of {count} came", taken.len());
        taken.extend(retried(member.next(count - taken.len(), Duration::from_millis(200)).await));
    }
    taken
}

/// What is waited out is no failure.
fn retried<T: Default>(result: Result<T, BusError>) -> T {
    match result {
        Ok(value) => value,
        Err(BusError::Unavailable(_) | BusError::Lost(_)) => T::default(),
        Err(error) => panic!("{error}"),
    }
}

async fn ack(member: &mut impl Consumer, done: &[Delivery]) {
    let positions: Vec<_> = done.iter().map(|delivery| delivery.position).collect();
    member.ack(&positions).await.expect("it is acknowledged");
}

/// Events of each calendar stand in the order in which they were published.
fn assert_order(events: &[Event]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for event in events {
        let before = last.insert(event.collection.0, event.seq).unwrap_or(0);
        assert!(before < event.seq, "calendar {}: {before} before {}", event.collection.0, event.seq);
    }
}

async fn order_and_at_least_once(bench: &mut impl Bench) {
    bench.publish(600).await;
    let mut member = bench.join("order").await;
    let taken = take(&mut member, bench.published()).await;
    ack(&mut member, &taken).await;
    let events: Vec<Event> = taken.iter().map(event).collect();
    assert_order(&events);
    assert_eq!(events.iter().map(|event| event.seq).collect::<BTreeSet<_>>().len(), bench.published());
    bench.leave(member).await;
}

async fn what_is_not_acknowledged_comes_again(bench: &mut impl Bench) {
    let all = bench.published();
    let mut member = bench.join("again").await;
    let first = take(&mut member, all).await;
    ack(&mut member, &first[..all / 2]).await;
    member.rewind().await.expect("it goes back");
    let open: BTreeSet<u64> = first[all / 2..].iter().map(|delivery| event(delivery).seq).collect();
    let second: BTreeSet<u64> =
        take(&mut member, open.len()).await.iter().map(|delivery| event(delivery).seq).collect();
    assert_eq!(second, open, "what was in hand comes again, and nothing else");
    bench.leave(member).await;
    let mut member = bench.join("again").await;
    let third = take(&mut member, open.len()).await;
    assert_eq!(third.iter().map(|delivery| event(delivery).seq).collect::<BTreeSet<_>>(), open, "and after a restart");
    ack(&mut member, &third).await;
    bench.leave(member).await;
}

/// Two members, the second one comes while the first is at work, and the first one goes: every event has its effect, in order.
async fn members_share_and_rebalance(bench: &mut impl Bench) {
    let group = "shared";
    let mut first = bench.join(group).await;
    let mut effects = Effects::default();
    effects.work(&mut first).await;
    let mut second = bench.join(group).await;
    let started = Instant::now();
    while !(effects.of_both() && effects.seen.len() == bench.published()) {
        assert!(started.elapsed() < PATIENCE, "{} of {} have come", effects.seen.len(), bench.published());
        if !effects.of_both() && effects.seen.len() == bench.published() {
            bench.publish(100).await;
        }
        effects.member = 1;
        effects.work(&mut first).await;
        effects.member = 2;
        effects.work(&mut second).await;
    }
    bench.leave(first).await;
    bench.publish(200).await;
    while effects.seen.len() < bench.published() {
        assert!(started.elapsed() < PATIENCE, "{} of {} have come", effects.seen.len(), bench.published());
        effects.work(&mut second).await;
    }
    bench.leave(second).await;
}

/// What handling has done: a stale event has no effect, so order holds even where records come twice.
#[derive(Default)]
struct Effects {
    seen: BTreeSet<u64>,
    newest: BTreeMap<u64, u64>,
    member: u8,
    workers: BTreeSet<u8>,
}

impl Effects {
    async fn work(&mut self, member: &mut impl Consumer) {
        let taken = retried(member.next(50, Duration::from_millis(50)).await);
        for delivery in &taken {
            let event = event(delivery);
            self.workers.insert(self.member);
            let new = self.seen.insert(event.seq);
            let newest = self.newest.entry(event.collection.0).or_default();
            assert!(!new || *newest < event.seq, "a new event of a calendar is newer than all before it");
            *newest = event.seq.max(*newest);
        }
        let positions: Vec<_> = taken.iter().map(|delivery| delivery.position).collect();
        retried(member.ack(&positions).await);
    }

    fn of_both(&self) -> bool {
        self.workers.contains(&1) && self.workers.contains(&2)
    }
}

/// Refuses what it is told to, fails for a while, and notes everything else.
#[derive(Default)]
struct Scripted {
    poison: BTreeSet<u64>,
    tries: BTreeMap<u64, u32>,
    done: Vec<Event>,
    away: u32,
    stop_at: usize,
    stop: Option<watch::Sender<bool>>,
}

impl Handler for Scripted {
    async fn handle(&mut self, batch: &[Delivery]) -> Result<Vec<Refused>, Later> {
        if self.away > 0 {
            self.away -= 1;
            return Err(Later("not now".to_owned()));
        }
        let mut refused = Vec::new();
        for (index, delivery) in batch.iter().enumerate() {
            let event = event(delivery);
            if self.poison.contains(&event.seq) {
                *self.tries.entry(event.seq).or_default() += 1;
                refused.push((index, "it is poison".to_owned()));
            } else {
                self.done.push(event);
            }
        }
        if self.done.len() >= self.stop_at
            && let Some(stop) = &self.stop
        {
            let _ = stop.send(true);
        }
        Ok(refused)
    }

    async fn paused(&mut self) -> bool {
        false
    }
}

fn terms() -> Terms {
    Terms { wait: Duration::from_millis(100), retry: Duration::from_millis(5), batch: 100, ..Terms::default() }
}

/// Drives a new member of `group` until `script` has seen what it waits for.
async fn drive<B: Bench>(bench: &mut B, group: &str, script: &mut Scripted) {
    let (stop, mut stopped) = watch::channel(false);
    script.stop = Some(stop);
    let mut member = bench.join(group).await;
    let running = consume::run(&mut member, script, terms(), &mut stopped);
    tokio::time::timeout(PATIENCE, running).await.expect("in time").expect("it runs");
    bench.leave(member).await;
}

async fn poison_is_buried_and_the_rest_goes_on(bench: &mut impl Bench) {
    let poison = BTreeSet::from([3, 77]);
    let mut script = Scripted { poison: poison.clone(), stop_at: bench.published() - 2, ..Scripted::default() };
    drive(bench, "poison", &mut script).await;
    assert_order(&script.done);
    assert_eq!(script.tries, BTreeMap::from([(3, 3), (77, 3)]), "three tries each");
    assert_eq!(bench.dead_letters("poison", 2).await, ["it is poison", "it is poison"]);
    let mut member = bench.join("poison").await;
    let again = retried(member.next(1, Duration::from_secs(4)).await);
    assert_eq!(again, [], "nothing comes again");
    bench.leave(member).await;
}

async fn trouble_of_the_handler_is_nobodys_fault(bench: &mut impl Bench) {
    let mut script = Scripted { away: 5, stop_at: bench.published(), ..Scripted::default() };
    drive(bench, "away", &mut script).await;
    assert_order(&script.done);
    assert_eq!(script.done.len(), bench.published());
    assert_eq!(bench.dead_letters("away", 0).await, Vec::<String>::new(), "no try is counted");
}

async fn lag_and_pause(bench: &mut impl Bench) {
    let mut member = bench.join("lag").await;
    let all = bench.published();
    let half = take(&mut member, all / 2).await;
    ack(&mut member, &half).await;
    let started = Instant::now();
    let lag = loop {
        let lag = member.lag().await;
        if lag.records as usize == all - all / 2 || started.elapsed() > PATIENCE {
            break lag;
        }
        // Kafka's figures come with its statistics, every other second, while it is asked for records.
        member.set_paused(true).expect("it pauses");
        assert_eq!(retried(member.next(10, Duration::from_millis(200)).await), [], "a paused member is given nothing");
    };
    assert_eq!(lag.records as usize, all - all / 2);
    assert!(lag.oldest.is_some(), "something is old");
    member.set_paused(false).expect("it goes on");
    let rest = take(&mut member, all - all / 2).await;
    ack(&mut member, &rest).await;
    assert_eq!(member.lag().await.records, 0);
    let mut seen: Vec<Event> = half.iter().chain(&rest).map(event).collect();
    assert_order(&seen);
    seen.sort_by_key(|event| event.seq);
    seen.dedup_by_key(|event| event.seq);
    assert_eq!(seen.len(), all, "its place was kept");
    bench.leave(member).await;
}
