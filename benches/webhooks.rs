//! How fast webhooks are: from the acknowledged change to the receiver's socket, and how many a second beside a bare HTTP client. The real
//! binary, receivers in this process. `scripts/bench-webhooks` runs it; docs/benchmarks.md explains the figures.

#[path = "../tests/storm/changes.rs"]
mod changes;
#[path = "../tests/load/mod.rs"]
mod load;
#[path = "../tests/storm/place.rs"]
mod place;
#[path = "../tests/storm/receivers.rs"]
mod receivers;
#[path = "../tests/sockets/mod.rs"]
mod sockets;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use changes::{Client, Load};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use place::Sea;
use receivers::{Manner, Receiver};

/// As many as the server has under way at one endpoint in these runs.
const IN_FLIGHT: usize = 16;
const CLIENTS: u64 = 8;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    // `cargo test --benches` only wants to know whether it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("| what | figure |\n| --- | ---: |");
    ceiling();
    for endpoints in [1, 16] {
        throughput(endpoints);
    }
    for rate in [100, 1_000] {
        latency(rate);
    }
}

/// A bare hyper client over connections that stay open, with a body as long as a message's.
fn ceiling() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seconds = number("BENCH_SECONDS", 5);
    let (sent, begun) = runtime.block_on(async {
        let receiver = Receiver::start(Manner::Prompt, Duration::from_secs(1), None).await;
        let (sent, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let body = r#"{"type":"event.updated","timestamp":"2026-11-22T12:00:00Z","data":{"calendar":"anna/c0","href":"/dav/calendars/anna/c0/c0-0.ics","uid":"c0-0.ics","etag":"\"0123456789abcdef0123456789abcdef\"","sync_token":"urn:kalends:sync:1:2:3","sequence":1}}"#;
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (sent, address) = (Arc::clone(&sent), receiver.address);
                tokio::spawn(async move {
                    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
                    stream.set_nodelay(true).expect("a socket");
                    let (mut sender, connection) =
                        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
                    tokio::spawn(connection);
                    while begun.elapsed() < Duration::from_secs(seconds) {
                        let request = http::Request::post("/hook")
                            .header("host", "localhost")
                            .header("webhook-id", "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV")
                            .header("webhook-timestamp", "1674087231")
                            .header("webhook-signature", "v1,ufv45WIonjonlsB4RtxC24Ig4CisWfbJI1o6/4Uarps=")
                            .body(Full::new(Bytes::from_static(body.as_bytes())))
                            .expect("a request");
                        sender.ready().await.expect("it is open");
                        let answer = sender.send_request(request).await.expect("an answer");
                        answer.into_body().collect().await.expect("a body");
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it ends");
        }
        (sent.load(Ordering::Relaxed), begun)
    });
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    println!("| bare hyper client, {IN_FLIGHT} connections | {rate:.0} messages/s |");
}

fn load(sea: &Sea, changes: u64, pace: Duration) -> Arc<Load> {
    let load = Load::new("anna", &sea.place.password, changes);
    load.serve_at(Some(sea.address()));
    for number in 0..CLIENTS {
        let client = Client {
            load: load.clone(),
            user: "anna".to_owned(),
            calendars: sea.calendars.clone(),
            number,
            names: 50,
            pace,
        };
        sea.runtime.spawn(client.run());
    }
    load
}

/// Changes are made while the endpoints are paused; then all of it is sent.
fn throughput(endpoints: usize) {
    let mut sea = Sea::make(1, place::FAST);
    let heard = sea.calendars.clone();
    (0..endpoints).for_each(|_| sea.add(Manner::Prompt, &heard));
    let changes = number("BENCH_CHANGES", 10_000) / endpoints as u64;
    for endpoint in &sea.endpoints {
        sea.place.done(&["webhook", "pause", &endpoint.id]);
    }
    let load = load(&sea, changes, Duration::ZERO);
    wait(|| load.is_made(changes));
    wait(|| sea.waiting() >= changes * endpoints as u64);
    let cpu = sea.cpu_seconds();
    let begun = Instant::now();
    for endpoint in &sea.endpoints {
        sea.place.done(&["webhook", "resume", &endpoint.id]);
    }
    let all = changes as usize * endpoints;
    wait(|| sea.endpoints.iter().map(|endpoint| endpoint.receiver.effects()).sum::<usize>() >= all);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = (sea.cpu_seconds() - cpu) * 1e6 / all as f64;
    println!(
        "| one worker, {endpoints} endpoint(s), {IN_FLIGHT} under way at each, {all} messages | {:.0} messages/s, {cpu:.0} \u{b5}s of CPU each |",
        all as f64 / seconds
    );
}

fn wait(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(300), "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// From the acknowledged change to the receiver's socket, at a steady rate.
fn latency(rate: u64) {
    let mut sea = Sea::make(8, place::FAST);
    let heard = sea.calendars.clone();
    sea.add(Manner::Prompt, &heard);
    let seconds = number("BENCH_SECONDS", 5);
    let pace = Duration::from_micros(1_000_000 * CLIENTS / rate);
    let (begun, load) = (Instant::now(), load(&sea, rate * seconds, pace));
    wait(|| load.is_made(rate * seconds));
    let made = rate as f64 * seconds as f64 / begun.elapsed().as_secs_f64();
    wait(|| sea.endpoints[0].receiver.effects() as u64 >= rate * seconds);
    let at: HashMap<(String, String), Instant> = load
        .made()
        .into_iter()
        .filter_map(|change| {
            let href = format!("/dav/calendars/anna/{}/{}", change.calendar, change.name);
            Some(((href, change.etag?), change.at))
        })
        .collect();
    let mut times: Vec<f64> = sea.endpoints[0]
        .receiver
        .receipts()
        .into_iter()
        .filter_map(|receipt| {
            let made = at.get(&(receipt.href, receipt.etag?))?;
            Some(receipt.at.saturating_duration_since(*made).as_secs_f64() * 1_000.0)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let share = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "| change acknowledged to receiver's socket, {rate}/s asked, {made:.0}/s made | p50 {:.1} ms, p99 {:.1} ms |",
        share(0.5),
        share(0.99)
    );
}
