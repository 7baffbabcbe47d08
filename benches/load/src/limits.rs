//! This machine's own ceilings: loopback HTTP without any work, and durable small writes.

use crate::client::{Client, Req, Target};
use crate::stats::{Lat, lat, r3};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[derive(Serialize)]
pub struct Limit {
    pub what: String,
    pub clients: usize,
    pub ops_s: f64,
    #[serde(flatten)]
    pub lat: Lat,
    /// CPU per operation of all threads but the one that the clients run in: the server's, where there is one.
    pub server_cpu_us: f64,
    pub detail: String,
}

type Job = (Bytes, Box<dyn FnOnce() + Send>);

/// One thread that appends whatever has queued up and makes it durable with one fdatasync.
struct Committer {
    tx: mpsc::Sender<Job>,
    h: std::thread::JoinHandle<(u64, u64)>,
}
impl Committer {
    fn new(path: PathBuf) -> Committer {
        let (tx, rx) = mpsc::channel::<Job>();
        let h = std::thread::spawn(move || {
            let mut f = OpenOptions::new().create(true).append(true).open(&path).expect("open");
            let (mut jobs, mut syncs) = (0u64, 0u64);
            while let Ok(first) = rx.recv() {
                let mut buf = first.0.to_vec();
                let mut acks = vec![first.1];
                while let Ok((b, a)) = rx.try_recv() {
                    buf.extend_from_slice(&b);
                    acks.push(a);
                }
                f.write_all(&buf).expect("write");
                f.sync_data().expect("fdatasync");
                jobs += acks.len() as u64;
                syncs += 1;
                for a in acks {
                    a();
                }
            }
            (jobs, syncs)
        });
        Committer { tx, h }
    }
}

fn serve(
    threads: usize,
    journal: Option<mpsc::Sender<Job>>,
) -> (Target, tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let l = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    l.set_nonblocking(true).unwrap();
    let port = l.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let h = std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        rt.block_on(async move {
            let l = tokio::net::TcpListener::from_std(l).unwrap();
            let body = Bytes::from(vec![b'x'; 1024]);
            let accept = async {
                while let Ok((s, _)) = l.accept().await {
                    let _ = s.set_nodelay(true);
                    let (body, journal) = (body.clone(), journal.clone());
                    tokio::spawn(async move {
                        let svc = service_fn(move |r: Request<hyper::body::Incoming>| {
                            let (body, journal) = (body.clone(), journal.clone());
                            async move {
                                let out = match (r.method(), journal) {
                                    (&Method::PUT, Some(j)) => {
                                        let b = r.into_body().collect().await?.to_bytes();
                                        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
                                        let _ = j.send((
                                            b,
                                            Box::new(move || {
                                                let _ = tx.send(());
                                            }),
                                        ));
                                        let _ = rx.await;
                                        Response::builder()
                                            .status(201)
                                            .header("etag", "\"1\"")
                                            .body(Full::new(Bytes::new()))
                                            .unwrap()
                                    }
                                    _ => Response::builder()
                                        .header("content-type", "text/calendar")
                                        .body(Full::new(body))
                                        .unwrap(),
                                };
                                Ok::<_, hyper::Error>(out)
                            }
                        });
                        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(s), svc).await;
                    });
                }
            };
            tokio::select! { _ = accept => {}, _ = stopped => {} }
        });
        rt.shutdown_timeout(Duration::from_secs(2));
    });
    (Target::parse(&format!("http://127.0.0.1:{port}")).unwrap(), stop, h)
}

async fn drive(target: &Target, clients: usize, dur: Duration, req: Req, want: u16) -> (f64, Vec<u64>, usize) {
    let lats = Rc::new(RefCell::new(Vec::new()));
    let bad = Rc::new(RefCell::new(0usize));
    let t0 = Instant::now();
    let hs: Vec<_> = (0..clients)
        .map(|_| {
            let (lats, bad, req) = (lats.clone(), bad.clone(), req.clone());
            let mut c = Client::new(target, "user01", "secret", Duration::from_secs(10));
            tokio::task::spawn_local(async move {
                while t0.elapsed() < dur {
                    match c.send(&req).await {
                        Ok(x) if x.status == want => lats.borrow_mut().push(x.lat_ns),
                        _ => *bad.borrow_mut() += 1,
                    }
                }
            })
        })
        .collect();
    for h in hs {
        let _ = h.await;
    }
    let v = std::mem::take(&mut *lats.borrow_mut());
    let b = *bad.borrow();
    (t0.elapsed().as_secs_f64(), v, b)
}

pub async fn run(dir: &Path, dur: Duration) -> Vec<Limit> {
    let dir = dir.join(format!("davbench-limits-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("limits dir");
    let mut out = vec![];
    let mut cpu = (crate::procs::cpu(&[]).client_s, crate::procs::thread_cpu_s());
    let mut push = |what: &str, clients: usize, wall: f64, mut v: Vec<u64>, detail: String| {
        let n = v.len() as f64;
        // Client and server sides together; holds on a busy machine, unlike the rate.
        let now = (crate::procs::cpu(&[]).client_s, crate::procs::thread_cpu_s());
        let (all, clients_own) = (now.0 - cpu.0, now.1 - cpu.1);
        let us = all * 1e6 / n.max(1.0);
        let server_cpu_us = r3((all - clients_own) * 1e6 / n.max(1.0));
        cpu = now;
        let detail = format!("{us:.0} µs CPU per op in all{}{detail}", if detail.is_empty() { "" } else { ", " });
        let l = Limit { what: what.into(), clients, ops_s: r3(n / wall), lat: lat(&mut v), server_cpu_us, detail };
        eprintln!(
            "{:<44} {:>3} clients {:>10.0}/s  p50 {:.3} ms  p99 {:.3} ms  {}",
            l.what, l.clients, l.ops_s, l.lat.p50_ms, l.lat.p99_ms, l.detail
        );
        out.push(l);
    };

    for threads in [1, 2] {
        let (t, stop, h) = serve(threads, None);
        for clients in [1, 16] {
            let req = Req { method: Method::GET, path: "/x.ics".into(), ..Default::default() };
            let (w, v, bad) = drive(&t, clients, dur, req, 200).await;
            push(
                &format!("hyper GET 1 KB, {threads} server thread(s)"),
                clients,
                w,
                v,
                if bad > 0 { format!("{bad} bad") } else { String::new() },
            );
        }
        let _ = stop.send(());
        let _ = h.join();
    }

    let kb = vec![b'y'; 1024];
    {
        let mut f = File::create(dir.join("append")).expect("create");
        let (t0, mut v) = (Instant::now(), vec![]);
        while t0.elapsed() < dur {
            let t = Instant::now();
            f.write_all(&kb).expect("write");
            f.sync_data().expect("fdatasync");
            v.push(t.elapsed().as_nanos() as u64);
        }
        push("append 1 KB + fdatasync per op", 1, t0.elapsed().as_secs_f64(), v, String::new());
    }
    {
        let c = Committer::new(dir.join("group"));
        let (t0, mut all) = (Instant::now(), vec![]);
        let hs: Vec<_> = (0..16)
            .map(|_| {
                let (tx, kb) = (c.tx.clone(), Bytes::from(kb.clone()));
                std::thread::spawn(move || {
                    let mut v = vec![];
                    while t0.elapsed() < dur {
                        let t = Instant::now();
                        let (a, w) = mpsc::sync_channel::<()>(1);
                        tx.send((
                            kb.clone(),
                            Box::new(move || {
                                let _ = a.send(());
                            }),
                        ))
                        .expect("send");
                        w.recv().expect("ack");
                        v.push(t.elapsed().as_nanos() as u64);
                    }
                    v
                })
            })
            .collect();
        for h in hs {
            all.extend(h.join().unwrap());
        }
        let wall = t0.elapsed().as_secs_f64();
        drop(c.tx);
        let (jobs, syncs) = c.h.join().unwrap();
        push(
            "append 1 KB, group commit",
            16,
            wall,
            all,
            format!("{:.1} ops per fdatasync", jobs as f64 / syncs as f64),
        );
    }
    {
        let d = dir.join("files");
        fs::create_dir_all(&d).unwrap();
        let dh = File::open(&d).unwrap();
        let (t0, mut v, mut i) = (Instant::now(), vec![], 0u64);
        while t0.elapsed() < dur {
            let t = Instant::now();
            let tmp = d.join("tmp");
            let mut f = File::create(&tmp).unwrap();
            f.write_all(&kb).unwrap();
            f.sync_all().unwrap();
            fs::rename(&tmp, d.join(format!("{i}.ics"))).unwrap();
            dh.sync_all().unwrap();
            v.push(t.elapsed().as_nanos() as u64);
            i += 1;
        }
        push("new file 1 KB + fsync + rename + fsync dir", 1, t0.elapsed().as_secs_f64(), v, String::new());
    }
    for clients in [1, 16] {
        let c = Committer::new(dir.join("put"));
        let (t, stop, h) = serve(2, Some(c.tx.clone()));
        let req = Req {
            method: Method::PUT,
            path: "/x.ics".into(),
            ctype: Some("text/calendar"),
            body: kb.clone().into(),
            ..Default::default()
        };
        let (w, v, bad) = drive(&t, clients, dur, req, 201).await;
        let _ = stop.send(());
        let _ = h.join();
        drop(c.tx);
        let (jobs, syncs) = c.h.join().unwrap();
        let mut d = format!("{:.1} ops per fdatasync", jobs as f64 / syncs.max(1) as f64);
        if bad > 0 {
            d += &format!(", {bad} bad");
        }
        push("hyper PUT 1 KB, durable (group commit)", clients, w, v, d);
    }
    let _ = fs::remove_dir_all(&dir);
    out
}
