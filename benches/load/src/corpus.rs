//! Deterministic event corpus and its own, independent recurrence expansion.
//!
//! Every event is built from a small structured recurrence (never from parsed iCalendar text), so
//! the expected answers come from plain day-by-day local-date arithmetic plus chrono-tz for the
//! zone offset. `verify_corpus.py` checks the same answers with recurring-ical-events.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use std::fmt::Write as _;

/// splitmix64: small, seedable, stable across versions.
#[derive(Clone)]
pub struct Rng(u64);
impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }
    /// A stream derived from several numbers.
    pub fn of(parts: &[u64]) -> Self {
        let mut h = 0x9E37_79B9_7F4A_7C15u64;
        for p in parts {
            h = Rng(h ^ p.wrapping_mul(0xD6E8_FEB8_6659_FD93)).next();
        }
        Rng(h)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Uniform in 0..n (n > 0).
    pub fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
    pub fn range(&mut self, lo: i64, hi_incl: i64) -> i64 {
        lo + self.below((hi_incl - lo + 1) as u64) as i64
    }
    pub fn pct(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
    pub fn shuffle<T>(&mut self, v: &mut [T]) {
        for i in (1..v.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            v.swap(i, j);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Zone {
    NewYork,
    Berlin,
}
impl Zone {
    pub fn tz(self) -> Tz {
        match self {
            Zone::NewYork => chrono_tz::America::New_York,
            Zone::Berlin => chrono_tz::Europe::Berlin,
        }
    }
    fn name(self) -> &'static str {
        match self {
            Zone::NewYork => "America/New_York",
            Zone::Berlin => "Europe/Berlin",
        }
    }
    fn vtimezone(self) -> &'static str {
        match self {
            Zone::NewYork => {
                "BEGIN:VTIMEZONE\r\nTZID:America/New_York\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nTZNAME:EDT\r\nDTSTART:20070311T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nTZNAME:EST\r\nDTSTART:20071104T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
            }
            Zone::Berlin => {
                "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nDTSTART:19960331T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nDTSTART:19961027T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
            }
        }
    }
}

#[derive(Clone, Debug)]
pub enum Rule {
    Daily { interval: i64 },
    Weekdays,
    Weekly { interval: i64, days: [bool; 7] },
    MonthlyDay { day: u32 },
    MonthlyNth { n: i32, wd: u32 },
}
#[derive(Clone, Debug)]
pub enum Bound {
    Count(usize),
    /// UNTIL for the n-th instance; exact = UNTIL equals that instance's start (inclusive edge).
    Until {
        n: usize,
        exact: bool,
    },
    Infinite,
}
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Status {
    None,
    Confirmed,
    Tentative,
    Cancelled,
}
#[derive(Clone, Debug)]
pub struct Override {
    pub rid: NaiveDateTime,
    pub start: NaiveDateTime,
    pub dur_min: i64,
}
/// One expanded instance, unix seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occ {
    pub start: i64,
    pub end: i64,
}

pub struct Event {
    pub idx: usize,
    pub uid: String,
    pub zone: Zone,
    pub start: NaiveDateTime,
    pub dur_min: i64,
    pub all_day: bool,
    pub rule: Option<Rule>,
    pub bound: Bound,
    pub exdates: Vec<NaiveDateTime>,
    pub ovr: Option<Override>,
    pub transparent: bool,
    pub status: Status,
    pub alarm: bool,
    use_duration: bool,
    text: u64,
    /// Instances up to the horizon, after EXDATE and overrides.
    pub occ: Vec<Occ>,
}

/// First day of the corpus: Monday 2026-01-05; windows cover 104 weeks from it.
pub fn base_date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 5).unwrap()
}
fn horizon() -> NaiveDate {
    NaiveDate::from_ymd_opt(2028, 2, 15).unwrap()
}
pub fn ts(y: i32, m: u32, d: u32) -> i64 {
    Utc.with_ymd_and_hms(y, m, d, 0, 0, 0).unwrap().timestamp()
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub start: i64,
    pub end: i64,
}
impl Window {
    pub fn fmt(t: i64) -> String {
        DateTime::<Utc>::from_timestamp(t, 0).unwrap().format("%Y%m%dT%H%M%SZ").to_string()
    }
    pub fn label(&self) -> String {
        format!("{}/{}", &Self::fmt(self.start)[..8], &Self::fmt(self.end)[..8])
    }
    pub fn hit(&self, o: &Occ) -> bool {
        o.start < self.end && o.end > self.start
    }
}
pub fn weeks() -> Vec<Window> {
    let b = base_date().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp();
    (0..104).map(|i| Window { start: b + i * 604_800, end: b + (i + 1) * 604_800 }).collect()
}
pub fn months() -> Vec<Window> {
    let mut v = Vec::new();
    for y in [2026, 2027] {
        for m in 1..=12u32 {
            let (ny, nm) = if m == 12 { (y + 1, 1) } else { (y, m + 1) };
            v.push(Window { start: ts(y, m, 1), end: ts(ny, nm, 1) });
        }
    }
    v
}
pub fn four_weeks() -> Vec<Window> {
    let b = weeks()[0].start;
    (0..26).map(|i| Window { start: b + i * 2_419_200, end: b + (i + 1) * 2_419_200 }).collect()
}

pub struct Corpus {
    pub seed: u64,
    pub tag: String,
    pub events: Vec<Event>,
    pub attendees: bool,
}

const TITLES: &[&str] = &[
    "Team sync",
    "Design review",
    "1:1 with Priya",
    "Budget planning",
    "Zahnarzt",
    "Besprechung – Büro Köln",
    "Interview: backend engineer",
    "Customer call, Acme; Q3 renewal",
    "Sprint retrospective",
    "Architecture board",
    "Lunch with Zoë",
    "Kita Elternabend",
    "Release go/no-go",
    "Training: incident response",
    "Yoga",
    "Board meeting",
];
const PLACES: &[&str] = &[
    "Room 4.12, Building C",
    "Konferenzraum Süd, Hauptstraße 12, 50667 Köln",
    "https://meet.example.com/j/8841273312",
    "Café Central",
    "1200 Market St, Floor 9",
    "Zoom",
    "Remote",
    "Pier 70, San Francisco",
];
const WORDS: &[&str] = &[
    "agenda",
    "review",
    "the",
    "open",
    "items",
    "from",
    "last",
    "week",
    "and",
    "decide",
    "owner",
    "deadline",
    "für",
    "Überblick",
    "please",
    "bring",
    "notes",
    "draft",
    "numbers",
    "slides",
    "link",
    "below",
    "scope",
    "risk",
    "budget",
    "customer",
    "follow-up",
    "rollout",
    "test",
    "plan",
    "metrics",
    "capacity",
];

fn candidate(rule: &Rule, d0: NaiveDate, d: NaiveDate) -> bool {
    match rule {
        Rule::Daily { interval } => (d - d0).num_days() % interval == 0,
        Rule::Weekdays => d.weekday().num_days_from_monday() < 5,
        Rule::Weekly { interval, days } => {
            let m0 = d0 - Duration::days(d0.weekday().num_days_from_monday() as i64);
            let m = d - Duration::days(d.weekday().num_days_from_monday() as i64);
            ((m - m0).num_days() / 7) % interval == 0 && days[d.weekday().num_days_from_monday() as usize]
        }
        Rule::MonthlyDay { day } => d.day() == *day,
        Rule::MonthlyNth { n, wd } => {
            if d.weekday().num_days_from_monday() != *wd {
                return false;
            }
            if *n > 0 { (d.day() as i32 - 1) / 7 + 1 == *n } else { (d + Duration::days(7)).month() != d.month() }
        }
    }
}
/// Dates of the series, before EXDATE, up to `max` instances or the horizon.
fn series(rule: &Rule, d0: NaiveDate, max: Option<usize>) -> Vec<NaiveDate> {
    let mut v = Vec::new();
    let mut d = d0;
    while d < horizon() {
        if candidate(rule, d0, d) {
            v.push(d);
            if Some(v.len()) == max {
                break;
            }
        }
        d += Duration::days(1);
    }
    v
}

impl Event {
    fn utc(&self, l: NaiveDateTime) -> i64 {
        // Local times are 07:00..21:00, never inside a DST gap or fold.
        self.zone.tz().from_local_datetime(&l).single().expect("unambiguous local time").timestamp()
    }
    fn expand(&mut self) {
        let mut occ = Vec::new();
        if self.all_day {
            let s = self.start.and_utc().timestamp();
            occ.push(Occ { start: s, end: s + self.dur_min * 60 });
        } else if let Some(rule) = &self.rule {
            let max = match self.bound {
                Bound::Count(n) => Some(n),
                Bound::Until { n, .. } => Some(n),
                Bound::Infinite => None,
            };
            for d in series(rule, self.start.date(), max) {
                let l = d.and_time(self.start.time());
                if self.exdates.contains(&l) {
                    continue;
                }
                match &self.ovr {
                    Some(o) if o.rid == l => {
                        let s = self.utc(o.start);
                        occ.push(Occ { start: s, end: s + o.dur_min * 60 });
                    }
                    _ => {
                        let s = self.utc(l);
                        occ.push(Occ { start: s, end: s + self.dur_min * 60 });
                    }
                }
            }
        } else {
            let s = self.utc(self.start);
            occ.push(Occ { start: s, end: s + self.dur_min * 60 });
        }
        self.occ = occ;
    }
    pub fn in_window(&self, w: &Window) -> bool {
        self.occ.iter().any(|o| w.hit(o))
    }
    /// Short class name, used to say which kinds of event a server got wrong.
    pub fn class(&self) -> String {
        let mut s = if self.all_day {
            "allday".to_string()
        } else {
            match &self.rule {
                None => "single".to_string(),
                Some(Rule::Daily { .. }) => "daily".into(),
                Some(Rule::Weekdays) => "daily+byday".into(),
                Some(Rule::Weekly { interval, .. }) => format!("weekly/{interval}"),
                Some(Rule::MonthlyDay { .. }) => "monthly-day".into(),
                Some(Rule::MonthlyNth { n, .. }) => format!("monthly-nth{}", if *n < 0 { "-last" } else { "" }),
            }
        };
        if self.rule.is_some() {
            s += match self.bound {
                Bound::Count(_) => "+count",
                Bound::Until { .. } => "+until",
                Bound::Infinite => "+inf",
            };
            if !self.exdates.is_empty() {
                s += "+exdate";
            }
            if self.ovr.is_some() {
                s += "+override";
            }
        }
        s
    }
    pub fn rev_token(rev: u32) -> String {
        format!("[r{rev:04}]")
    }

    pub fn render(&self, rev: u32, attendees: bool) -> String {
        let mut b = String::with_capacity(1600);
        let mut r = Rng::new(self.text);
        b.push_str("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//davbench//load corpus 1//EN\r\nCALSCALE:GREGORIAN\r\n");
        if !self.all_day {
            b.push_str(self.zone.vtimezone());
        }
        let stamp = DateTime::<Utc>::from_timestamp(ts(2025, 12, 1) + (self.idx as i64 % 86_400), 0).unwrap();
        let modif = stamp + Duration::minutes(rev as i64);
        let title = esc(TITLES[r.below(TITLES.len() as u64) as usize]);
        let place = esc(PLACES[r.below(PLACES.len() as u64) as usize]);
        let nwords = r.range(8, 60);
        let mut desc = String::new();
        for i in 0..nwords {
            if i > 0 {
                desc.push_str(if i % 13 == 0 {
                    ";\n"
                } else if i % 9 == 0 {
                    ", "
                } else {
                    " "
                });
            }
            desc.push_str(WORDS[r.below(WORDS.len() as u64) as usize]);
        }
        let desc = esc(&desc);
        let mut ev = |start: NaiveDateTime, dur: i64, rid: Option<NaiveDateTime>| {
            let mut l = |s: String| fold(&mut b, &s);
            l("BEGIN:VEVENT".into());
            l(format!("UID:{}", self.uid));
            l(format!("DTSTAMP:{}", modif.format("%Y%m%dT%H%M%SZ")));
            l(format!("CREATED:{}", stamp.format("%Y%m%dT%H%M%SZ")));
            l(format!("LAST-MODIFIED:{}", modif.format("%Y%m%dT%H%M%SZ")));
            l(format!("SEQUENCE:{}", rev + rid.is_some() as u32));
            if let Some(x) = rid {
                l(format!("RECURRENCE-ID;TZID={}:{}", self.zone.name(), x.format("%Y%m%dT%H%M%S")));
            }
            if self.all_day {
                let e = start + Duration::minutes(dur);
                l(format!("DTSTART;VALUE=DATE:{}", start.format("%Y%m%d")));
                l(format!("DTEND;VALUE=DATE:{}", e.format("%Y%m%d")));
            } else {
                l(format!("DTSTART;TZID={}:{}", self.zone.name(), start.format("%Y%m%dT%H%M%S")));
                if self.use_duration {
                    let (h, m) = (dur / 60, dur % 60);
                    let mut d = String::from("PT");
                    if h > 0 {
                        let _ = write!(d, "{h}H");
                    }
                    if m > 0 {
                        let _ = write!(d, "{m}M");
                    }
                    l(format!("DURATION:{d}"));
                } else {
                    let e = start + Duration::minutes(dur);
                    l(format!("DTEND;TZID={}:{}", self.zone.name(), e.format("%Y%m%dT%H%M%S")));
                }
            }
            if rid.is_none() {
                if let Some(rule) = &self.rule {
                    l(format!("RRULE:{}", self.rrule(rule)));
                }
                for x in &self.exdates {
                    l(format!("EXDATE;TZID={}:{}", self.zone.name(), x.format("%Y%m%dT%H%M%S")));
                }
            }
            let moved = if rid.is_some() { "moved: " } else { "" };
            l(format!("SUMMARY:{} {}{}", Event::rev_token(rev), moved, title));
            l(format!("LOCATION:{place}"));
            l(format!("DESCRIPTION:{desc}"));
            match self.status {
                Status::None => {}
                Status::Confirmed => l("STATUS:CONFIRMED".into()),
                Status::Tentative => l("STATUS:TENTATIVE".into()),
                Status::Cancelled => l("STATUS:CANCELLED".into()),
            }
            l(format!("TRANSP:{}", if self.transparent { "TRANSPARENT" } else { "OPAQUE" }));
            if attendees {
                l("ORGANIZER;CN=Bench Owner:mailto:owner@example.com".into());
                l("ATTENDEE;CN=Bench Owner;PARTSTAT=ACCEPTED:mailto:owner@example.com".into());
                l("ATTENDEE;CN=Ana Guest;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:ana@example.net"
                    .into());
            }
            if self.alarm {
                l("BEGIN:VALARM".into());
                l("ACTION:DISPLAY".into());
                l("DESCRIPTION:Reminder".into());
                l("TRIGGER:-PT15M".into());
                l("END:VALARM".into());
            }
            l("END:VEVENT".into());
        };
        ev(self.start, self.dur_min, None);
        if let Some(o) = &self.ovr {
            ev(o.start, o.dur_min, Some(o.rid));
        }
        b.push_str("END:VCALENDAR\r\n");
        b
    }
    fn rrule(&self, rule: &Rule) -> String {
        const D: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let mut s = match rule {
            Rule::Daily { interval: 1 } => "FREQ=DAILY".to_string(),
            Rule::Daily { interval } => format!("FREQ=DAILY;INTERVAL={interval}"),
            Rule::Weekdays => "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR".to_string(),
            Rule::Weekly { interval, days } => {
                let l: Vec<&str> = (0..7).filter(|i| days[*i]).map(|i| D[i]).collect();
                let iv = if *interval > 1 { format!(";INTERVAL={interval}") } else { String::new() };
                format!("FREQ=WEEKLY{iv};BYDAY={}", l.join(","))
            }
            Rule::MonthlyDay { day } => format!("FREQ=MONTHLY;BYMONTHDAY={day}"),
            Rule::MonthlyNth { n, wd } => format!("FREQ=MONTHLY;BYDAY={n}{}", D[*wd as usize]),
        };
        match self.bound {
            Bound::Count(n) => {
                let _ = write!(s, ";COUNT={n}");
            }
            Bound::Until { n, exact } => {
                let last = *series(rule, self.start.date(), Some(n)).last().unwrap();
                let l = if exact { last.and_time(self.start.time()) } else { last.and_hms_opt(21, 59, 59).unwrap() };
                let _ = write!(s, ";UNTIL={}", Window::fmt(self.utc(l)));
            }
            Bound::Infinite => {}
        }
        s
    }
}

fn esc(s: &str) -> String {
    s.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}
/// RFC 5545 3.1 folding at 75 octets, never inside a UTF-8 sequence.
fn fold(out: &mut String, line: &str) {
    let mut rest = line;
    let mut limit = 75;
    while rest.len() > limit {
        let mut cut = limit;
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        out.push_str(&rest[..cut]);
        out.push_str("\r\n ");
        rest = &rest[cut..];
        limit = 74;
    }
    out.push_str(rest);
    out.push_str("\r\n");
}

fn uid_for(seed: u64, tag: &str, idx: usize) -> String {
    let t = xxhash_rust::xxh3::xxh3_64(tag.as_bytes());
    let mut r = Rng::of(&[seed, t, idx as u64]);
    let (a, b) = (r.next(), r.next());
    // A UUID-shaped UID; the last group is the event's number, so answers map back without a table.
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a as u32,
        (a >> 32) as u16,
        (a >> 52) as u16,
        0x8000 | (b as u16 & 0x3fff),
        idx
    )
}

impl Corpus {
    /// `tag` makes UIDs differ between calendars of one run; the times do not depend on it.
    pub fn new(seed: u64, tag: &str, n: usize, attendees: bool) -> Corpus {
        let events = (0..n).map(|i| Self::make(seed, tag, i)).collect();
        Corpus { seed, tag: tag.to_string(), events, attendees }
    }
    pub fn uid(&self, idx: usize) -> String {
        match self.events.get(idx) {
            Some(e) => e.uid.clone(),
            None => uid_for(self.seed, &self.tag, idx),
        }
    }
    pub fn body(&self, idx: usize, rev: u32) -> String {
        match self.events.get(idx) {
            Some(e) => e.render(rev, self.attendees),
            None => self.reserve(idx).render(rev, self.attendees),
        }
    }
    /// Events past the corpus: singles in 2029, outside every queried window.
    fn reserve(&self, idx: usize) -> Event {
        let mut r = Rng::of(&[self.seed, 0x7e5e, idx as u64]);
        let d = NaiveDate::from_ymd_opt(2029, 1, 2).unwrap() + Duration::days(r.range(0, 700));
        let start = d.and_hms_opt(r.range(7, 17) as u32, (r.range(0, 3) * 15) as u32, 0).unwrap();
        let mut e = Event {
            idx,
            uid: uid_for(self.seed, &self.tag, idx),
            zone: if r.pct(50) { Zone::NewYork } else { Zone::Berlin },
            start,
            dur_min: r.range(1, 8) * 15,
            all_day: false,
            rule: None,
            bound: Bound::Infinite,
            exdates: vec![],
            ovr: None,
            transparent: false,
            status: Status::Confirmed,
            alarm: true,
            use_duration: false,
            text: r.next(),
            occ: vec![],
        };
        e.expand();
        e
    }
    fn make(seed: u64, tag: &str, idx: usize) -> Event {
        let mut r = Rng::of(&[seed, idx as u64]);
        let zone = if r.pct(50) { Zone::NewYork } else { Zone::Berlin };
        let mut date = base_date() + Duration::days(r.range(1, 104 * 7 - 8));
        let (h, m) = (r.range(7, 17) as u32, (r.range(0, 3) * 15) as u32);
        let mut dur = r.range(1, 10) * 15;
        let recurring = r.pct(20);
        let all_day = !recurring && r.pct(6);
        let mut e = Event {
            idx,
            uid: uid_for(seed, tag, idx),
            zone,
            start: date.and_hms_opt(h, m, 0).unwrap(),
            dur_min: dur,
            all_day,
            rule: None,
            bound: Bound::Infinite,
            exdates: vec![],
            ovr: None,
            transparent: r.pct(10),
            status: match r.below(100) {
                0..=4 => Status::Tentative,
                5..=6 => Status::Cancelled,
                7..=59 => Status::Confirmed,
                _ => Status::None,
            },
            alarm: r.pct(50),
            use_duration: r.pct(20),
            text: r.next(),
            occ: vec![],
        };
        if all_day {
            // DATE values float: keep them mid-week and mid-month so that no server time zone
            // can move them across a window's edge, and transparent so free-busy ignores them.
            while !matches!(date.weekday().num_days_from_monday(), 2 | 3) || !(4..=25).contains(&date.day()) {
                date = base_date() + Duration::days(r.range(1, 104 * 7 - 8));
            }
            e.start = date.and_hms_opt(0, 0, 0).unwrap();
            e.dur_min = 1440;
            e.transparent = true;
        }
        if recurring {
            // Most series start in the first 18 months so that they have room to run.
            date = base_date() + Duration::days(r.range(1, 78 * 7));
            dur = r.range(1, 6) * 15;
            let k = r.below(100);
            let (rule, bound) = if k < 50 {
                let mut days = [false; 7];
                for _ in 0..r.range(1, 3) {
                    days[r.below(5) as usize] = true;
                }
                let interval = if r.pct(25) { 2 } else { 1 };
                while !days[date.weekday().num_days_from_monday() as usize] {
                    date += Duration::days(1);
                }
                let n = r.range(4, 40) as usize;
                (Rule::Weekly { interval, days }, bound_of(&mut r, n, 30))
            } else if k < 70 {
                if r.pct(40) {
                    while date.weekday().num_days_from_monday() > 4 {
                        date += Duration::days(1);
                    }
                    let n = r.range(5, 30) as usize;
                    (Rule::Weekdays, bound_of(&mut r, n, 10))
                } else {
                    let n = r.range(3, 15) as usize;
                    (Rule::Daily { interval: r.range(1, 3) }, bound_of(&mut r, n, 0))
                }
            } else {
                let n = r.range(3, 18) as usize;
                let b = bound_of(&mut r, n, 30);
                if r.pct(50) {
                    while date.day() > 28 {
                        date += Duration::days(1);
                    }
                    (Rule::MonthlyDay { day: date.day() }, b)
                } else {
                    let last = (date + Duration::days(7)).month() != date.month();
                    let n = if last { -1 } else { (date.day() as i32 - 1) / 7 + 1 };
                    (Rule::MonthlyNth { n, wd: date.weekday().num_days_from_monday() }, b)
                }
            };
            e.start = date.and_hms_opt(h, m, 0).unwrap();
            e.dur_min = dur;
            let max = match bound {
                Bound::Count(n) | Bound::Until { n, .. } => n,
                Bound::Infinite => 30,
            };
            let s = series(&rule, date, Some(max));
            e.rule = Some(rule);
            e.bound = bound;
            // Instances 1.. may be excluded or moved; instance 0 stays as it is.
            if s.len() >= 4 && r.pct(35) {
                let mut ks: Vec<usize> = (1..s.len()).collect();
                r.shuffle(&mut ks);
                let nx = r.range(1, 2) as usize;
                for k in ks.iter().take(nx) {
                    e.exdates.push(s[*k].and_time(e.start.time()));
                }
                e.exdates.sort();
            }
            if s.len() >= 4 && r.pct(30) {
                let k = r.range(1, s.len() as i64 - 1) as usize;
                let rid = s[k].and_time(e.start.time());
                if !e.exdates.contains(&rid) {
                    let start =
                        if r.pct(50) { rid + Duration::minutes(r.range(1, 6) * 30) } else { rid + Duration::days(1) };
                    e.ovr = Some(Override { rid, start, dur_min: dur + 15 });
                }
            }
        }
        e.expand();
        e
    }
}
fn bound_of(r: &mut Rng, n: usize, infinite_pct: u64) -> Bound {
    if r.pct(infinite_pct) {
        Bound::Infinite
    } else if r.pct(60) {
        Bound::Count(n)
    } else {
        Bound::Until { n, exact: r.pct(50) }
    }
}

/// Union length in minutes of busy intervals clipped to the window.
pub fn union_minutes(mut iv: Vec<(i64, i64)>, w: &Window) -> i64 {
    iv.retain(|(s, e)| *s < w.end && *e > w.start);
    for x in iv.iter_mut() {
        *x = (x.0.max(w.start), x.1.min(w.end));
    }
    iv.sort();
    let (mut total, mut cur): (i64, Option<(i64, i64)>) = (0, None);
    for (s, e) in iv {
        cur = Some(match cur {
            Some((cs, ce)) if s <= ce => (cs, ce.max(e)),
            Some((cs, ce)) => {
                total += ce - cs;
                (s, e)
            }
            None => (s, e),
        });
    }
    if let Some((cs, ce)) = cur {
        total += ce - cs;
    }
    total / 60
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn folding_keeps_utf8_and_75_octets() {
        let mut s = String::new();
        fold(&mut s, &"DESCRIPTION:".chars().chain("ü".repeat(100).chars()).collect::<String>());
        for l in s.split("\r\n") {
            assert!(l.len() <= 75);
        }
        assert_eq!(s.replace("\r\n ", "").trim_end().chars().filter(|c| *c == 'ü').count(), 100);
    }
    #[test]
    fn union() {
        let w = Window { start: 0, end: 6000 };
        assert_eq!(union_minutes(vec![(0, 600), (300, 900), (1200, 1800), (-60, 60), (5940, 9000)], &w), 15 + 10 + 1);
    }
    #[test]
    fn deterministic_and_uids_map_back() {
        let a = Corpus::new(1, "x", 50, false);
        let b = Corpus::new(1, "x", 50, false);
        for i in 0..50 {
            assert_eq!(a.body(i, 0), b.body(i, 0));
            assert_eq!(usize::from_str_radix(&a.uid(i)[24..], 16).unwrap(), i);
        }
    }
    #[test]
    fn instances_follow_known_rule() {
        // Every 2nd week on MO and WE from Wed 2026-01-07: 7, then week of 19th: 19, 21, then Feb 2, 4.
        let d0 = NaiveDate::from_ymd_opt(2026, 1, 7).unwrap();
        let mut days = [false; 7];
        days[0] = true;
        days[2] = true;
        let v = series(&Rule::Weekly { interval: 2, days }, d0, Some(5));
        let s: Vec<String> = v.iter().map(|d| d.to_string()).collect();
        assert_eq!(s, ["2026-01-07", "2026-01-19", "2026-01-21", "2026-02-02", "2026-02-04"]);
    }
}
