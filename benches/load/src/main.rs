//! davbench: the same CalDAV workloads against any server, on loopback.

mod bench;
mod client;
mod compare;
mod corpus;
mod limits;
mod parse;
mod procs;
mod stats;

use bench::{Expect, Opt, Peer, PeerCfg, Round};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const USAGE: &str = "davbench --config PEER.json [--config PEER2.json ...] [flags]
davbench compare RESULT.json [RESULT2.json ...]
davbench limits [--dir DIR] [--duration S] [--out FILE]
davbench corpus --scale N --dir DIR [--seed N]     write the events and expected answers
flags: --scale N (1000)  --workload all|a,b  --clients 1,16  --out FILE|DIR  --rounds K (1)
  --duration S per round (5)  --max-ops N per round (20000)  --hard-limit S per round (180)
  --timeout S per request (30)  --many N clients for mixed and burst (16)  --seed N (1)
  --tag T  --attendees  --keep  --pause-ms N (100)
  --pid [NAME=]P[,P]  --data-dir [NAME=]D[,D]  --start-cmd [NAME=]CMD  --kill-signal TERM|KILL|INT
  --users user01..user16  --quiet PCT  --quiet-wait S (20)
See README.md.";

const ALL: &[&str] = &[
    "put_new",
    "propfind_depth1",
    "get",
    "multiget50",
    "query_week",
    "query_month",
    "query_expand_month",
    "freebusy_4weeks",
    "sync_initial",
    "sync_delta",
    "put_update",
    "restart",
    "mixed",
    "delete",
    "put_burst_many_calendars",
];

struct Args(Vec<String>, usize);
impl Args {
    fn next(&mut self) -> Option<String> {
        self.1 += 1;
        self.0.get(self.1 - 1).cloned()
    }
    fn val(&mut self, f: &str) -> String {
        self.next().unwrap_or_else(|| die(&format!("{f} needs a value")))
    }
    fn num<T: std::str::FromStr>(&mut self, f: &str) -> T {
        self.val(f).parse().unwrap_or_else(|_| die(&format!("{f} needs a number")))
    }
}
fn die(m: &str) -> ! {
    eprintln!("davbench: {m}\n{USAGE}");
    std::process::exit(2)
}
type Given = HashMap<String, String>;
/// "NAME=value" or "value"; a name has no slash or space, so commands and paths with = are safe.
fn given(g: &mut Given, v: String) {
    match v.split_once('=') {
        Some((n, rest)) if !n.is_empty() && !n.contains(['/', ' ', ',']) => g.insert(n.into(), rest.into()),
        _ => g.insert(String::new(), v),
    };
}
/// "user01..user10" or "a,b,c".
fn user_list(s: &str) -> Vec<String> {
    if let Some((a, b)) = s.split_once("..") {
        let stem = a.trim_end_matches(|c: char| c.is_ascii_digit());
        let w = a.len() - stem.len();
        let (lo, hi) = (a[stem.len()..].parse::<usize>(), b.trim_start_matches(stem).parse::<usize>());
        if let (Ok(lo), Ok(hi)) = (lo, hi) {
            return (lo..=hi.min(lo + 999)).map(|i| format!("{stem}{i:0w$}")).collect();
        }
    }
    s.split(',').map(|x| x.to_string()).collect()
}
fn base36(mut n: u64) -> String {
    let mut s = vec![];
    while n > 0 {
        s.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize]);
        n /= 36;
    }
    s.reverse();
    String::from_utf8(s).unwrap()
}

fn main() {
    let argv: Vec<String> = std::env::args().skip(1).collect();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let code = match argv.first().map(|s| s.as_str()) {
        Some("compare") => match compare::markdown(&argv[1..]) {
            Ok(s) => {
                println!("{s}");
                0
            }
            Err(e) => die(&e),
        },
        Some("limits") => local.block_on(&rt, limits_cmd(Args(argv, 1))),
        Some("corpus") => corpus_cmd(Args(argv, 1)),
        Some(a) if a.starts_with("--") && a != "--help" => local.block_on(&rt, run_cmd(Args(argv, 0))),
        _ => {
            println!("{USAGE}");
            0
        }
    };
    std::process::exit(code);
}

async fn limits_cmd(mut a: Args) -> i32 {
    let (mut dir, mut dur, mut out) = (".".to_string(), 3.0f64, None);
    while let Some(f) = a.next() {
        match f.as_str() {
            "--dir" => dir = a.val(&f),
            "--duration" => dur = a.num(&f),
            "--out" => out = Some(a.val(&f)),
            _ => die(&format!("unknown flag {f}")),
        }
    }
    let v = limits::run(Path::new(&dir), Duration::from_secs_f64(dur.min(60.0))).await;
    println!(
        "| what | clients | ops/s | p50 ms | p99 ms | max ms | |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    );
    for l in &v {
        println!(
            "| {} | {} | {:.0} | {} | {} | {} | {} |",
            l.what, l.clients, l.ops_s, l.lat.p50_ms, l.lat.p99_ms, l.lat.max_ms, l.detail
        );
    }
    if let Some(o) = out {
        std::fs::write(&o, serde_json::to_string_pretty(&v).unwrap()).unwrap_or_else(|e| die(&format!("{o}: {e}")));
    }
    0
}

fn corpus_cmd(mut a: Args) -> i32 {
    let (mut dir, mut n, mut seed) = (None, 1000usize, 1u64);
    while let Some(f) = a.next() {
        match f.as_str() {
            "--dir" => dir = Some(a.val(&f)),
            "--scale" => n = a.num(&f),
            "--seed" => seed = a.num(&f),
            _ => die(&format!("unknown flag {f}")),
        }
    }
    let dir = dir.unwrap_or_else(|| die("corpus needs --dir"));
    let d = Path::new(&dir);
    std::fs::create_dir_all(d).unwrap_or_else(|e| die(&e.to_string()));
    let c = corpus::Corpus::new(seed, "dump", n, false);
    let mut sizes = vec![];
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for e in &c.events {
        let b = c.body(e.idx, 0);
        sizes.push(b.len());
        *classes.entry(e.class()).or_default() += 1;
        std::fs::write(d.join(format!("{}.ics", e.uid)), b).unwrap_or_else(|e| die(&e.to_string()));
    }
    sizes.sort();
    let x = Expect::new(&c.events);
    let j = bench::dump_expect(&c.events, &x);
    std::fs::write(d.join("expected.json"), serde_json::to_string(&j).unwrap()).unwrap();
    println!(
        "{n} events in {dir}; body bytes min {} p50 {} p95 {} max {}",
        sizes[0],
        sizes[n / 2],
        sizes[n * 95 / 100],
        sizes[n - 1]
    );
    println!("kinds: {}", classes.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", "));
    let avg = |v: &[Vec<usize>]| v.iter().map(|x| x.len()).sum::<usize>() as f64 / v.len() as f64;
    println!(
        "events per week {:.1}, per month {:.1}, instances per month {:.1}",
        avg(&x.week_sets),
        avg(&x.month_sets),
        x.month_inst.iter().map(|v| v.len()).sum::<usize>() as f64 / 24.0
    );
    0
}

async fn run_cmd(mut a: Args) -> i32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut opt = Opt {
        scale: 1000,
        seed: 1,
        tag: base36(now),
        clients: vec![1, 16],
        many: 16,
        rounds: 1,
        duration: Duration::from_secs(5),
        max_ops: 20_000,
        hard: Duration::from_secs(180),
        timeout: Duration::from_secs(30),
        attendees: false,
        keep: false,
        pause: Duration::from_millis(100),
        kill_signal: libc::SIGTERM,
        quiet_pct: 0.0,
        quiet_wait: Duration::from_secs(20),
    };
    let (mut configs, mut wl, mut out): (Vec<String>, String, String) =
        (vec![], "all".to_string(), "result.json".to_string());
    // (peer name, or empty for the only peer) -> value
    let (mut pid, mut data, mut start): (Given, Given, Given) = Default::default();
    let mut users: Vec<String> = vec![];
    while let Some(f) = a.next() {
        match f.as_str() {
            "--config" => configs.push(a.val(&f)),
            "--workload" => wl = a.val(&f),
            "--out" => out = a.val(&f),
            "--scale" => opt.scale = a.num(&f),
            "--seed" => opt.seed = a.num(&f),
            "--tag" => opt.tag = a.val(&f),
            "--clients" => {
                opt.clients = a.val(&f).split(',').map(|x| x.parse().unwrap_or_else(|_| die("bad --clients"))).collect()
            }
            "--many" => opt.many = a.num(&f),
            "--rounds" => opt.rounds = a.num::<usize>(&f).max(1),
            "--duration" => opt.duration = Duration::from_secs_f64(a.num::<f64>(&f).clamp(0.1, 600.0)),
            "--max-ops" => opt.max_ops = a.num(&f),
            "--hard-limit" => opt.hard = Duration::from_secs_f64(a.num::<f64>(&f).clamp(1.0, 3600.0)),
            "--timeout" => opt.timeout = Duration::from_secs_f64(a.num::<f64>(&f).clamp(0.1, 600.0)),
            "--attendees" => opt.attendees = true,
            "--keep" => opt.keep = true,
            "--pause-ms" => opt.pause = Duration::from_millis(a.num(&f)),
            "--pid" => given(&mut pid, a.val(&f)),
            "--data-dir" => given(&mut data, a.val(&f)),
            "--start-cmd" => given(&mut start, a.val(&f)),
            "--users" => users = user_list(&a.val(&f)),
            "--quiet" => opt.quiet_pct = a.num(&f),
            "--quiet-wait" => opt.quiet_wait = Duration::from_secs_f64(a.num::<f64>(&f).clamp(0.0, 600.0)),
            "--kill-signal" => {
                opt.kill_signal = match a.val(&f).to_ascii_uppercase().trim_start_matches("SIG") {
                    "KILL" => libc::SIGKILL,
                    "TERM" => libc::SIGTERM,
                    "INT" => libc::SIGINT,
                    x => die(&format!("bad signal {x}")),
                }
            }
            _ => die(&format!("unknown flag {f}")),
        }
    }
    if configs.is_empty() {
        die("no --config");
    }
    opt.clients.retain(|c| (1..=256).contains(c));
    opt.many = opt.many.clamp(1, 256);
    if opt.clients.is_empty() || opt.scale == 0 {
        die("nothing to do");
    }
    if configs.len() > 1 && [&pid, &data, &start].iter().any(|g| g.contains_key("")) {
        die("with several peers write --pid NAME=..., --data-dir NAME=..., --start-cmd NAME=...");
    }
    let list: Vec<String> = if wl == "all" {
        ALL.iter().map(|s| s.to_string()).collect()
    } else {
        wl.split(',').map(|s| s.trim().to_string()).collect()
    };
    for w in &list {
        if !ALL.contains(&w.as_str()) {
            die(&format!("unknown workload {w}; known: {}", ALL.join(", ")));
        }
    }
    let c = corpus::Corpus::new(opt.seed, "x", opt.scale, false);
    let exp = Rc::new(Expect::new(&c.events));
    drop(c);

    let mut peers: Vec<Peer> = vec![];
    for f in &configs {
        let s = std::fs::read_to_string(f).unwrap_or_else(|e| die(&format!("{f}: {e}")));
        let mut cfg: PeerCfg = serde_json::from_str(&s).unwrap_or_else(|e| die(&format!("{f}: {e}")));
        let of = |g: &Given| g.get("").or_else(|| g.get(&cfg.name)).cloned();
        let (p, d, st) = (of(&pid), of(&data), of(&start));
        if let Some(p) = p {
            cfg.pid = Some(bench::Many::List(
                p.split(',').map(|x| x.trim().parse().unwrap_or_else(|_| die("bad --pid"))).collect(),
            ));
        }
        if let Some(d) = d {
            cfg.data_dir = Some(bench::Many::List(d.split(',').map(|x| x.to_string()).collect()));
        }
        if let Some(s) = st {
            cfg.start_cmd = Some(s);
        }
        if cfg.users.is_empty() {
            cfg.users = users.iter().map(|u| bench::UserCfg::Name(u.clone())).collect();
        }
        let o = if Path::new(&out).is_dir() {
            format!("{out}/{}.json", cfg.name)
        } else if configs.len() > 1 {
            format!("{}-{}.json", out.trim_end_matches(".json"), cfg.name)
        } else {
            out.clone()
        };
        peers.push(Peer::new(cfg, &opt, &exp, o).unwrap_or_else(|e| die(&e)));
    }
    for n in pid.keys().chain(data.keys()).chain(start.keys()) {
        if !n.is_empty() && !peers.iter().any(|p| p.cfg.name == *n) {
            die(&format!("no peer is named {n}"));
        }
    }
    let mut ready = vec![];
    for mut p in peers {
        meta(&mut p, &opt, &list, now);
        match p.setup().await {
            Ok(()) => ready.push(p),
            Err(e) => {
                eprintln!("{}: set-up failed: {e}", p.cfg.name);
                p.res.notes.push(format!("set-up failed: {e}"));
                p.write();
            }
        }
    }
    let mut peers = ready;
    if peers.is_empty() {
        return 1;
    }
    for w in &list {
        let counts: Vec<usize> = match w.as_str() {
            "mixed" | "put_burst_many_calendars" => vec![opt.many],
            "restart" => vec![opt.clients[0]],
            _ => opt.clients.clone(),
        };
        if w == "restart" && wl == "all" && peers.iter().all(|p| p.server.is_none()) {
            continue;
        }
        let rounds = if w == "restart" { 1 } else { opt.rounds };
        for n in counts {
            let mut got: HashMap<usize, Vec<Round>> = HashMap::new();
            for r in 0..rounds {
                for k in 0..peers.len() {
                    // Another peer goes first in each round, so that slow spells of the machine
                    // do not always hit the same one.
                    let i = (k + r) % peers.len();
                    if got.get(&i).is_some_and(|v| v.iter().any(|x| x.unsupported.is_some() || x.failed.is_some())) {
                        continue;
                    }
                    bench::wait_quiet(&opt).await;
                    let x = peers[i].run(w, n, r, rounds).await;
                    got.entry(i).or_default().push(x);
                    tokio::time::sleep(opt.pause).await;
                }
            }
            for (i, p) in peers.iter_mut().enumerate() {
                let e = p.entry(w, n, got.remove(&i).unwrap_or_default());
                eprintln!(
                    "{:<22} {:<26} c{:<3} {:<12} {:>9.1} ops/s  p50 {:>9.3}  p99 {:>9.3} ms  ops {:>6} err {:>5}  srv {:>8.3} ms/op  noise {:>3.0}%  {}",
                    p.cfg.name,
                    w,
                    n,
                    e.status,
                    e.ops_s,
                    e.lat.p50_ms,
                    e.lat.p99_ms,
                    e.ops,
                    e.errors,
                    e.server_cpu_ms_op,
                    e.other_cpu_pct,
                    e.error_kinds
                        .iter()
                        .filter(|(k, _)| *k != "(other)")
                        .max_by_key(|(_, n)| **n)
                        .map(|(s, _)| s.as_str())
                        .unwrap_or(if e.status == "ok" { "" } else { &e.detail })
                );
                p.res.entries.push(e);
                p.write();
            }
        }
    }
    for p in peers.iter_mut() {
        p.finish().await;
        eprintln!("{}: {}", p.cfg.name, p.out);
    }
    0
}

fn meta(p: &mut Peer, opt: &Opt, list: &[String], now: u64) {
    let read = |f: &str| std::fs::read_to_string(f).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|l| l.strip_prefix("model name").map(|x| x.trim_start_matches([' ', '\t', ':']).to_string()))
        .unwrap_or_default();
    let j = serde_json::json!({
        "davbench": env!("CARGO_PKG_VERSION"), "unix_time": now, "scale": opt.scale, "seed": opt.seed, "tag": opt.tag,
        "clients": opt.clients, "many": opt.many, "rounds": opt.rounds, "duration_s": opt.duration.as_secs_f64(),
        "max_ops": opt.max_ops, "hard_limit_s": opt.hard.as_secs_f64(), "workloads": list, "attendees": opt.attendees,
        "cpu": model, "cores": std::thread::available_parallelism().map(|x| x.get()).unwrap_or(0),
        "kernel": read("/proc/sys/kernel/osrelease").trim(), "loadavg": read("/proc/loadavg").trim(),
    });
    for (k, v) in j.as_object().unwrap() {
        p.res.meta.insert(k.clone(), v.clone());
    }
}
