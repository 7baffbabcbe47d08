//! The storm: the real binary, fifty receivers good and bad, changes as fast as they are answered, and SIGKILLs. Afterwards every receiver
//! that can be reached has everything, its effect once; nothing was tried more often than the schedule says; what was given up is
//! in the dead letters and nothing else is; and `kalends webhook audit` tells all of it as the receivers saw it.
//!
//! Short by default. The long run:
//!
//! ```sh
//! cargo build --release
//! KALENDS_BINARY=target/release/kalends KALENDS_STORM_CHANGES=100000 KALENDS_STORM_KILLS=20 cargo test --release --test storm -- --nocapture
//! ```
//!
//! `KALENDS_STORM_EVERYONE=1` has every endpoint hear every calendar, instead of one of eight. `KALENDS_STORM_SECONDS` bounds the
//! waiting, `KALENDS_STORM_CLIENTS` says how many clients write at the same time.

mod changes;
mod check;
mod fairness;
#[cfg(feature = "kafka")]
mod kafka;
#[path = "../load/mod.rs"]
mod load;
mod place;
mod receivers;
#[path = "../sockets/mod.rs"]
mod sockets;

use std::time::{Duration, Instant};

use changes::{Client, Load};
use load::Dice;
use place::{Endpoint, Sea};
use receivers::Manner;

/// The manners of the endpoints, in turn, until there are fifty.
const FLEET: &[(Manner, usize)] = &[
    (Manner::Prompt, 16),
    (Manner::Slow, 6),
    (Manner::Flapping, 5),
    (Manner::Throttling, 5),
    (Manner::Late, 5),
    (Manner::Resetting, 5),
    (Manner::Failing, 2),
    (Manner::Missing, 2),
    (Manner::Redirecting, 2),
    (Manner::Dead, 2),
];
const CALENDARS: usize = 8;

/// A number from the environment.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_is_lost_and_everything_takes_effect_once() {
    let (changes, kills) = (number("KALENDS_STORM_CHANGES", 300), number("KALENDS_STORM_KILLS", 2));
    let clients = number("KALENDS_STORM_CLIENTS", 8);
    let mut sea = Sea::make(CALENDARS, place::STORM);
    let everyone = number("KALENDS_STORM_EVERYONE", 0) > 0;
    let manners: Vec<Manner> = FLEET.iter().flat_map(|(manner, count)| std::iter::repeat_n(*manner, *count)).collect();
    for (at, manner) in manners.iter().enumerate() {
        // The first one hears everything, whatever the others do.
        let heard =
            if everyone || at == 0 { sea.calendars.clone() } else { vec![sea.calendars[at % CALENDARS].clone()] };
        sea.add(*manner, &heard);
    }
    let load = Load::new("anna", &sea.place.password, changes);
    load.serve_at(Some(sea.address()));
    let begun = Instant::now();
    let mut writing = Vec::new();
    for number in 0..clients {
        let client = Client {
            load: load.clone(),
            user: "anna".to_owned(),
            calendars: sea.calendars.clone(),
            number,
            names: 20,
            pace: Duration::ZERO,
        };
        writing.push(sea.runtime.spawn(client.run()));
    }
    let mut dice = Dice(number("KALENDS_STORM_SEED", u64::from(std::process::id())));
    for kill in 1..=kills {
        let at = changes * kill / (kills + 1) + dice.below(20);
        while (load.count() as u64) < at.min(changes - 1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        load.serve_at(None);
        sea.kill();
        sea.start();
        load.serve_at(Some(sea.address()));
    }
    sea.wait_for_all(writing);
    let written = begun.elapsed();
    load.faultless();
    let made = load.made();
    let truth = check::Truth::read(&sea);
    check::settle(&sea, &truth, Duration::from_secs(number("KALENDS_STORM_SECONDS", 180)));
    let all = begun.elapsed();
    check::everything(&sea, &truth, &made);
    let deliveries: usize = sea.endpoints.iter().map(|endpoint| endpoint.receiver.effects()).sum();
    eprintln!(
        "{} changes acknowledged in {written:.1?} with {kills} kills; {deliveries} messages took effect at {} endpoints after {all:.1?}",
        made.len(),
        sea.endpoints.len(),
    );
    sea.log_is_clean();
}

/// For messages.
pub fn name(endpoint: &Endpoint) -> String {
    format!("{} ({:?})", endpoint.id, endpoint.receiver.manner)
}
