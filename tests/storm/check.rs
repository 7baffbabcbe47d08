//! What must be true after the storm.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use kalends::model::SyncToken;
use serde_json::Value;

use crate::changes::Acknowledged;
use crate::load::{Listing, Reader};
use crate::name;
use crate::place::{ATTEMPTS, ATTEMPTS_REFUSED, Endpoint, Sea};
use crate::receivers::{Manner, Receipt};

/// What the calendars themselves say: how many changes each has seen, and what is in it.
pub struct Truth {
    pub calendars: BTreeMap<String, (u64, Listing)>,
}

impl Truth {
    /// Reads it over CalDAV.
    pub fn read(sea: &Sea) -> Self {
        let reader = Reader { address: sea.address(), password: &sea.place.password };
        let calendars = sea.calendars.iter().map(|calendar| {
            let (listing, token) = reader.listing(&format!("/dav/calendars/anna/{calendar}/"));
            let token = SyncToken::parse(&token).expect("a token of ours");
            (calendar.clone(), (token.revision.0, listing))
        });
        Self { calendars: calendars.collect() }
    }

    /// How many messages an endpoint that hears of these calendars is to get: one for each change.
    pub fn messages(&self, heard: &[String]) -> usize {
        heard.iter().map(|calendar| self.calendars[calendar].0 as usize).sum()
    }
}

/// Waits until every healthy receiver has everything, and the server knows it.
pub fn settle(sea: &Sea, truth: &Truth, patience: Duration) {
    let begun = Instant::now();
    let mut said = Instant::now();
    loop {
        let healthy = sea.endpoints.iter().filter(|endpoint| endpoint.receiver.manner.is_healthy());
        let lacking: Vec<String> = healthy
            .filter_map(|endpoint| {
                let (has, wants) = (endpoint.receiver.effects(), truth.messages(&endpoint.heard));
                (has < wants).then(|| format!("{} {has} of {wants}", name(endpoint)))
            })
            .collect();
        if lacking.is_empty() && sea.waiting() == 0 {
            return;
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("{:.0?}: {} endpoints lack something: {:?}", begun.elapsed(), lacking.len(), lacking.first());
        }
        assert!(begun.elapsed() < patience, "after {patience:?} these lack something: {lacking:#?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// All of it.
pub fn everything(sea: &Sea, truth: &Truth, made: &[Acknowledged]) {
    let mut figures = Figures::default();
    for endpoint in &sea.endpoints {
        let receipts = endpoint.receiver.receipts();
        let faults = endpoint.receiver.faults();
        assert!(faults.is_empty(), "{}: {} faults: {:?}", name(endpoint), faults.len(), faults.first());
        schedule_is_kept(endpoint, &receipts);
        if endpoint.receiver.manner.is_healthy() {
            everything_is_there(endpoint, truth, made, &receipts);
            order_can_be_restored(endpoint, truth, &receipts);
        }
    }
    for endpoint in &sea.endpoints {
        let audit = audit(sea, endpoint);
        audit_tells_the_truth(endpoint, truth, &audit, &mut figures);
        dead_letters_hold_what_was_given_up(sea, endpoint, truth, &audit, &mut figures);
    }
    eprintln!("{figures:?}");
}

/// What is printed.
#[derive(Debug, Default)]
struct Figures {
    delivered: u64,
    attempts: u64,
    more_than_once: u64,
    out_of_order: u64,
    overlapping: u64,
    waiting_at_bad_ones: u64,
    dead: u64,
}

/// `anna/c0` of the place of an object in it.
fn calendar_of(receipt: &Receipt) -> &str {
    receipt.href.strip_prefix("/dav/calendars/anna/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// By (calendar, sequence) the webhook-ids under which a message took effect.
fn effects(receipts: &[Receipt]) -> BTreeMap<(&str, u64), BTreeSet<&str>> {
    let mut effects: BTreeMap<(&str, u64), BTreeSet<&str>> = BTreeMap::new();
    for receipt in receipts.iter().filter(|receipt| receipt.taken) {
        effects.entry((calendar_of(receipt), receipt.sequence)).or_default().insert(&receipt.id);
    }
    effects
}

/// Every change is there at least once, and under one id, so that the effect is there exactly once.
fn everything_is_there(endpoint: &Endpoint, truth: &Truth, made: &[Acknowledged], receipts: &[Receipt]) {
    let effects = effects(receipts);
    for calendar in &endpoint.heard {
        let last = truth.calendars[calendar].0;
        let lacking: Vec<u64> = (1..=last).filter(|at| !effects.contains_key(&(calendar.as_str(), *at))).collect();
        assert!(lacking.is_empty(), "{}: {calendar} lacks {} of {last}: {lacking:?}", name(endpoint), lacking.len());
    }
    assert_eq!(effects.len(), truth.messages(&endpoint.heard), "{}: messages nobody made", name(endpoint));
    let twice: Vec<_> = effects.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(twice.is_empty(), "{}: one change, several ids: {twice:?}", name(endpoint));
    let ids: HashSet<&str> = effects.values().flatten().copied().collect();
    assert_eq!(ids.len(), effects.len(), "{}: one id, several changes", name(endpoint));
    // What was acknowledged is among it, by its tag.
    let tags: HashSet<(&str, &str)> =
        receipts.iter().filter_map(|receipt| Some((receipt.href.as_str(), receipt.etag.as_deref()?))).collect();
    for change in made.iter().filter(|change| endpoint.heard.contains(&change.calendar)) {
        let href = format!("/dav/calendars/anna/{}/{}", change.calendar, change.name);
        if let Some(etag) = &change.etag {
            assert!(tags.contains(&(href.as_str(), etag.as_str())), "{}: {href} {etag} is lacking", name(endpoint));
        }
    }
}

/// Who keeps the message with the largest sequence for each object has what is in the calendars.
fn order_can_be_restored(endpoint: &Endpoint, truth: &Truth, receipts: &[Receipt]) {
    let mut newest: HashMap<&str, &Receipt> = HashMap::new();
    for receipt in receipts.iter().filter(|receipt| receipt.taken) {
        let known = newest.entry(&receipt.href).or_insert(receipt);
        if receipt.sequence > known.sequence {
            *known = receipt;
        }
    }
    for calendar in &endpoint.heard {
        let prefix = format!("/dav/calendars/anna/{calendar}/");
        let there: Listing = newest
            .values()
            .filter(|receipt| receipt.kind != "event.deleted")
            .filter_map(|receipt| Some((receipt.href.strip_prefix(&prefix)?.to_owned(), receipt.etag.clone()?)))
            .collect();
        assert_eq!(there, truth.calendars[calendar].1, "{}: the state made of {calendar}'s messages", name(endpoint));
    }
}

/// How often the schedule lets a message be tried there.
fn most(endpoint: &Endpoint) -> usize {
    match endpoint.receiver.manner {
        Manner::Missing | Manner::Redirecting => ATTEMPTS_REFUSED,
        _ => ATTEMPTS,
    }
}

/// No message was tried more often than the schedule says.
fn schedule_is_kept(endpoint: &Endpoint, receipts: &[Receipt]) {
    let most = most(endpoint);
    let mut tried: HashMap<&str, usize> = HashMap::new();
    for receipt in receipts {
        *tried.entry(&receipt.id).or_default() += 1;
    }
    let above = tried.iter().find(|(_, times)| **times > most);
    assert!(above.is_none(), "{}: tried more than {most} times: {above:?}", name(endpoint));
}

fn audit(sea: &Sea, endpoint: &Endpoint) -> Value {
    let all = ["webhook", "audit", &endpoint.id, "--since", "2026-01-01T00:00:00Z", "--json", "--limit", "1000000"];
    let said = sea.json(&all);
    said["endpoints"].as_array().and_then(|endpoints| endpoints.first()).expect("one endpoint").clone()
}

fn count(audit: &Value, field: &str) -> u64 {
    audit[field].as_u64().unwrap_or_else(|| panic!("{field} of {audit}"))
}

fn listed<'a>(audit: &'a Value, field: &str) -> &'a [Value] {
    let listing = &audit[field];
    let first = listing["first"].as_array().unwrap_or_else(|| panic!("{field} of {audit}"));
    assert_eq!(first.len() as u64, listing["total"].as_u64().expect("a total"), "the listing is whole");
    first
}

fn ids(rows: &[Value]) -> HashSet<&str> {
    rows.iter().map(|row| row["webhook_id"].as_str().expect("an id")).collect()
}

fn audit_tells_the_truth(endpoint: &Endpoint, truth: &Truth, audit: &Value, figures: &mut Figures) {
    let (who, receipts) = (name(endpoint), endpoint.receiver.receipts());
    figures.delivered += count(audit, "delivered");
    figures.attempts += count(audit, "attempts");
    figures.overlapping += count(audit, "overlapping");
    assert_eq!(count(audit, "deliveries") as usize, truth.messages(&endpoint.heard), "{who}: a delivery a change");
    // Attempts: each request that arrived is one that the ledger knows.
    assert!(count(audit, "attempts") >= receipts.len() as u64, "{who}: {} requests came: {audit}", receipts.len());
    let repeated = listed(audit, "more_than_once");
    figures.more_than_once += repeated.len() as u64;
    let mut taken: HashMap<&str, usize> = HashMap::new();
    receipts.iter().filter(|receipt| receipt.taken).for_each(|receipt| *taken.entry(&receipt.id).or_default() += 1);
    let told = ids(repeated);
    for (id, times) in &taken {
        assert!(*times < 2 || told.contains(id), "{who}: {id} came {times} times, and the audit does not know");
    }
    for row in repeated {
        let unanswered = row["unanswered"].as_array().expect("a list");
        assert!(!unanswered.is_empty(), "{who}: repeated without a reason: {row}");
    }
    if endpoint.receiver.manner.is_healthy() {
        assert_eq!(count(audit, "delivered") as usize, truth.messages(&endpoint.heard), "{who}: {audit}");
        assert_eq!((count(audit, "waiting"), count(audit, "dead")), (0, 0), "{who}");
        assert!(listed(audit, "not_delivered").is_empty(), "{who}");
        order_is_told(&who, &receipts, audit, figures);
    } else {
        assert_eq!(count(audit, "delivered"), 0, "{who}: nothing can have been delivered there");
        figures.waiting_at_bad_ones += count(audit, "waiting");
    }
}

/// What the audit calls out of order was; and what was is either called so, or among those whose order it says not to know.
fn order_is_told(who: &str, receipts: &[Receipt], audit: &Value, figures: &mut Figures) {
    let mut first: HashMap<(&str, u64), &Receipt> = HashMap::new();
    for receipt in receipts.iter().filter(|receipt| receipt.taken) {
        first.entry((calendar_of(receipt), receipt.sequence)).or_insert(receipt);
    }
    let late = listed(audit, "out_of_order");
    figures.out_of_order += late.len() as u64;
    for row in late {
        let calendar = row["calendar"].as_str().expect("a calendar").rsplit('/').next().unwrap_or_default();
        let at =
            |field: &str| first.get(&(calendar, row[field].as_u64().expect("a sequence"))).map(|receipt| receipt.at);
        assert!(at("sequence") > at("after"), "{who}: called out of order, and was not: {row}");
    }
    let mut arrived: Vec<_> =
        first.iter().map(|((calendar, sequence), receipt)| (*calendar, *sequence, receipt.at)).collect();
    arrived.sort_by_key(|(calendar, sequence, _)| std::cmp::Reverse((*calendar, *sequence)));
    let (mut inverted, mut place, mut earliest) = (0_u64, "", None);
    for (calendar, _, at) in arrived {
        if calendar != place {
            (place, earliest) = (calendar, None);
        }
        inverted += u64::from(earliest.is_some_and(|earliest| at > earliest));
        earliest = Some(earliest.map_or(at, |known: Instant| known.min(at)));
    }
    let told = late.len() as u64 + count(audit, "overlapping");
    assert!(inverted <= told, "{who}: {inverted} came after a later one, and the audit tells of {told}");
}

/// The dead letters are those that were tried as often as the schedule says, and none else.
fn dead_letters_hold_what_was_given_up(
    sea: &Sea,
    endpoint: &Endpoint,
    truth: &Truth,
    audit: &Value,
    figures: &mut Figures,
) {
    let who = name(endpoint);
    let dead = sea.json(&["webhook", "dead", &endpoint.id, "--json", "--limit", "1000000"]);
    let dead = dead.as_array().expect("a list");
    figures.dead += dead.len() as u64;
    assert_eq!(dead.len() as u64, count(audit, "dead"), "{who}: the dead letters, and what the audit says");
    if endpoint.receiver.manner.is_healthy() {
        assert!(dead.is_empty(), "{who}: nothing was to be given up: {:?}", dead.first());
        return;
    }
    let most = most(endpoint);
    for row in dead {
        let tried = row["attempts"].as_array().expect("attempts").len();
        assert_eq!(tried, most, "{who}: given up too early or too late: {row}");
    }
    // All that is not given up waits: nothing is dropped.
    let waiting = count(audit, "waiting") as usize;
    assert_eq!(dead.len() + waiting, truth.messages(&endpoint.heard), "{who}: given up or waiting, nothing else");
    // Whoever saw a message as often as the schedule allows finds it among the dead; but an attempt whose end a killed server
    // never wrote down was no try of the schedule's, so such a message may still wait.
    let known = ids(dead);
    let told = sea.json(&["webhook", "deliveries", &endpoint.id, "--json", "--limit", "1000000"]);
    let told = told.as_array().or_else(|| told["deliveries"].as_array()).expect("a list");
    let is_lost = |row: &&Value| row["attempts"].as_array().is_some_and(|all| all.iter().any(|a| a["class"] == "lost"));
    let lost: HashSet<&str> = told.iter().filter(is_lost).filter_map(|row| row["webhook_id"].as_str()).collect();
    let mut tried: HashMap<String, usize> = HashMap::new();
    endpoint.receiver.receipts().into_iter().for_each(|receipt| *tried.entry(receipt.id).or_default() += 1);
    for (id, times) in tried.iter().filter(|(id, times)| **times >= most && !lost.contains(id.as_str())) {
        assert!(known.contains(id.as_str()), "{who}: {id} came {times} times and is not among the dead");
    }
}
