//! Whether bad endpoints delay good ones: the time from the acknowledged change to the receiver, without any bad endpoint and with many.
//!
//! The figures are printed. That they are good is demanded where `KALENDS_STORM_STRICT=1` says that the machine is quiet.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::changes::{Client, Load};
use crate::number;
use crate::place::{self, Sea};
use crate::receivers::Manner;

const CLIENTS: u64 = 4;

/// Latencies in milliseconds, sorted.
struct Latencies(Vec<f64>);

impl Latencies {
    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

/// Makes `changes` at `rate` a second, and waits until the endpoints at `good` have them all.
fn measure(sea: &Sea, good: &[usize], changes: u64, rate: u64) -> Latencies {
    good.iter().for_each(|at| sea.endpoints[*at].receiver.forget());
    let load = Load::new("anna", &sea.place.password, changes);
    load.serve_at(Some(sea.address()));
    for client in 0..CLIENTS {
        let client = Client {
            load: load.clone(),
            user: "anna".to_owned(),
            calendars: sea.calendars.clone(),
            number: client,
            names: 20,
            pace: Duration::from_micros(1_000_000 * CLIENTS / rate),
        };
        sea.runtime.spawn(client.run());
    }
    let begun = Instant::now();
    while !load.is_made(changes) || good.iter().any(|at| (sea.endpoints[*at].receiver.effects() as u64) < changes) {
        assert!(begun.elapsed() < Duration::from_secs(120), "it takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
    let acknowledged: HashMap<(String, String), Instant> = load
        .made()
        .into_iter()
        .filter_map(|change| {
            let href = format!("/dav/calendars/anna/{}/{}", change.calendar, change.name);
            Some(((href, change.etag?), change.at))
        })
        .collect();
    let receipts = good.iter().flat_map(|at| sea.endpoints[*at].receiver.receipts());
    let mut latencies: Vec<f64> = receipts
        .filter_map(|receipt| {
            let at = acknowledged.get(&(receipt.href, receipt.etag?))?;
            Some(receipt.at.saturating_duration_since(*at).as_secs_f64() * 1_000.0)
        })
        .collect();
    latencies.sort_by(f64::total_cmp);
    assert!(!latencies.is_empty(), "something was measured");
    Latencies(latencies)
}

#[test]
fn bad_endpoints_delay_no_good_one() {
    let mut sea = Sea::make(1, place::STORM);
    let (changes, rate) = (number("KALENDS_FAIR_CHANGES", 60), number("KALENDS_FAIR_RATE", 40));
    let heard = sea.calendars.clone();
    for _ in 0..4 {
        sea.add(Manner::Prompt, &heard);
    }
    let good = [0, 1, 2, 3];
    measure(&sea, &good, CLIENTS * 2, rate);
    let alone = measure(&sea, &good, changes, rate);
    for manner in [Manner::Dead, Manner::Failing, Manner::Missing, Manner::Redirecting, Manner::Mute] {
        for _ in 0..3 {
            sea.add(manner, &heard);
        }
    }
    // They get something to fail at first.
    measure(&sea, &good, changes, rate);
    let beside = measure(&sea, &good, changes, rate);
    let delay = beside.at(0.99) - alone.at(0.99);
    eprintln!(
        "change to receiver at {rate}/s: p50 {:.1} ms and p99 {:.1} ms alone, {:.1} ms and {:.1} ms beside 15 bad endpoints: p99 {delay:+.1} ms",
        alone.at(0.5),
        alone.at(0.99),
        beside.at(0.5),
        beside.at(0.99),
    );
    if number("KALENDS_STORM_STRICT", 0) > 0 {
        assert!(delay < 100.0, "bad endpoints delay good ones by {delay:.1} ms at p99");
    }
    sea.log_is_clean();
}
