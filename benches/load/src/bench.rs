//! Peers, calendars and the workloads.

use crate::client::{Client, Req, Resp, Target};
use crate::corpus::{self, Corpus, Event, Rng, Window, union_minutes};
use crate::parse::{self, Multi};
use crate::procs::{self, Cpu, Disk, Mem, Server};
use crate::stats::{self, Entry, Rec, r3};
use futures_util::future::join_all;
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

// ---------------------------------------------------------------- configuration

#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum UserCfg {
    Name(String),
    Full { user: String, password: String },
}
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum Many<T> {
    One(T),
    List(Vec<T>),
}
impl<T: Clone> Many<T> {
    fn list(&self) -> Vec<T> {
        match self {
            Many::One(x) => vec![x.clone()],
            Many::List(v) => v.clone(),
        }
    }
}
#[derive(Deserialize, Clone)]
pub struct PeerCfg {
    pub name: String,
    pub base_url: String,
    pub calendar_home_template: String,
    #[serde(default = "auto")]
    pub make_calendar: String,
    pub user: String,
    #[serde(default)]
    pub password: String,
    #[serde(default)]
    pub users: Vec<UserCfg>,
    pub pid: Option<Many<i32>>,
    pub pid_file: Option<Many<String>>,
    pub data_dir: Option<Many<String>>,
    pub login_template: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub start_cmd: Option<String>,
    pub ready_path: Option<String>,
}
fn auto() -> String {
    "auto".into()
}

#[derive(Clone)]
pub struct Opt {
    pub scale: usize,
    pub seed: u64,
    pub tag: String,
    pub clients: Vec<usize>,
    pub many: usize,
    pub rounds: usize,
    pub duration: Duration,
    pub max_ops: usize,
    pub hard: Duration,
    pub timeout: Duration,
    pub attendees: bool,
    pub keep: bool,
    pub pause: Duration,
    pub kill_signal: i32,
    /// Wait before each round until the rest of the machine uses less than this percentage.
    pub quiet_pct: f64,
    pub quiet_wait: Duration,
}
/// Share of all cores in use over one second, percent.
pub async fn wait_quiet(opt: &Opt) {
    let t0 = Instant::now();
    let cores = std::thread::available_parallelism().map(|x| x.get()).unwrap_or(1) as f64;
    while opt.quiet_pct > 0.0 && t0.elapsed() < opt.quiet_wait {
        let (a, t) = (procs::cpu(&[]).busy_s, Instant::now());
        tokio::time::sleep(Duration::from_millis(700)).await;
        if (procs::cpu(&[]).busy_s - a) / t.elapsed().as_secs_f64() / cores * 100.0 < opt.quiet_pct {
            break;
        }
    }
}

// ---------------------------------------------------------------- state

pub struct Expect {
    pub weeks: Vec<Window>,
    pub months: Vec<Window>,
    pub four: Vec<Window>,
    /// Events with an instance in the window, by number.
    pub week_sets: Vec<Vec<usize>>,
    pub month_sets: Vec<Vec<usize>>,
    /// (event, start) of every instance in the month, sorted.
    pub month_inst: Vec<Vec<(usize, i64)>>,
}
impl Expect {
    pub fn new(events: &[Event]) -> Expect {
        let (weeks, months, four) = (corpus::weeks(), corpus::months(), corpus::four_weeks());
        let set = |w: &Window| events.iter().filter(|e| e.in_window(w)).map(|e| e.idx).collect::<Vec<_>>();
        let inst = |w: &Window| {
            let mut v: Vec<(usize, i64)> =
                events.iter().flat_map(|e| e.occ.iter().filter(|o| w.hit(o)).map(|o| (e.idx, o.start))).collect();
            v.sort();
            v
        };
        Expect {
            week_sets: weeks.iter().map(set).collect(),
            month_sets: months.iter().map(set).collect(),
            month_inst: months.iter().map(inst).collect(),
            weeks,
            months,
            four,
        }
    }
    /// Busy minutes; the flags widen the rule, to name the mistake of a server that disagrees.
    pub fn busy(
        events: &[Event],
        present: &dyn Fn(usize) -> bool,
        w: &Window,
        transp: bool,
        cancelled: bool,
        tentative: bool,
    ) -> i64 {
        let iv = events
            .iter()
            .filter(|e| present(e.idx))
            .filter(|e| transp || !e.transparent)
            .filter(|e| cancelled || e.status != corpus::Status::Cancelled)
            .filter(|e| tentative || e.status != corpus::Status::Tentative)
            .flat_map(|e| e.occ.iter().map(|o| (o.start, o.end)))
            .collect();
        union_minutes(iv, w)
    }
}

pub struct Cal {
    pub path: String,
    pub user: usize,
    pub corpus: Rc<Corpus>,
    pub present: Vec<bool>,
    pub rev: Vec<u32>,
    pub etag: Vec<Option<String>>,
    pub made: bool,
}
impl Cal {
    fn new(path: String, user: usize, corpus: Rc<Corpus>) -> Cal {
        let n = corpus.events.len();
        Cal { path, user, corpus, present: vec![false; n], rev: vec![0; n], etag: vec![None; n], made: false }
    }
    fn n(&self) -> usize {
        self.corpus.events.len()
    }
    fn href(&self, idx: usize) -> String {
        format!("{}{}.ics", self.path, self.corpus.uid(idx))
    }
    fn is(&self, idx: usize) -> bool {
        self.present.get(idx).copied().unwrap_or(false)
    }
    fn grow(&mut self, idx: usize) {
        while self.present.len() <= idx {
            self.present.push(false);
            self.rev.push(0);
            self.etag.push(None);
        }
    }
    fn loaded(&self) -> usize {
        (0..self.n()).filter(|i| self.present[*i]).count()
    }
}
type CalRef = Rc<RefCell<Cal>>;

/// What tasks need to talk to a peer.
pub struct Conn {
    pub target: Target,
    pub users: Vec<(String, String)>,
    pub login: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub timeout: Duration,
}
impl Conn {
    fn client(&self, user: usize) -> Client {
        let (u, p) = &self.users[user % self.users.len()];
        let login = self.login.as_ref().map(|t| t.replace("{user}", u)).unwrap_or(u.clone());
        let mut c = Client::new(&self.target, &login, p, self.timeout);
        c.extra = self.headers.iter().map(|(k, v)| (k.clone(), v.replace("{user}", u))).collect();
        c
    }
}

#[derive(Default, Serialize, Deserialize, Clone, Debug)]
pub struct Start {
    pub cold_start_ms: Option<f64>,
    pub restart_ms: Option<f64>,
    pub restart_first_query_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
#[derive(Default, Serialize, Deserialize, Clone, Debug)]
pub struct Snap {
    pub at: String,
    pub events: usize,
    pub mem: Option<Mem>,
    pub disk: Option<Disk>,
}
#[derive(Default, Serialize, Deserialize, Clone, Debug)]
pub struct PeerInfo {
    pub name: String,
    pub base_url: String,
    pub server: String,
    pub dav: String,
    pub reports: Vec<String>,
    pub made_by: String,
    pub pids: Vec<i32>,
}
#[derive(Default, Serialize, Deserialize, Clone, Debug)]
pub struct ResultFile {
    pub meta: BTreeMap<String, serde_json::Value>,
    pub peer: PeerInfo,
    pub start: Start,
    pub snaps: Vec<Snap>,
    pub disk_bytes_per_event: Option<f64>,
    pub entries: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

pub struct Peer {
    pub cfg: PeerCfg,
    pub conn: Rc<Conn>,
    pub pids: Vec<i32>,
    pub dirs: Vec<String>,
    pub server: Option<Server>,
    pub log: String,
    pub cals: BTreeMap<usize, CalRef>,
    pub extra: Vec<CalRef>,
    pub res: ResultFile,
    pub opt: Opt,
    pub exp: Rc<Expect>,
    pub out: String,
}

/// One timed run of one workload.
#[derive(Default)]
pub struct Round {
    pub rec: Rec,
    pub server_s: f64,
    pub client_s: f64,
    pub busy_s: f64,
    pub cpu_wall: f64,
    pub write_bytes: u64,
    pub truncated: bool,
    pub unsupported: Option<String>,
    pub failed: Option<String>,
    pub detail: String,
}
impl Round {
    fn unsupported(why: String) -> Round {
        Round { unsupported: Some(why), ..Default::default() }
    }
    fn failed(why: String) -> Round {
        Round { failed: Some(why), ..Default::default() }
    }
}
impl Round {
    /// Some writes may or may not have reached the server.
    fn unsure(&self) -> bool {
        const LOST: [&str; 5] = ["no answer", "send:", "body:", "connect:", "handshake:"];
        self.truncated || self.rec.errs.keys().any(|k| LOST.iter().any(|p| k.contains(p)))
    }
}
struct Meter {
    t: Instant,
    c: Cpu,
    pids: Vec<i32>,
}
impl Meter {
    fn start(pids: &[i32]) -> Meter {
        Meter { c: procs::cpu(pids), t: Instant::now(), pids: pids.to_vec() }
    }
    fn stop(self, r: &mut Round) {
        r.cpu_wall = self.t.elapsed().as_secs_f64();
        let c = procs::cpu(&self.pids);
        r.server_s = (c.server_s - self.c.server_s).max(0.0);
        r.client_s = (c.client_s - self.c.client_s).max(0.0);
        r.busy_s = (c.busy_s - self.c.busy_s).max(0.0);
        r.write_bytes = c.write_bytes.saturating_sub(self.c.write_bytes);
    }
}

fn excerpt(b: &[u8]) -> String {
    let s = String::from_utf8_lossy(&b[..b.len().min(240)]);
    s.split_whitespace().collect::<Vec<_>>().join(" ")
}
const XML: &str = "application/xml; charset=utf-8";
const ICS: &str = "text/calendar; charset=utf-8";
fn xml_req(method: &str, path: &str, depth: &'static str, body: String) -> Req {
    Req {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: path.to_string(),
        depth: Some(depth),
        ctype: Some(XML),
        body: body.into(),
        ..Default::default()
    }
}
const NS: &str = r#"xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav""#;
fn head() -> &'static str {
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
}
fn propfind_etags(path: &str) -> Req {
    xml_req("PROPFIND", path, "1", format!("{}<D:propfind {NS}><D:prop><D:getetag/></D:prop></D:propfind>", head()))
}
fn sync_req(path: &str, token: &str) -> Req {
    let t = if token.is_empty() {
        "<D:sync-token/>".to_string()
    } else {
        format!("<D:sync-token>{}</D:sync-token>", xml_escape(token))
    };
    xml_req(
        "REPORT",
        path,
        "0",
        format!(
            "{}<D:sync-collection {NS}>{t}<D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>",
            head()
        ),
    )
}
fn xml_escape(s: &str) -> String {
    s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
fn query_req(path: &str, w: &Window, expand: bool) -> Req {
    let (s, e) = (Window::fmt(w.start), Window::fmt(w.end));
    let data = if expand {
        format!("<C:calendar-data><C:expand start=\"{s}\" end=\"{e}\"/></C:calendar-data>")
    } else {
        "<C:calendar-data/>".to_string()
    };
    xml_req(
        "REPORT",
        path,
        "1",
        format!(
            "{}<C:calendar-query {NS}><D:prop><D:getetag/>{data}</D:prop><C:filter><C:comp-filter name=\"VCALENDAR\"><C:comp-filter name=\"VEVENT\"><C:time-range start=\"{s}\" end=\"{e}\"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>",
            head()
        ),
    )
}
fn freebusy_req(path: &str, w: &Window) -> Req {
    xml_req(
        "REPORT",
        path,
        "1",
        format!(
            "{}<C:free-busy-query {NS}><C:time-range start=\"{}\" end=\"{}\"/></C:free-busy-query>",
            head(),
            Window::fmt(w.start),
            Window::fmt(w.end)
        ),
    )
}
fn put_req(href: String, body: String) -> Req {
    Req { method: Method::PUT, path: href, ctype: Some(ICS), body: body.into(), ..Default::default() }
}

// ---------------------------------------------------------------- read workloads

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Read {
    Get,
    Propfind,
    Multiget,
    QueryWeek,
    QueryMonth,
    ExpandMonth,
    Freebusy,
    SyncInitial,
}
const BATCH: usize = 50;

/// A frozen view of a calendar for building and checking reads.
struct View {
    path: String,
    corpus: Rc<Corpus>,
    present: Vec<bool>,
    rev: Vec<u32>,
    batches: Vec<Vec<usize>>,
    exp: Rc<Expect>,
    /// In mixed runs etags and revisions move, so revisions are not compared.
    moving: bool,
}
impl View {
    fn of(c: &Cal, exp: &Rc<Expect>, seed: u64, moving: bool) -> View {
        let mut all: Vec<usize> = (0..c.n()).filter(|i| c.present[*i]).collect();
        Rng::of(&[seed, 0xba7c]).shuffle(&mut all);
        View {
            path: c.path.clone(),
            corpus: c.corpus.clone(),
            present: c.present.clone(),
            rev: c.rev.clone(),
            batches: all.chunks(BATCH).map(|c| c.to_vec()).collect(),
            exp: exp.clone(),
            moving,
        }
    }
    fn is(&self, i: usize) -> bool {
        self.present.get(i).copied().unwrap_or(false)
    }
    fn keys(&self, r: Read) -> Vec<u64> {
        let n = match r {
            Read::Get => return (0..self.corpus.events.len() as u64).filter(|i| self.is(*i as usize)).collect(),
            Read::Propfind | Read::SyncInitial => 1,
            Read::Multiget => self.batches.iter().filter(|b| b.len() == BATCH).count().max(1),
            Read::QueryWeek => self.exp.weeks.len(),
            Read::QueryMonth | Read::ExpandMonth => self.exp.months.len(),
            Read::Freebusy => self.exp.four.len(),
        };
        (0..n as u64).collect()
    }
    fn href(&self, idx: usize) -> String {
        format!("{}{}.ics", self.path, self.corpus.uid(idx))
    }
    fn req(&self, r: Read, key: u64) -> Req {
        let k = key as usize;
        match r {
            Read::Get => Req { method: Method::GET, path: self.href(k), ..Default::default() },
            Read::Propfind => propfind_etags(&self.path),
            Read::Multiget => {
                let mut b =
                    format!("{}<C:calendar-multiget {NS}><D:prop><D:getetag/><C:calendar-data/></D:prop>", head());
                for i in &self.batches[k] {
                    b += &format!("<D:href>{}</D:href>", xml_escape(&self.href(*i)));
                }
                b += "</C:calendar-multiget>";
                xml_req("REPORT", &self.path, "1", b)
            }
            Read::QueryWeek => query_req(&self.path, &self.exp.weeks[k], false),
            Read::QueryMonth => query_req(&self.path, &self.exp.months[k], false),
            Read::ExpandMonth => query_req(&self.path, &self.exp.months[k], true),
            Read::Freebusy => freebusy_req(&self.path, &self.exp.four[k]),
            Read::SyncInitial => sync_req(&self.path, ""),
        }
    }
    fn data_ok(&self, idx: usize, data: &str) -> Result<(), String> {
        if !data.contains(&self.corpus.uid(idx)) {
            return Err("calendar-data without the event's UID".into());
        }
        if !self.moving && !data.contains(&Event::rev_token(self.rev[idx])) {
            return Err(format!("stale data: expected revision {} of the event", self.rev[idx]));
        }
        if !data.contains("END:VCALENDAR") {
            return Err("cut calendar-data".into());
        }
        Ok(())
    }
    /// Compares sets of events; the message names the kinds of event that are missing or extra.
    fn same(&self, got: &[usize], want: &[usize]) -> Result<(), String> {
        let (g, w): (HashSet<_>, HashSet<_>) = (got.iter().collect(), want.iter().collect());
        if got.len() != g.len() {
            return Err(format!("{} events listed twice", got.len() - g.len()));
        }
        if g == w {
            return Ok(());
        }
        let class = |v: Vec<&&usize>| {
            let mut m: BTreeMap<String, usize> = BTreeMap::new();
            for i in v {
                let c = self.corpus.events.get(**i).map(|e| e.class()).unwrap_or("unknown".into());
                *m.entry(c).or_default() += 1;
            }
            m.iter().map(|(k, n)| format!("{k}:{n}")).collect::<Vec<_>>().join(" ")
        };
        Err(format!(
            "expected {} events, got {} (missing [{}], extra [{}])",
            w.len(),
            g.len(),
            class(w.difference(&g).collect()),
            class(g.difference(&w).collect())
        ))
    }
    fn members(&self, m: &Multi) -> Result<Vec<usize>, String> {
        let me = parse::percent_decode(&self.path);
        let mut v = Vec::with_capacity(m.responses.len());
        for r in &m.responses {
            if r.path.trim_end_matches('/') == me.trim_end_matches('/') {
                continue;
            }
            if !r.path.starts_with(&me) {
                return Err(format!("href outside the calendar: {}", r.path));
            }
            v.push(r.idx().ok_or_else(|| format!("unknown href {}", r.path))?);
        }
        Ok(v)
    }
    fn check(&self, r: Read, key: u64, status: u16, body: &[u8]) -> Result<(), String> {
        let k = key as usize;
        let want = match r {
            Read::Get | Read::Freebusy => 200,
            _ => 207,
        };
        if status != want {
            return Err(format!("HTTP {status}, expected {want}"));
        }
        match r {
            Read::Get => return self.data_ok(k, &String::from_utf8_lossy(body)),
            Read::Freebusy => return self.check_busy(k, body),
            _ => {}
        }
        let m = parse::multistatus(body)?;
        let got = self.members(&m)?;
        let me = parse::percent_decode(&self.path);
        let members = || m.responses.iter().filter(|x| x.path.trim_end_matches('/') != me.trim_end_matches('/'));
        match r {
            Read::Propfind | Read::SyncInitial => {
                let want: Vec<usize> = (0..self.present.len()).filter(|i| self.present[*i]).collect();
                self.same(&got, &want)?;
                let bare = members().filter(|x| x.etag.is_none()).count();
                if bare > 0 {
                    return Err(format!("{bare} members without getetag"));
                }
                if r == Read::SyncInitial && m.sync_token.is_none() {
                    return Err("no sync-token".into());
                }
            }
            Read::Multiget => {
                self.same(&got, &self.batches[k])?;
                for x in members() {
                    self.data_ok(x.idx().unwrap(), x.data.as_deref().ok_or("member without calendar-data")?)?;
                }
            }
            Read::QueryWeek | Read::QueryMonth => {
                let set = if r == Read::QueryWeek { &self.exp.week_sets[k] } else { &self.exp.month_sets[k] };
                let want: Vec<usize> = set.iter().copied().filter(|i| self.is(*i)).collect();
                self.same(&got, &want)?;
                for x in members() {
                    self.data_ok(x.idx().unwrap(), x.data.as_deref().ok_or("member without calendar-data")?)?;
                }
            }
            Read::ExpandMonth => {
                let w = &self.exp.months[k];
                let want: Vec<(usize, i64)> =
                    self.exp.month_inst[k].iter().copied().filter(|(i, _)| self.is(*i)).collect();
                let mut got: Vec<(usize, i64)> = Vec::new();
                let (mut not_utc, mut empty) = (0, 0);
                for x in members() {
                    let idx = x.idx().unwrap();
                    let d = x.data.as_deref().ok_or("member without calendar-data")?;
                    let i = parse::instances(d);
                    if i.rrule_left {
                        return Err("expand ignored: RRULE left in calendar-data".into());
                    }
                    if i.unreadable > 0 {
                        return Err("unreadable DTSTART in expanded data".into());
                    }
                    not_utc += (!i.all_utc) as usize;
                    empty += i.starts.is_empty() as usize;
                    got.extend(i.starts.iter().map(|t| (idx, *t)));
                }
                got.sort();
                if got != want {
                    // A multiset difference: an event may have two instances with one start.
                    let less = |a: &[(usize, i64)], b: &[(usize, i64)]| {
                        let mut left: BTreeMap<(usize, i64), i64> = BTreeMap::new();
                        a.iter().for_each(|x| *left.entry(*x).or_default() += 1);
                        b.iter().for_each(|x| *left.entry(*x).or_default() -= 1);
                        let mut m: BTreeMap<String, i64> = BTreeMap::new();
                        for ((i, t), n) in left.into_iter().filter(|(_, n)| *n > 0) {
                            let c = self.corpus.events.get(i).map(|e| e.class()).unwrap_or("unknown".into());
                            let side = if t < w.start {
                                "@before-window"
                            } else if t >= w.end {
                                "@after-window"
                            } else if a.contains(&(i, t)) && b.contains(&(i, t)) {
                                "@same-start-as-another"
                            } else {
                                ""
                            };
                            *m.entry(format!("{c}{side}")).or_default() += n;
                        }
                        m.iter().map(|(k, n)| format!("{k}:{n}")).collect::<Vec<_>>().join(" ")
                    };
                    return Err(format!(
                        "{}: expected {} instances, got {} (missing [{}], extra [{}])",
                        w.label(),
                        want.len(),
                        got.len(),
                        less(&want, &got),
                        less(&got, &want)
                    ));
                }
                if empty > 0 {
                    return Err("odd: instances right, but events without any instance listed too".into());
                }
                if not_utc > 0 {
                    return Err("odd: instances right, but some not in UTC form (RFC 4791 9.6.5)".into());
                }
            }
            Read::Get | Read::Freebusy => unreachable!(),
        }
        Ok(())
    }
    fn check_busy(&self, k: usize, body: &[u8]) -> Result<(), String> {
        let w = self.exp.four[k];
        let ev = &self.corpus.events;
        let is = |i: usize| self.is(i);
        let want = Expect::busy(ev, &is, &w, false, false, true);
        let b = parse::freebusy(&String::from_utf8_lossy(body))?;
        let got = union_minutes(b.periods.clone(), &w);
        if got == want {
            // Periods reaching past the window are let through: union_minutes clips them.
            return Ok(());
        }
        let mut why = String::new();
        for (t, c, v, name) in [
            (true, false, true, "counts TRANSPARENT"),
            (false, true, true, "counts CANCELLED"),
            (true, true, true, "counts TRANSPARENT and CANCELLED"),
            (false, false, false, "leaves out TENTATIVE"),
            (false, true, false, "leaves out TENTATIVE, counts CANCELLED"),
            (true, false, false, "leaves out TENTATIVE, counts TRANSPARENT"),
            (true, true, false, "leaves out TENTATIVE, counts TRANSPARENT and CANCELLED"),
        ] {
            if Expect::busy(ev, &is, &w, t, c, v) == got {
                why = format!("; total fits a server that {name}");
                break;
            }
        }
        if b.periods.is_empty() && b.component_spans.len() > 1 {
            let alt = union_minutes(b.component_spans.clone(), &w);
            why = format!(
                "; no FREEBUSY property, but {} VFREEBUSY components whose own spans sum to {alt} min{}",
                b.component_spans.len(),
                if alt == want { " (the right total in a non-standard form)" } else { "" }
            );
        }
        Err(format!("{}: expected {want} busy minutes, got {got}{why}", w.label()))
    }
}

// ---------------------------------------------------------------- peer: set-up and small steps

impl Peer {
    pub fn new(cfg: PeerCfg, opt: &Opt, exp: &Rc<Expect>, out: String) -> Result<Peer, String> {
        let target = Target::parse(&cfg.base_url).map_err(|e| format!("{}: {e}", cfg.name))?;
        let mut users = vec![(cfg.user.clone(), cfg.password.replace("{user}", &cfg.user))];
        let listed: Vec<(String, String)> = cfg
            .users
            .iter()
            .map(|u| match u {
                // "{user}" in the password, or a password equal to the user name, is a rule for all.
                UserCfg::Name(n) if cfg.password == cfg.user => (n.clone(), n.clone()),
                UserCfg::Name(n) => (n.clone(), cfg.password.replace("{user}", n)),
                UserCfg::Full { user, password } => (user.clone(), password.clone()),
            })
            .collect();
        users.extend(listed.into_iter().filter(|u| u.0 != cfg.user));
        let mut p = Peer {
            conn: Rc::new(Conn {
                target,
                users,
                login: cfg.login_template.clone(),
                headers: cfg.headers.clone(),
                timeout: opt.timeout,
            }),
            pids: cfg.pid.as_ref().map(|m| m.list()).unwrap_or_default(),
            dirs: cfg.data_dir.as_ref().map(|m| m.list()).unwrap_or_default(),
            server: None,
            log: format!("{out}.server.log"),
            cals: BTreeMap::new(),
            extra: vec![],
            res: ResultFile::default(),
            opt: opt.clone(),
            exp: exp.clone(),
            out,
            cfg,
        };
        p.read_pid_files();
        p.res.peer.name = p.cfg.name.clone();
        p.res.peer.base_url = p.cfg.base_url.clone();
        Ok(p)
    }
    fn read_pid_files(&mut self) {
        for f in self.cfg.pid_file.as_ref().map(|m| m.list()).unwrap_or_default() {
            if let Some(p) = std::fs::read_to_string(&f).ok().and_then(|s| s.split_whitespace().next()?.parse().ok()) {
                if !self.pids.contains(&p) {
                    self.pids.push(p);
                }
            }
        }
    }
    fn home(&self, user: usize) -> String {
        let h = self.cfg.calendar_home_template.replace("{user}", &self.conn.users[user % self.conn.users.len()].0);
        let h = format!("{}/{}/", self.conn.target.prefix, h.trim_matches('/'));
        h.replace("//", "/")
    }
    pub async fn spawn(&mut self) -> Result<f64, String> {
        let cmd = self.cfg.start_cmd.clone().ok_or("no start_cmd")?;
        if tokio::net::TcpStream::connect(self.conn.target.addr).await.is_ok() {
            return Err("something already listens at base_url; not starting another".into());
        }
        let t0 = Instant::now();
        let s = Server::start(&cmd, &self.log)?;
        let pid = s.pid();
        self.server = Some(s);
        let path = self.cfg.ready_path.clone().unwrap_or_else(|| self.home(0));
        while t0.elapsed() < Duration::from_secs(60) {
            let mut c = self.conn.client(0);
            c.timeout = Duration::from_secs(5);
            let r = Req { method: Method::OPTIONS, path: path.clone(), ..Default::default() };
            if let Ok(x) = c.send(&r).await {
                if x.status < 500 {
                    let ms = t0.elapsed().as_secs_f64() * 1e3;
                    self.pids = vec![pid];
                    self.read_pid_files();
                    return Ok(r3(ms));
                }
            }
            if self.server.as_mut().is_some_and(|s| s.exited()) {
                return Err(format!("server exited at once; see {}", self.log));
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        Err("server did not answer in 60 s".into())
    }
    pub async fn setup(&mut self) -> Result<(), String> {
        if self.cfg.start_cmd.is_some() {
            let ms = self.spawn().await?;
            self.res.start.cold_start_ms = Some(ms);
        }
        let mut c = self.conn.client(0);
        let home = self.home(0);
        let o = c
            .send(&Req { method: Method::OPTIONS, path: home.clone(), ..Default::default() })
            .await
            .map_err(|e| format!("{}: OPTIONS {home}: {e}", self.cfg.name))?;
        let h = |n: &str| o.headers.get_all(n).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(", ");
        self.res.peer.server = h("server");
        self.res.peer.dav = h("dav");
        self.snap("idle", 0);
        for (i, n) in self.opt.clients.clone().into_iter().enumerate() {
            let tag = format!("{}-c{n}", self.opt.tag);
            let corpus = Rc::new(Corpus::new(self.opt.seed, &tag, self.opt.scale, self.opt.attendees));
            let cal = Rc::new(RefCell::new(Cal::new(format!("{home}dbench-{tag}/"), 0, corpus)));
            let by = self.make_calendar(&cal).await?;
            self.cals.insert(n, cal.clone());
            if i == 0 {
                self.res.peer.made_by = by;
                let path = cal.borrow().path.clone();
                let r = xml_req(
                    "PROPFIND",
                    &path,
                    "0",
                    format!("{}<D:propfind {NS}><D:prop><D:supported-report-set/></D:prop></D:propfind>", head()),
                );
                if let Ok(x) = c.send(&r).await {
                    self.res.peer.reports = report_names(&x.body);
                }
            }
        }
        self.res.peer.pids = procs::tree(&self.pids);
        self.snap("empty calendars made", 0);
        Ok(())
    }
    async fn make_calendar(&self, cal: &CalRef) -> Result<String, String> {
        let (path, user) = (cal.borrow().path.clone(), cal.borrow().user);
        let mut c = self.conn.client(user);
        let props = "<D:displayname>davbench</D:displayname><C:supported-calendar-component-set><C:comp name=\"VEVENT\"/></C:supported-calendar-component-set>";
        let mkcal = || {
            xml_req(
                "MKCALENDAR",
                &path,
                "0",
                format!("{}<C:mkcalendar {NS}><D:set><D:prop>{props}</D:prop></D:set></C:mkcalendar>", head()),
            )
        };
        let mkcol = || {
            xml_req(
                "MKCOL",
                &path,
                "0",
                format!(
                    "{}<D:mkcol {NS}><D:set><D:prop><D:resourcetype><D:collection/><C:calendar/></D:resourcetype>{props}</D:prop></D:set></D:mkcol>",
                    head()
                ),
            )
        };
        let tries: Vec<(&str, Req)> = match self.cfg.make_calendar.to_ascii_uppercase().as_str() {
            "MKCALENDAR" => vec![("MKCALENDAR", mkcal())],
            "MKCOL" => vec![("MKCOL", mkcol())],
            "NONE" => vec![],
            _ => vec![("MKCALENDAR", mkcal()), ("MKCOL", mkcol())],
        };
        let mut said = vec![];
        for (name, mut r) in tries {
            r.depth = None;
            match c.send(&r).await {
                Ok(x) if (200..300).contains(&x.status) => {
                    cal.borrow_mut().made = true;
                    return Ok(name.to_string());
                }
                Ok(x) => said.push(format!("{name}: HTTP {} {}", x.status, excerpt(&x.body))),
                Err(e) => said.push(format!("{name}: {e}")),
            }
        }
        // auto/none: some servers make a calendar on first use.
        if let Ok(x) = c.send(&propfind_etags(&path)).await {
            if x.status == 207 {
                return Ok("already there".into());
            }
        }
        Err(format!("{}: cannot make {path}: {}", self.cfg.name, said.join("; ")))
    }
    pub fn snap(&mut self, at: &str, events: usize) {
        let s = Snap { at: at.into(), events, mem: procs::mem(&self.pids), disk: procs::disk(&self.dirs) };
        self.res.snaps.push(s);
    }
    pub async fn finish(&mut self) {
        let total: usize = self.cals.values().map(|c| c.borrow().present.iter().filter(|x| **x).count()).sum();
        self.snap("end", total);
        if !self.opt.keep {
            let all: Vec<CalRef> = self.cals.values().cloned().chain(self.extra.drain(..)).collect();
            for cal in all {
                let (path, user, made) = {
                    let c = cal.borrow();
                    (c.path.clone(), c.user, c.made)
                };
                if made {
                    let mut c = self.conn.client(user);
                    let r = Req { method: Method::DELETE, path, ..Default::default() };
                    match c.send(&r).await {
                        Ok(x) if (200..300).contains(&x.status) => {}
                        Ok(x) => self.res.notes.push(format!("DELETE of the calendar: HTTP {}", x.status)),
                        Err(e) => self.res.notes.push(format!("DELETE of the calendar: {e}")),
                    }
                }
            }
        }
        self.write();
        if let Some(s) = self.server.as_mut() {
            s.stop(libc::SIGTERM);
        }
    }
    pub fn write(&self) {
        let s = serde_json::to_string_pretty(&self.res).unwrap();
        if let Err(e) = std::fs::write(&self.out, s) {
            eprintln!("{}: {e}", self.out);
        }
    }

    /// Loads what is missing, off the clock.
    async fn fill(&mut self, cal: &CalRef) -> Result<(), String> {
        let missing: Vec<usize> = {
            let c = cal.borrow();
            (0..c.n()).filter(|i| !c.present[*i]).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let r = self.put_new(cal, missing, 4).await;
        if r.unsure() {
            self.resync(cal).await?;
        }
        let c = cal.borrow();
        if c.loaded() < c.n() {
            let why = r.rec.errs.keys().next().cloned().unwrap_or_else(|| "time limit".into());
            if c.loaded() < BATCH.min(c.n()) {
                return Err(format!("only {} of {} events could be loaded: {why}", c.loaded(), c.n()));
            }
            drop(c);
            let c = cal.borrow();
            self.res.notes.push(format!(
                "{}: only {} of {} events loaded ({why}); expectations follow what is there",
                c.path,
                c.loaded(),
                c.n()
            ));
        }
        Ok(())
    }
    async fn refresh_etags(&self, cal: &CalRef) -> Result<(), String> {
        let (path, user) = (cal.borrow().path.clone(), cal.borrow().user);
        let mut cl = self.conn.client(user);
        cl.timeout = self.opt.hard;
        let x = cl.send(&propfind_etags(&path)).await?;
        if x.status != 207 {
            return Err(format!("PROPFIND HTTP {}", x.status));
        }
        let m = parse::multistatus(&x.body)?;
        let mut c = cal.borrow_mut();
        for r in m.responses {
            if let Some(i) = r.idx() {
                if c.is(i) {
                    c.etag[i] = r.etag;
                }
            }
        }
        Ok(())
    }
    /// Off the clock: the members are exactly those expected and, if asked, each has its last
    /// acknowledged revision.
    async fn audit(&self, cal: &CalRef, data: bool) -> Result<(), String> {
        let v = View::of(&cal.borrow(), &self.exp, self.opt.seed, false);
        let user = cal.borrow().user;
        let mut cl = self.conn.client(user);
        cl.timeout = self.opt.hard;
        let x = cl.send(&v.req(Read::Propfind, 0)).await?;
        v.check(Read::Propfind, 0, x.status, &x.body).map_err(|e| format!("state after the run: {e}"))?;
        if data && v.batches.len() <= 400 {
            for k in 0..v.batches.len() as u64 {
                let x = cl.send(&v.req(Read::Multiget, k)).await?;
                v.check(Read::Multiget, k, x.status, &x.body).map_err(|e| format!("state after the run: {e}"))?;
            }
        }
        Ok(())
    }

    /// Waits until the server has stopped working on what earlier runs left behind (requests that
    /// timed out go on in many servers), so that it does not slow the next run.
    pub async fn drain(&mut self) {
        let t0 = Instant::now();
        let mut waited = false;
        while !self.pids.is_empty() && t0.elapsed() < self.opt.hard {
            let a = procs::cpu(&self.pids).server_s;
            tokio::time::sleep(Duration::from_millis(250)).await;
            if procs::cpu(&self.pids).server_s - a <= 0.021 {
                break;
            }
            waited = true;
        }
        if waited && t0.elapsed() > Duration::from_secs(5) {
            self.res.notes.push(format!("waited {:.0} s for the server to go idle", t0.elapsed().as_secs_f64()));
        }
    }
    /// After a run that was cut off or had errors, learns from the server which events it holds
    /// and at which revision, so that later workloads are judged by what is really there.
    async fn resync(&self, cal: &CalRef) -> Result<(), String> {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (path, user) = (cal.borrow().path.clone(), cal.borrow().user);
        let mut cl = self.conn.client(user);
        cl.timeout = self.opt.hard;
        let x = cl.send(&propfind_etags(&path)).await?;
        let m = parse::multistatus(&x.body)?;
        {
            let mut c = cal.borrow_mut();
            c.present.iter_mut().for_each(|p| *p = false);
            for r in m.responses {
                if let Some(i) = r.idx() {
                    c.grow(i);
                    c.present[i] = true;
                    c.etag[i] = r.etag;
                }
            }
        }
        let v = View::of(&cal.borrow(), &self.exp, self.opt.seed, true);
        if v.batches.len() <= 400 {
            for k in 0..v.batches.len() as u64 {
                let x = cl.send(&v.req(Read::Multiget, k)).await?;
                let mut c = cal.borrow_mut();
                for r in parse::multistatus(&x.body)?.responses {
                    if let (Some(i), Some(d)) = (r.idx(), r.data) {
                        if let Some(n) = d.find("[r").and_then(|p| d.get(p + 2..p + 6)?.parse().ok()) {
                            c.rev[i] = n;
                        }
                    }
                }
            }
        }
        Ok(())
    }
    /// After writes: audits the state. Where a write's fate is unknown (cut off, no answer) the
    /// state is read from the server instead; never otherwise, for that would hide its mistakes.
    async fn after(&mut self, cal: &CalRef, data: bool, r: &mut Round) {
        if r.unsure() {
            self.drain().await;
            self.res.notes.push("state read back from the server after writes of unknown fate".into());
            if let Err(e) = self.resync(cal).await {
                r.rec.fail(format!("reading the state after errors: {e}"));
            }
        }
        if let Err(e) = self.audit(cal, data).await {
            r.rec.fail(e);
        }
    }

    // ------------------------------------------------------------ workloads

    /// Runs `n` tasks under the hard limit. Returns whether the limit cut them off.
    async fn under_limit(&self, hs: Vec<tokio::task::JoinHandle<()>>) -> bool {
        let ab: Vec<_> = hs.iter().map(|h| h.abort_handle()).collect();
        let cut = tokio::time::timeout(self.opt.hard, join_all(hs)).await.is_err();
        if cut {
            for a in ab {
                a.abort();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cut
    }
    fn close(&self, m: Meter, rec: Rc<RefCell<Rec>>, wall: f64, cut: bool) -> Round {
        let mut r = Round { truncated: cut, ..Default::default() };
        m.stop(&mut r);
        r.rec = std::mem::take(&mut *rec.borrow_mut());
        r.rec.wall = wall;
        r
    }

    async fn put_new(&mut self, cal: &CalRef, idxs: Vec<usize>, n: usize) -> Round {
        let reqs: Vec<(usize, Req)> = {
            let c = cal.borrow();
            idxs.iter()
                .map(|i| {
                    let mut r = put_req(c.href(*i), c.corpus.body(*i, 0));
                    r.if_none_match_any = true;
                    (*i, r)
                })
                .collect()
        };
        let reqs = Rc::new(reqs);
        let cursor = Rc::new(Cell::new(0usize));
        let rec = Rc::new(RefCell::new(Rec::default()));
        let m = Meter::start(&self.pids);
        let t0 = Instant::now();
        let hs = (0..n)
            .map(|_| {
                let (reqs, cursor, rec, cal, conn) =
                    (reqs.clone(), cursor.clone(), rec.clone(), cal.clone(), self.conn.clone());
                let user = cal.borrow().user;
                tokio::task::spawn_local(async move {
                    let mut cl = conn.client(user);
                    let mut streak = 0;
                    while streak < 20 {
                        let k = cursor.get();
                        let Some((idx, req)) = reqs.get(k) else { break };
                        cursor.set(k + 1);
                        let res = send(&mut cl, &rec, req).await;
                        let mut rc = rec.borrow_mut();
                        match res {
                            Ok(x) if matches!(x.status, 200 | 201 | 204) => {
                                if x.status != 201 {
                                    rc.odd(&format!("create answered {} not 201", x.status));
                                }
                                if x.etag.is_none() {
                                    rc.odd("create answered without ETag");
                                }
                                rc.good(x.lat_ns);
                                let mut c = cal.borrow_mut();
                                c.present[*idx] = true;
                                c.rev[*idx] = 0;
                                c.etag[*idx] = x.etag;
                                streak = 0;
                            }
                            Ok(x) => {
                                rc.fail(format!("HTTP {}: {}", x.status, excerpt(&x.body)));
                                streak += 1;
                            }
                            Err(e) => {
                                rc.fail(e);
                                streak += 1;
                            }
                        }
                    }
                })
            })
            .collect();
        let cut = self.under_limit(hs).await;
        self.close(m, rec, t0.elapsed().as_secs_f64(), cut)
    }

    async fn put_update(&mut self, cal: &CalRef, n: usize, salt: u64) -> Round {
        if let Err(e) = self.refresh_etags(cal).await {
            return Round::failed(format!("reading ETags: {e}"));
        }
        let rec = Rc::new(RefCell::new(Rec::default()));
        let total = Rc::new(Cell::new(0usize));
        let (dur, max) = (self.opt.duration, self.opt.max_ops);
        let m = Meter::start(&self.pids);
        let t0 = Instant::now();
        let hs = (0..n)
            .map(|k| {
                let (rec, cal, conn, total) = (rec.clone(), cal.clone(), self.conn.clone(), total.clone());
                let mut mine: Vec<usize> = {
                    let c = cal.borrow();
                    (0..c.n()).filter(|i| c.present[*i] && i % n == k).collect()
                };
                Rng::of(&[self.opt.seed, salt, k as u64]).shuffle(&mut mine);
                tokio::task::spawn_local(async move {
                    let user = cal.borrow().user;
                    let mut cl = conn.client(user);
                    let (mut done, mut streak) = (0, 0);
                    for idx in mine.iter().copied().cycle() {
                        if done > 0 && (t0.elapsed() >= dur || total.get() >= max) || streak >= 20 {
                            break;
                        }
                        done += 1;
                        total.set(total.get() + 1);
                        match update(&mut cl, &rec, &cal, idx).await {
                            Ok(lat) => {
                                rec.borrow_mut().good(lat);
                                streak = 0;
                            }
                            Err(e) => {
                                rec.borrow_mut().fail(e);
                                streak += 1;
                            }
                        }
                    }
                })
            })
            .collect();
        let cut = self.under_limit(hs).await;
        let mut r = self.close(m, rec, t0.elapsed().as_secs_f64(), cut);
        self.after(cal, true, &mut r).await;
        r
    }

    async fn read(&mut self, cal: &CalRef, w: Read, n: usize, salt: u64) -> Round {
        let v = Rc::new(View::of(&cal.borrow(), &self.exp, self.opt.seed, false));
        let user = cal.borrow().user;
        let keys = v.keys(w);
        if keys.is_empty() || (w == Read::Multiget && v.batches.is_empty()) {
            return Round::failed("no events loaded".into());
        }
        // One probe off the clock: says whether the server has the feature, and how long the
        // first (coldest) answer took.
        let mut first_keys = keys.clone();
        Rng::of(&[self.opt.seed, salt, 0]).shuffle(&mut first_keys);
        let mut cl = self.conn.client(user);
        let probe = match cl.send(&v.req(w, first_keys[0])).await {
            Err(e) => return Round::failed(e),
            Ok(x) => x,
        };
        let optional = !matches!(w, Read::Get | Read::Propfind);
        if optional && matches!(probe.status, 400 | 403 | 404 | 405 | 409 | 415 | 422 | 501) {
            return Round::unsupported(format!("HTTP {}: {}", probe.status, excerpt(&probe.body)));
        }
        if probe.status >= 300 {
            return Round::failed(format!("HTTP {}: {}", probe.status, excerpt(&probe.body)));
        }
        if let Err(e) = v.check(w, first_keys[0], probe.status, &probe.body) {
            // A probe whose content is wrong is not fatal: the run below counts the wrong answers.
            if e.starts_with("expand ignored") {
                return Round::unsupported(e);
            }
            if e == "no sync-token" {
                return Round::unsupported(e);
            }
            if w == Read::Freebusy && e.starts_with("no VFREEBUSY") {
                return Round::unsupported(format!("{e}: {}", excerpt(&probe.body)));
            }
        }
        drop(cl);
        let rec = Rc::new(RefCell::new(Rec { first: Some(probe.lat_ns), ..Default::default() }));
        let total = Rc::new(Cell::new(0usize));
        let (dur, max) = (self.opt.duration, self.opt.max_ops);
        let m = Meter::start(&self.pids);
        let t0 = Instant::now();
        let hs = (0..n)
            .map(|k| {
                let (rec, conn, total, v) = (rec.clone(), self.conn.clone(), total.clone(), v.clone());
                let mut order = keys.clone();
                Rng::of(&[self.opt.seed, salt, 1 + k as u64]).shuffle(&mut order);
                tokio::task::spawn_local(async move {
                    let mut cl = conn.client(user);
                    let check = |key: u64, s: u16, b: &[u8]| v.check(w, key, s, b);
                    let (mut mine, mut streak) = (0, 0);
                    for key in order.iter().copied().cycle() {
                        if mine > 0 && (t0.elapsed() >= dur || total.get() >= max) || streak >= 20 {
                            break;
                        }
                        mine += 1;
                        total.set(total.get() + 1);
                        let req = v.req(w, key);
                        match send(&mut cl, &rec, &req).await {
                            Ok(x) if w == Read::SyncInitial && has(&x.body, b" 507 ") => {
                                let r = paged(&mut cl, &rec, &v, x).await;
                                let mut rc = rec.borrow_mut();
                                match r {
                                    Ok(lat) => rc.good(lat),
                                    Err(e) => rc.fail(e),
                                }
                                rc.odd("initial sync came in pages (507)");
                            }
                            Ok(x) => {
                                streak = if x.status < 300 { 0 } else { streak + 1 };
                                rec.borrow_mut().later(key, x.status, x.body, x.lat_ns, &check);
                            }
                            Err(e) => {
                                rec.borrow_mut().fail(e);
                                streak += 1;
                            }
                        }
                    }
                })
            })
            .collect();
        let cut = self.under_limit(hs).await;
        let mut r = self.close(m, rec, t0.elapsed().as_secs_f64(), cut);
        r.rec.settle(&|key, s, b| v.check(w, key, s, b));
        r
    }

    async fn initial_token(&self, cal: &CalRef) -> Result<String, Round> {
        let (path, user) = (cal.borrow().path.clone(), cal.borrow().user);
        let mut cl = self.conn.client(user);
        cl.timeout = self.opt.hard;
        let mut token = String::new();
        for _ in 0..1000 {
            let x = cl.send(&sync_req(&path, &token)).await.map_err(Round::failed)?;
            if matches!(x.status, 400 | 403 | 404 | 405 | 409 | 415 | 422 | 501) {
                return Err(Round::unsupported(format!("HTTP {}: {}", x.status, excerpt(&x.body))));
            }
            if x.status != 207 {
                return Err(Round::failed(format!("HTTP {}: {}", x.status, excerpt(&x.body))));
            }
            let m = parse::multistatus(&x.body).map_err(Round::failed)?;
            token = m.sync_token.clone().ok_or_else(|| Round::unsupported("no sync-token".into()))?;
            if !m.responses.iter().any(|r| r.status == Some(507)) {
                return Ok(token);
            }
        }
        Err(Round::failed("sync never ends".into()))
    }

    /// Each step: one event is changed (off the clock), then all n clients sync from the same
    /// token at once; each must be told of exactly that event.
    async fn sync_delta(&mut self, cal: &CalRef, n: usize, salt: u64) -> Round {
        if let Err(e) = self.refresh_etags(cal).await {
            return Round::failed(format!("reading ETags: {e}"));
        }
        let mut token = match self.initial_token(cal).await {
            Ok(t) => t,
            Err(r) => return r,
        };
        let v = View::of(&cal.borrow(), &self.exp, self.opt.seed, true);
        let user = cal.borrow().user;
        let mut order: Vec<usize> = v.keys(Read::Get).into_iter().map(|x| x as usize).collect();
        Rng::of(&[self.opt.seed, salt]).shuffle(&mut order);
        let rec = Rc::new(RefCell::new(Rec::default()));
        let side = Rc::new(RefCell::new(Rec::default()));
        let mut writer = self.conn.client(user);
        let mut cls: Vec<Client> = (0..n).map(|_| self.conn.client(user)).collect();
        let m = Meter::start(&self.pids);
        let begin = Instant::now();
        let (mut clocked, mut done, mut cut) = (0.0f64, 0usize, false);
        for idx in order.iter().copied().cycle() {
            if done > 0
                && (clocked >= self.opt.duration.as_secs_f64()
                    || begin.elapsed() >= 3 * self.opt.duration
                    || done >= self.opt.max_ops)
            {
                break;
            }
            if begin.elapsed() >= self.opt.hard {
                cut = true;
                break;
            }
            if rec.borrow().errors > 200 && rec.borrow().ok.is_empty() {
                break;
            }
            if let Err(e) = update(&mut writer, &side, cal, idx).await {
                rec.borrow_mut().fail(format!("the change before the sync failed: {e}"));
                break;
            }
            let req = sync_req(&v.path, &token);
            let t = Instant::now();
            let rs: Vec<Result<Resp, String>> = join_all(cls.iter_mut().map(|c| send(c, &rec, &req))).await;
            clocked += t.elapsed().as_secs_f64();
            let mut next = None;
            for r in rs {
                done += 1;
                let mut rc = rec.borrow_mut();
                let x = match r {
                    Ok(x) => x,
                    Err(e) => {
                        rc.fail(e);
                        continue;
                    }
                };
                let verdict = (|| {
                    if x.status != 207 {
                        return Err(format!("HTTP {}: {}", x.status, excerpt(&x.body)));
                    }
                    let m = parse::multistatus(&x.body)?;
                    let got = v.members(&m)?;
                    let t = m.sync_token.clone().ok_or("no sync-token")?;
                    if t == token {
                        return Err("the token did not change".into());
                    }
                    next = Some(t);
                    if got.len() != 1 {
                        return Err(format!("expected 1 change, got {}", got.len()));
                    }
                    if got[0] != idx {
                        return Err("the change is of another event".into());
                    }
                    if m.responses.iter().any(|r| r.status.is_some_and(|s| s >= 400)) {
                        return Err("the changed event is reported as gone".into());
                    }
                    Ok(())
                })();
                match verdict {
                    Ok(()) => rc.good(x.lat_ns),
                    Err(e) => {
                        if x.status < 300 {
                            rc.wrong.push(x.lat_ns);
                        }
                        rc.fail(e)
                    }
                }
            }
            match next {
                Some(t) => token = t,
                None => match self.initial_token(cal).await {
                    Ok(t) => token = t,
                    Err(r) => return r,
                },
            }
        }
        let mut r = self.close(m, rec, clocked, cut);
        r.detail = "CPU per op includes the change before each sync".into();
        r
    }

    async fn delete(&mut self, cal: &CalRef, idxs: Vec<usize>, n: usize) -> Round {
        let cursor = Rc::new(Cell::new(0usize));
        let rec = Rc::new(RefCell::new(Rec::default()));
        let idxs = Rc::new(idxs);
        let m = Meter::start(&self.pids);
        let t0 = Instant::now();
        let hs = (0..n)
            .map(|_| {
                let (idxs, cursor, rec, cal, conn) =
                    (idxs.clone(), cursor.clone(), rec.clone(), cal.clone(), self.conn.clone());
                tokio::task::spawn_local(async move {
                    let user = cal.borrow().user;
                    let mut cl = conn.client(user);
                    let mut streak = 0;
                    while streak < 20 {
                        let k = cursor.get();
                        let Some(idx) = idxs.get(k).copied() else { break };
                        cursor.set(k + 1);
                        let req = Req { method: Method::DELETE, path: cal.borrow().href(idx), ..Default::default() };
                        let x = send(&mut cl, &rec, &req).await;
                        let mut rc = rec.borrow_mut();
                        match x {
                            Ok(x) if matches!(x.status, 200 | 204) => {
                                rc.good(x.lat_ns);
                                cal.borrow_mut().present[idx] = false;
                                streak = 0;
                            }
                            Ok(x) => {
                                rc.fail(format!("HTTP {}: {}", x.status, excerpt(&x.body)));
                                streak += 1;
                            }
                            Err(e) => {
                                rc.fail(e);
                                streak += 1;
                            }
                        }
                    }
                })
            })
            .collect();
        let cut = self.under_limit(hs).await;
        let mut r = self.close(m, rec, t0.elapsed().as_secs_f64(), cut);
        self.after(cal, false, &mut r).await;
        r
    }

    async fn mixed(&mut self, cal: &CalRef, n: usize, salt: u64) -> Round {
        if let Err(e) = self.refresh_etags(cal).await {
            return Round::failed(format!("reading ETags: {e}"));
        }
        let (token, detail) = match self.initial_token(cal).await {
            Ok(t) => (Some(t), String::new()),
            Err(_) => (None, "no usable sync-collection: its 10% became GETs".to_string()),
        };
        const KINDS: &[&str] = &["get", "multiget50", "query_week", "put_update", "put_new", "sync_delta"];
        let v = Rc::new(View::of(&cal.borrow(), &self.exp, self.opt.seed, true));
        let full = v.keys(Read::Multiget);
        let gets = Rc::new(v.keys(Read::Get));
        if gets.is_empty() {
            return Round::failed("no events loaded".into());
        }
        let rec = Rc::new(RefCell::new(Rec { kinds: KINDS, ..Default::default() }));
        let (dur, max) = (self.opt.duration * 2, self.opt.max_ops);
        let total = Rc::new(Cell::new(0usize));
        let fresh = Rc::new(Cell::new(cal.borrow().present.len()));
        let m = Meter::start(&self.pids);
        let t0 = Instant::now();
        let hs = (0..n)
            .map(|k| {
                let (rec, cal, conn, total, fresh, v, gets, full) = (
                    rec.clone(),
                    cal.clone(),
                    self.conn.clone(),
                    total.clone(),
                    fresh.clone(),
                    v.clone(),
                    gets.clone(),
                    full.clone(),
                );
                let mut token = token.clone();
                let mut rng = Rng::of(&[self.opt.seed, salt, k as u64]);
                let mine: Vec<usize> = gets.iter().map(|x| *x as usize).filter(|i| i % n == k).collect();
                tokio::task::spawn_local(async move {
                    let user = cal.borrow().user;
                    let mut cl = conn.client(user);
                    let check = |key: u64, s: u16, b: &[u8]| check_mixed(&v, key, s, b);
                    let mut unsynced: HashSet<usize> = HashSet::new();
                    let mut streak = 0;
                    while t0.elapsed() < dur && total.get() < max && streak < 20 {
                        total.set(total.get() + 1);
                        let p = rng.below(100);
                        let bad_before = rec.borrow().errors;
                        match p {
                            0..=39 | 90..=99 if p < 40 || token.is_none() => {
                                let key = gets[rng.below(gets.len() as u64) as usize];
                                read_later(&mut cl, &rec, &v, Read::Get, key, &check).await
                            }
                            40..=54 => {
                                let key = full[rng.below(full.len() as u64) as usize] | 1 << 56;
                                read_later(&mut cl, &rec, &v, Read::Multiget, key, &check).await
                            }
                            55..=69 => {
                                let key = rng.below(v.exp.weeks.len() as u64) | 2 << 56;
                                read_later(&mut cl, &rec, &v, Read::QueryWeek, key, &check).await
                            }
                            70..=79 if !mine.is_empty() => {
                                let idx = mine[rng.below(mine.len() as u64) as usize];
                                match update(&mut cl, &rec, &cal, idx).await {
                                    Ok(lat) => {
                                        unsynced.insert(idx);
                                        let mut rc = rec.borrow_mut();
                                        rc.good(lat);
                                        rc.sub.entry("put_update".into()).or_default().push(lat);
                                    }
                                    Err(e) => rec.borrow_mut().fail(format!("put_update: {e}")),
                                }
                            }
                            70..=89 => {
                                let idx = fresh.get();
                                fresh.set(idx + 1);
                                let mut req = {
                                    let mut c = cal.borrow_mut();
                                    c.grow(idx);
                                    put_req(c.href(idx), c.corpus.body(idx, 0))
                                };
                                req.if_none_match_any = true;
                                match send(&mut cl, &rec, &req).await {
                                    Ok(x) if matches!(x.status, 200 | 201 | 204) => {
                                        let mut c = cal.borrow_mut();
                                        c.present[idx] = true;
                                        c.etag[idx] = x.etag;
                                        unsynced.insert(idx);
                                        let mut rc = rec.borrow_mut();
                                        rc.good(x.lat_ns);
                                        rc.sub.entry("put_new".into()).or_default().push(x.lat_ns);
                                    }
                                    Ok(x) => rec.borrow_mut().fail(format!("put_new: HTTP {}: {}", x.status, excerpt(&x.body))),
                                    Err(e) => rec.borrow_mut().fail(format!("put_new: {e}")),
                                }
                            }
                            _ => {
                                let tok = token.clone().unwrap();
                                let t1 = Instant::now();
                                let sent = std::mem::take(&mut unsynced);
                                let r = match send(&mut cl, &rec, &sync_req(&v.path, &tok)).await {
                                    Err(e) => Err(e),
                                    Ok(x) if x.status != 207 => Err(format!("HTTP {}: {}", x.status, excerpt(&x.body))),
                                    Ok(x) => parse::multistatus(&x.body).and_then(|m| {
                                        let got: HashSet<usize> = v.members(&m)?.into_iter().collect();
                                        token = Some(m.sync_token.ok_or("no sync-token")?);
                                        let lost = sent.difference(&got).count();
                                        if lost > 0 {
                                            return Err(format!("{lost} of this client's own acknowledged changes missing from its delta"));
                                        }
                                        Ok(x.lat_ns)
                                    }),
                                };
                                let mut rc = rec.borrow_mut();
                                match r {
                                    Ok(lat) => {
                                        rc.good(lat);
                                        rc.sub.entry("sync_delta".into()).or_default().push(lat);
                                    }
                                    Err(e) => {
                                        if e.contains("missing from its delta") {
                                            rc.wrong.push(t1.elapsed().as_nanos() as u64);
                                        }
                                        rc.fail(format!("sync_delta: {e}"));
                                    }
                                }
                            }
                        }
                        streak = if rec.borrow().errors > bad_before { streak + 1 } else { 0 };
                    }
                })
            })
            .collect();
        let cut = self.under_limit(hs).await;
        let mut r = self.close(m, rec, t0.elapsed().as_secs_f64(), cut);
        r.rec.settle(&|key, s, b| check_mixed(&v, key, s, b));
        r.detail = detail;
        self.after(cal, true, &mut r).await;
        r
    }

    async fn burst(&mut self, n: usize) -> Round {
        let per = (self.opt.scale / n).max(5);
        let mut cals: Vec<CalRef> = vec![];
        for k in 0..n {
            let tag = format!("{}-b{k:02}-{}", self.opt.tag, self.extra.len());
            let corpus = Rc::new(Corpus::new(self.opt.seed, &tag, per, self.opt.attendees));
            let user = k % self.conn.users.len();
            let cal = Rc::new(RefCell::new(Cal::new(format!("{}dbench-{tag}/", self.home(user)), user, corpus)));
            if let Err(e) = self.make_calendar(&cal).await {
                return Round::failed(e);
            }
            cals.push(cal.clone());
            self.extra.push(cal);
        }
        let rec = Rc::new(RefCell::new(Rec::default()));
        let jobs: Vec<(CalRef, Vec<Req>)> = cals
            .iter()
            .map(|cal| {
                let c = cal.borrow();
                let v = (0..per)
                    .map(|i| {
                        let mut r = put_req(c.href(i), c.corpus.body(i, 0));
                        r.if_none_match_any = true;
                        r
                    })
                    .collect();
                (cal.clone(), v)
            })
            .collect();
        let m = Meter::start(&self.pids);
        let t0 = Instant::now();
        let hs = jobs
            .into_iter()
            .map(|(cal, reqs)| {
                let (rec, conn) = (rec.clone(), self.conn.clone());
                tokio::task::spawn_local(async move {
                    let user = cal.borrow().user;
                    let mut cl = conn.client(user);
                    let mut streak = 0;
                    for (i, req) in reqs.iter().enumerate() {
                        let x = send(&mut cl, &rec, req).await;
                        let mut rc = rec.borrow_mut();
                        match x {
                            Ok(x) if matches!(x.status, 200 | 201 | 204) => {
                                rc.good(x.lat_ns);
                                cal.borrow_mut().present[i] = true;
                                streak = 0;
                            }
                            Ok(x) => {
                                rc.fail(format!("HTTP {}: {}", x.status, excerpt(&x.body)));
                                streak += 1;
                            }
                            Err(e) => {
                                rc.fail(e);
                                streak += 1;
                            }
                        }
                        if streak >= 20 {
                            break;
                        }
                    }
                })
            })
            .collect();
        let cut = self.under_limit(hs).await;
        let mut r = self.close(m, rec, t0.elapsed().as_secs_f64(), cut);
        r.detail = format!("{n} calendars of {per} events, {} user(s)", self.conn.users.len().min(n));
        for cal in &cals {
            if let Err(e) = self.audit(cal, false).await {
                r.rec.fail(e);
            }
        }
        r
    }

    /// Ends the server with the given signal, starts it again on its data, and checks that every
    /// acknowledged event is there.
    async fn restart(&mut self, cal: &CalRef) -> Round {
        if self.server.is_none() {
            return Round::unsupported("needs start_cmd: the server was not started by davbench".into());
        }
        let sig = self.opt.kill_signal;
        // A few writes right before the end, so that there is something fresh to lose.
        let side = Rc::new(RefCell::new(Rec::default()));
        let user = cal.borrow().user;
        let mut cl = self.conn.client(user);
        let _ = self.refresh_etags(cal).await;
        let some: Vec<usize> = {
            let c = cal.borrow();
            (0..c.n()).filter(|i| c.present[*i]).take(20).collect()
        };
        for i in some {
            if let Err(e) = update(&mut cl, &side, cal, i).await {
                return Round::failed(format!("write before the end: {e}"));
            }
        }
        let mut s = self.server.take().unwrap();
        s.stop(sig);
        drop(s);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let t0 = Instant::now();
        let ms = match self.spawn().await {
            Ok(ms) => ms,
            Err(e) => return Round::failed(format!("start after signal {sig}: {e}")),
        };
        let v = View::of(&cal.borrow(), &self.exp, self.opt.seed, false);
        let mut cl = self.conn.client(user);
        let mut r = Round { detail: format!("after signal {sig}"), ..Default::default() };
        match cl.send(&v.req(Read::QueryWeek, 50)).await {
            Ok(x) => {
                self.res.start.restart_first_query_ms = Some(r3(x.lat_ns as f64 / 1e6));
                if let Err(e) = v.check(Read::QueryWeek, 50, x.status, &x.body) {
                    r.rec.fail(e);
                } else {
                    r.rec.good((ms * 1e6) as u64);
                }
            }
            Err(e) => r.rec.fail(e),
        }
        r.rec.wall = t0.elapsed().as_secs_f64();
        self.res.start.restart_ms = Some(ms);
        if let Err(e) = self.audit(cal, true).await {
            r.rec.fail(e);
        }
        let all: Vec<CalRef> = self.cals.values().cloned().collect();
        for c in all {
            if let Err(e) = self.audit(&c, true).await {
                r.rec.fail(e);
            }
        }
        r
    }

    pub async fn run(&mut self, name: &str, n: usize, round: usize, rounds: usize) -> Round {
        self.drain().await;
        let key = if self.cals.contains_key(&n) { n } else { *self.cals.keys().last().unwrap() };
        let cal = self.cals[&key].clone();
        let salt = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) ^ (round as u64) << 8 ^ n as u64;
        let chunk = |all: Vec<usize>| -> Vec<usize> {
            let k = all.len();
            all[k * round / rounds..k * (round + 1) / rounds].to_vec()
        };
        if name == "put_new" {
            let all: Vec<usize> = (0..cal.borrow().n()).collect();
            let mut r = self.put_new(&cal, chunk(all), n).await;
            if round + 1 == rounds || r.truncated || r.rec.errors > 0 {
                self.after(&cal, true, &mut r).await;
            }
            if round + 1 == rounds {
                let loaded: usize = self.cals.values().map(|c| c.borrow().loaded()).sum();
                self.snap(&format!("after put_new, {n} clients"), loaded);
                self.disk_per_event();
            }
            return r;
        }
        if name == "put_burst_many_calendars" {
            return self.burst(n).await;
        }
        if let Err(e) = self.fill(&cal).await {
            return Round::failed(e);
        }
        match name {
            "get" => self.read(&cal, Read::Get, n, salt).await,
            "propfind_depth1" => self.read(&cal, Read::Propfind, n, salt).await,
            "multiget50" => self.read(&cal, Read::Multiget, n, salt).await,
            "query_week" => self.read(&cal, Read::QueryWeek, n, salt).await,
            "query_month" => self.read(&cal, Read::QueryMonth, n, salt).await,
            "query_expand_month" => self.read(&cal, Read::ExpandMonth, n, salt).await,
            "freebusy_4weeks" => self.read(&cal, Read::Freebusy, n, salt).await,
            "sync_initial" => self.read(&cal, Read::SyncInitial, n, salt).await,
            "sync_delta" => self.sync_delta(&cal, n, salt).await,
            "put_update" => self.put_update(&cal, n, salt).await,
            "mixed" => self.mixed(&cal, n, salt).await,
            "restart" => self.restart(&cal).await,
            "delete" => {
                let mut all: Vec<usize> = (0..cal.borrow().n()).collect();
                Rng::of(&[self.opt.seed, 0xde1]).shuffle(&mut all);
                let mine = chunk(all).into_iter().filter(|i| cal.borrow().present[*i]).collect();
                self.delete(&cal, mine, n).await
            }
            other => Round::failed(format!("unknown workload {other}")),
        }
    }
    fn disk_per_event(&mut self) {
        let base = self.res.snaps.iter().rev().find(|s| s.at == "empty calendars made").cloned();
        if let (Some(b), Some(a)) = (base, self.res.snaps.last()) {
            if let (Some(b), Some(d)) = (b.disk, a.disk) {
                if a.events > 0 && self.res.disk_bytes_per_event.is_none() {
                    self.res.disk_bytes_per_event =
                        Some((d.allocated_bytes as f64 - b.allocated_bytes as f64) / a.events as f64);
                }
            }
        }
    }
    pub fn entry(&self, name: &str, n: usize, rounds: Vec<Round>) -> Entry {
        let mut e = Entry { workload: name.into(), clients: n, ..Default::default() };
        if let Some(u) = rounds.iter().find_map(|r| r.unsupported.clone()) {
            e.status = "unsupported".into();
            e.detail = u;
            return e;
        }
        let (mut ok, mut wrong): (Vec<u64>, Vec<u64>) = (vec![], vec![]);
        let (mut srv, mut cli, mut busy, mut cw, mut wb, mut cut) = (0.0, 0.0, 0.0, 0.0, 0u64, false);
        let mut failed = None;
        let mut sub: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let (mut withw, mut details) = (vec![], std::collections::BTreeSet::new());
        for r in rounds {
            if let Some(f) = r.failed {
                failed = Some(f);
                continue;
            }
            let c = r.rec;
            if c.wall > 0.0 {
                e.ops_s_rounds.push(r3(c.ok.len() as f64 / c.wall));
                withw.push((c.ok.len() + c.wrong.len()) as f64 / c.wall);
            }
            e.wall_s += c.wall;
            e.errors += c.errors;
            e.bytes_in += c.bytes_in;
            e.bytes_out += c.bytes_out;
            e.connects += c.connects;
            e.retries += c.retries;
            if e.first_ms == 0.0 {
                e.first_ms = r3(c.first.unwrap_or(0) as f64 / 1e6);
            }
            for (k, v) in c.errs {
                *e.error_kinds.entry(k).or_default() += v;
            }
            for (k, v) in c.oddities {
                *e.oddities.entry(k).or_default() += v;
            }
            for (k, v) in c.sub {
                sub.entry(k).or_default().extend(v);
            }
            ok.extend(c.ok);
            wrong.extend(c.wrong);
            srv += r.server_s;
            cli += r.client_s;
            busy += r.busy_s;
            cw += r.cpu_wall;
            wb += r.write_bytes;
            cut |= r.truncated;
            if !r.detail.is_empty() {
                details.insert(r.detail);
            }
        }
        let answered = ok.len() + wrong.len();
        let done = answered.max(1) as f64;
        e.ops = ok.len();
        e.wrong_ops = wrong.len();
        e.ops_s = r3(stats::median(&e.ops_s_rounds));
        e.with_wrong_ops_s = r3(stats::median(&withw));
        e.wall_s = r3(e.wall_s);
        if answered > 0 {
            e.server_cpu_ms_op = if self.pids.is_empty() { 0.0 } else { r3(srv * 1e3 / done) };
            e.client_cpu_ms_op = r3(cli * 1e3 / done);
            e.server_write_bytes_op = (wb as f64 / done).round();
        }
        e.server_cpu_s = r3(srv);
        if cw > 0.0 && !self.pids.is_empty() {
            let cores = std::thread::available_parallelism().map(|x| x.get()).unwrap_or(1) as f64;
            e.other_cpu_pct = r3(((busy - srv - cli).max(0.0)) / (cw * cores) * 100.0);
        }
        e.lat = stats::lat(&mut ok);
        let all = {
            let mut a = ok;
            a.extend(wrong);
            stats::lat(&mut a)
        };
        e.with_wrong_p50_ms = all.p50_ms;
        e.with_wrong_p99_ms = all.p99_ms;
        e.sub = sub.into_iter().map(|(k, mut v)| (k, stats::lat(&mut v))).collect();
        e.mem_after = procs::mem(&self.pids);
        e.detail = details.into_iter().collect::<Vec<_>>().join("; ");
        e.status = match () {
            _ if failed.is_some() => "failed",
            _ if e.wrong_ops > 0 => "wrong",
            _ if e.errors > 0 => "errors",
            _ if cut => "truncated",
            _ => "ok",
        }
        .into();
        if let Some(f) = failed {
            e.detail = if e.detail.is_empty() { f } else { format!("{f}; {}", e.detail) };
        } else if cut {
            e.detail += " cut off at the hard limit";
        }
        e
    }
}

fn has(h: &[u8], n: &[u8]) -> bool {
    h.windows(n.len()).any(|w| w == n)
}
/// Sends and keeps the byte and connection counts.
async fn send(cl: &mut Client, rec: &Rc<RefCell<Rec>>, req: &Req) -> Result<Resp, String> {
    let (c0, r0) = (cl.connects, cl.retries);
    let x = cl.send(req).await;
    let mut rc = rec.borrow_mut();
    rc.connects += cl.connects - c0;
    rc.retries += cl.retries - r0;
    rc.io(req.body.len(), x.as_ref().map(|x| x.body.len()).unwrap_or(0));
    x
}
async fn read_later(cl: &mut Client, rec: &Rc<RefCell<Rec>>, v: &View, w: Read, key: u64, check: &stats::Check<'_>) {
    let req = v.req(w, key & 0xff_ffff_ffff);
    match send(cl, rec, &req).await {
        Ok(x) => rec.borrow_mut().later(key, x.status, x.body, x.lat_ns, check),
        Err(e) => rec.borrow_mut().fail(e),
    }
}
fn check_mixed(v: &View, key: u64, s: u16, b: &[u8]) -> Result<(), String> {
    let (w, name) = match key >> 56 {
        0 => (Read::Get, "get"),
        1 => (Read::Multiget, "multiget50"),
        _ => (Read::QueryWeek, "query_week"),
    };
    v.check(w, key & 0xff_ffff_ffff, s, b).map_err(|e| format!("{name}: {e}"))
}
/// Overwrites one event with its next revision, guarded by If-Match where an ETag is known.
async fn update(cl: &mut Client, rec: &Rc<RefCell<Rec>>, cal: &CalRef, idx: usize) -> Result<u64, String> {
    if cal.borrow().etag[idx].is_none() {
        // The last write gave no ETag: ask for it, as a real client has to (not in the latency).
        let req = Req { method: Method::HEAD, path: cal.borrow().href(idx), ..Default::default() };
        let x = send(cl, rec, &req).await?;
        cal.borrow_mut().etag[idx] = x.etag;
        rec.borrow_mut().odd("extra HEAD to learn the ETag");
    }
    let (mut req, next) = {
        let c = cal.borrow();
        let next = c.rev[idx] + 1;
        (put_req(c.href(idx), c.corpus.body(idx, next)), next)
    };
    req.if_match = cal.borrow().etag[idx].clone();
    if req.if_match.is_none() {
        rec.borrow_mut().odd("update without If-Match: the server gave no ETag");
    }
    let x = send(cl, rec, &req).await?;
    if !matches!(x.status, 200 | 201 | 204) {
        return Err(format!("HTTP {}: {}", x.status, excerpt(&x.body)));
    }
    if x.status == 201 {
        rec.borrow_mut().odd("update answered 201");
    }
    let mut c = cal.borrow_mut();
    c.rev[idx] = next;
    c.etag[idx] = x.etag;
    Ok(x.lat_ns)
}
/// Follows a truncated initial sync to its end; the latency is the sum of the pages.
async fn paged(cl: &mut Client, rec: &Rc<RefCell<Rec>>, v: &View, first: Resp) -> Result<u64, String> {
    let mut lat = first.lat_ns;
    let mut got = vec![];
    let mut x = first;
    for _ in 0..10_000 {
        let m = parse::multistatus(&x.body)?;
        got.extend(v.members(&m)?);
        if !m.responses.iter().any(|r| r.status == Some(507)) {
            let want: Vec<usize> = (0..v.present.len()).filter(|i| v.present[*i]).collect();
            v.same(&got, &want)?;
            return Ok(lat);
        }
        let t = m.sync_token.ok_or("no sync-token")?;
        x = send(cl, rec, &sync_req(&v.path, &t)).await?;
        lat += x.lat_ns;
        if x.status != 207 {
            return Err(format!("HTTP {}", x.status));
        }
    }
    Err("sync never ends".into())
}
fn report_names(b: &[u8]) -> Vec<String> {
    use quick_xml::events::Event as E;
    let b = String::from_utf8_lossy(b);
    let mut rd = quick_xml::Reader::from_str(&b);
    let (mut v, mut inside) = (vec![], false);
    loop {
        match rd.read_event() {
            Ok(E::Start(e)) | Ok(E::Empty(e)) => {
                let n = e.local_name().as_ref().to_string();
                if inside {
                    v.push(n);
                    inside = false;
                } else {
                    inside = n == "report";
                }
            }
            Ok(E::Eof) | Err(_) => break,
            _ => {}
        }
    }
    v.sort();
    v.dedup();
    v
}
/// Used by the corpus dump.
pub fn dump_expect(events: &[Event], exp: &Expect) -> serde_json::Value {
    let all = |_: usize| true;
    serde_json::json!({
        "weeks": exp.weeks.iter().zip(&exp.week_sets).map(|(w, s)| serde_json::json!({"start": w.start, "end": w.end, "events": s})).collect::<Vec<_>>(),
        "months": exp.months.iter().zip(&exp.month_sets).zip(&exp.month_inst).map(|((w, s), i)| serde_json::json!({"start": w.start, "end": w.end, "events": s, "instances": i})).collect::<Vec<_>>(),
        "freebusy": exp.four.iter().map(|w| serde_json::json!({"start": w.start, "end": w.end, "minutes": Expect::busy(events, &all, w, false, false, true)})).collect::<Vec<_>>(),
    })
}
