//! Side-by-side markdown of several result files.

use crate::bench::ResultFile;
use crate::stats::Entry;

fn num(x: f64) -> String {
    match x {
        x if x == 0.0 => "0".into(),
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x if x >= 0.1 => format!("{x:.2}"),
        x => format!("{x:.3}"),
    }
}
fn ratio(a: f64, b: f64) -> String {
    if a > 0.0 && b > 0.0 {
        let r = a / b;
        if r >= 10.0 { format!(" (×{r:.0})") } else { format!(" (×{r:.2})") }
    } else {
        String::new()
    }
}
fn find<'a>(r: &'a ResultFile, w: &str, c: usize) -> Option<&'a Entry> {
    r.entries.iter().find(|e| e.workload == w && e.clients == c)
}
fn usable(e: &Entry) -> bool {
    matches!(e.status.as_str(), "ok" | "truncated") && e.ops > 0
}

pub fn markdown(files: &[String]) -> Result<String, String> {
    let mut rs: Vec<ResultFile> = vec![];
    for f in files {
        let s = std::fs::read_to_string(f).map_err(|e| format!("{f}: {e}"))?;
        rs.push(serde_json::from_str(&s).map_err(|e| format!("{f}: {e}"))?);
    }
    let mut o = String::new();
    let mut rows: Vec<(String, usize)> = vec![];
    for r in &rs {
        for e in &r.entries {
            let k = (e.workload.clone(), e.clients);
            if !rows.contains(&k) {
                rows.push(k);
            }
        }
    }
    let scale = |r: &ResultFile| r.meta.get("scale").map(|v| v.to_string()).unwrap_or_default();
    let scales: std::collections::BTreeSet<String> = rs.iter().map(scale).collect();
    o += &format!(
        "Scale: {} events per calendar. Ratios are to {}; higher is better for ops/s, lower for the rest.\n",
        scales.iter().cloned().collect::<Vec<_>>().join(" / "),
        rs[0].peer.name
    );
    if scales.len() > 1 {
        o += "**The files were made at different scales; do not compare them.**\n";
    }
    let head = |o: &mut String, title: &str| {
        *o += &format!("\n### {title}\n\n| workload | clients |");
        for r in &rs {
            *o += &format!(" {} |", r.peer.name);
        }
        *o += "\n| --- | ---: |";
        for _ in &rs {
            *o += " ---: |";
        }
        *o += "\n";
    };
    let mut table = |title: &str, cell: &dyn Fn(&Entry, Option<&Entry>) -> String| {
        head(&mut o, title);
        for (w, c) in &rows {
            o += &format!("| {w} | {c} |");
            let base = find(&rs[0], w, *c).filter(|e| usable(e));
            for (i, r) in rs.iter().enumerate() {
                let s = match find(r, w, *c) {
                    None => "–".to_string(),
                    Some(e) if e.status == "unsupported" => "unsupported".into(),
                    Some(e) if e.status == "failed" => "failed".into(),
                    Some(e) => cell(e, if i == 0 { None } else { base }),
                };
                o += &format!(" {s} |");
            }
            o += "\n";
        }
    };
    table("Right answers per second (median of rounds, min–max)", &|e, b| {
        let spread = if e.ops_s_rounds.len() > 1 {
            let (lo, hi) = e.ops_s_rounds.iter().fold((f64::MAX, 0.0f64), |a, x| (a.0.min(*x), a.1.max(*x)));
            format!(" [{}–{}]", num(lo), num(hi))
        } else {
            String::new()
        };
        let mut s = format!("{}{}", num(e.ops_s), spread);
        if usable(e) {
            if let Some(b) = b {
                s += &ratio(e.ops_s, b.ops_s);
            }
        }
        match e.status.as_str() {
            "wrong" => {
                let n = e.ops + e.wrong_ops;
                format!("WRONG {}/{} (would be {}/s)", e.wrong_ops, n, num(e.with_wrong_ops_s))
            }
            "errors" => format!("{s}, {} ERRORS", e.errors),
            "truncated" => format!("{s}, cut off"),
            _ => s,
        }
    });
    table("Latency ms: p50 / p95 / p99 / max", &|e, b| {
        if e.status == "wrong" {
            return format!("(wrong) {} / – / {} / –", num(e.with_wrong_p50_ms), num(e.with_wrong_p99_ms));
        }
        let l = &e.lat;
        if l.n == 0 {
            return "–".into();
        }
        let r = b.map(|b| ratio(l.p50_ms, b.lat.p50_ms)).unwrap_or_default();
        format!("{}{r} / {} / {} / {}", num(l.p50_ms), num(l.p95_ms), num(l.p99_ms), num(l.max_ms))
    });
    if rs.iter().any(|r| r.entries.iter().any(|e| e.server_cpu_ms_op > 0.0)) {
        table(
            "Server CPU ms per operation (steadier than time on a noisy machine); client CPU; other load",
            &|e, b| {
                if e.ops + e.wrong_ops == 0 {
                    return format!("– ({:.0} s in all)", e.server_cpu_s);
                }
                let r = b.map(|b| ratio(e.server_cpu_ms_op, b.server_cpu_ms_op)).unwrap_or_default();
                format!("{}{r}; cl {}; noise {:.0}%", num(e.server_cpu_ms_op), num(e.client_cpu_ms_op), e.other_cpu_pct)
            },
        );
    }
    o += "\n### Memory, disk, start\n\n| what |";
    for r in &rs {
        o += &format!(" {} |", r.peer.name);
    }
    o += "\n| --- |";
    for _ in &rs {
        o += " ---: |";
    }
    o += "\n";
    let mb = |k: u64| format!("{:.1} MB", k as f64 / 1024.0);
    let snap = |r: &ResultFile, at: &str| r.snaps.iter().find(|s| s.at.starts_with(at)).cloned();
    let mut line = |name: &str, f: &dyn Fn(&ResultFile) -> Option<String>| {
        let cells: Vec<Option<String>> = rs.iter().map(f).collect();
        if cells.iter().any(|c| c.is_some()) {
            o += &format!("| {name} |");
            for c in cells {
                o += &format!(" {} |", c.unwrap_or("–".into()));
            }
            o += "\n";
        }
    };
    line("cold start", &|r| r.start.cold_start_ms.map(|x| format!("{x:.0} ms")));
    line("restart with data", &|r| r.start.restart_ms.map(|x| format!("{x:.0} ms")));
    line("first week query after restart", &|r| r.start.restart_first_query_ms.map(|x| format!("{x:.1} ms")));
    line("RSS idle", &|r| snap(r, "idle")?.mem.map(|m| mb(m.rss_kb)));
    line("RSS after put_new", &|r| snap(r, "after put_new")?.mem.map(|m| mb(m.rss_kb)));
    line("RSS end (peak)", &|r| snap(r, "end")?.mem.map(|m| format!("{} ({})", mb(m.rss_kb), mb(m.hwm_kb))));
    line("PSS end", &|r| snap(r, "end")?.mem.map(|m| mb(m.pss_kb)));
    line("processes", &|r| snap(r, "end")?.mem.map(|m| m.processes.to_string()));
    line("disk after put_new, allocated", &|r| {
        snap(r, "after put_new")?.disk.map(|d| format!("{} in {} files", mb(d.allocated_bytes / 1024), d.files))
    });
    line("disk per event", &|r| r.disk_bytes_per_event.map(|x| format!("{x:.0} B")));
    let mut notes = String::new();
    for r in &rs {
        let (ops, con) = r
            .entries
            .iter()
            .filter(|e| e.ops > 4 * e.clients)
            .fold((0, 0), |a, e| (a.0 + e.ops as u64, a.1 + e.connects));
        if con * 2 > ops && ops > 0 {
            notes += &format!("- {}: no keep-alive: {con} connections for {ops} operations\n", r.peer.name);
        }
        for e in &r.entries {
            let mut t: Vec<String> = vec![];
            if e.status != "ok" {
                t.push(e.status.clone());
            }
            if !e.detail.is_empty() && !e.detail.starts_with("CPU per op") {
                t.push(e.detail.clone());
            }
            let mut kinds: Vec<_> = e.error_kinds.iter().filter(|(k, _)| *k != "(other)").collect();
            kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            for (k, n) in kinds.into_iter().take(3) {
                t.push(format!("{n}× {k}"));
            }
            for (k, n) in &e.oddities {
                t.push(format!("{n}× {k}"));
            }
            if !t.is_empty() {
                notes += &format!("- {} {} c{}: {}\n", r.peer.name, e.workload, e.clients, t.join("; "));
            }
        }
        for n in &r.notes {
            notes += &format!("- {}: {n}\n", r.peer.name);
        }
    }
    if !notes.is_empty() {
        o += &format!("\n### Notes\n\n{notes}");
    }
    Ok(o)
}
