//! The fuzz targets on stable Rust: their seeds, and mutations of them from a fixed series of random numbers, so that a run is
//! the same everywhere. The long runs are cargo-fuzz's (`fuzz/README.md`).

#[path = "../fuzz/entries.rs"]
mod entries;

use std::path::PathBuf;

/// Mutations of each seed.
const ROUNDS: u64 = 400;
/// How many mutations of all seeds of a target together: of many seeds each has fewer.
const MUTATIONS: u64 = 4_000;
/// A mutated input is not longer.
const BYTES_MAX: usize = 16_384;

/// Pieces that mean something to one parser or another.
const PIECES: &[&str] = &[
    "\r\n",
    "\r\n ",
    ":",
    ";",
    ",",
    "\"",
    "\\",
    "^n",
    "=",
    "<",
    ">",
    "</",
    "/>",
    "&#x0;",
    "&amp;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "xmlns:a=\"",
    "%2e",
    "%00",
    "%ff",
    "/",
    "..",
    "[",
    "]",
    "{",
    "}",
    "null",
    "(",
    ")",
    "Not",
    "BEGIN:VEVENT",
    "END:VEVENT",
    "RRULE:FREQ=SECONDLY",
    ";BYDAY=53MO",
    ";COUNT=0",
    ";INTERVAL=99999999999",
    "T",
    "Z",
    "99999999",
    "\"dateTime\":",
    "\"2026-11-10T10:00:00Z\"",
    "\"recurrence\":[",
    "00000000",
    "-1",
    "\0",
    "\u{feff}",
    "ä",
    "\u{10ffff}",
];

/// xorshift64*: enough to pick bytes with.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).expect("31 bits") % bound.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let upto = |random: &mut Random, bytes: &[u8]| (at + random.below(32)).min(bytes.len());
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 => {
            let end = upto(random, bytes);
            bytes.drain(at..end);
        }
        2 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
        3 => {
            let end = upto(random, bytes);
            let again = bytes[at..end].repeat(1 + random.below(8));
            bytes.splice(at..at, again);
        }
        4 => {
            let (from, length) = (random.below(other.len() + 1), random.below(64));
            let part = other[from..(from + length).min(other.len())].to_vec();
            bytes.splice(at..at, part);
        }
        5 => bytes.truncate(at),
        _ => bytes.insert(at, u8::try_from(random.below(256)).expect("a byte")),
    }
    bytes.truncate(BYTES_MAX);
}

fn smoke(target: &str, entry: fn(&[u8])) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&dir).expect("a corpus").map(|e| e.expect("a seed").path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect();
    assert!(seeds.len() >= 2, "{target} has too few seeds");
    let rounds = (MUTATIONS / seeds.len() as u64).clamp(1, ROUNDS);
    for (number, seed) in seeds.iter().enumerate() {
        entry(seed);
        let other = &seeds[(number + 1) % seeds.len()];
        for round in 0..rounds {
            let mut random = Random(1 + round * 1_000_003 + number as u64);
            let mut input = seed.clone();
            for _ in 0..=random.below(6) {
                mutate(&mut input, other, &mut random);
            }
            let shown = String::from_utf8_lossy(&input).into_owned();
            let outcome = std::panic::catch_unwind(|| entry(&input));
            assert!(outcome.is_ok(), "{target} does not stand this:\n{shown}");
        }
    }
    entry(b"");
}

#[test]
fn ical() {
    smoke("ical", entries::ical);
}

#[test]
fn xml() {
    smoke("xml", entries::xml);
}

#[test]
fn filter() {
    smoke("filter", entries::filter);
}

#[test]
fn recur() {
    smoke("recur", entries::recur);
}

#[test]
fn href() {
    smoke("href", entries::href);
}

#[test]
fn jcal() {
    smoke("jcal", entries::jcal);
}

#[test]
fn if_header() {
    smoke("if_header", entries::if_header);
}

#[test]
fn google() {
    smoke("google", entries::google);
}

#[test]
fn microsoft() {
    smoke("microsoft", entries::microsoft);
}
