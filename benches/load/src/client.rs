//! One simulated client: one keep-alive HTTP/1.1 connection, reopened when the server closes it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    pub host: String,
    /// Path prefix of base_url, without a trailing slash.
    pub prefix: String,
}
impl Target {
    /// Accepts http://127.x.y.z, http://[::1] and http://localhost only.
    pub fn parse(url: &str) -> Result<Target, String> {
        let rest = url.strip_prefix("http://").ok_or("base_url must start with http://")?;
        let (auth, path) = match rest.find('/') {
            Some(i) => (&rest[..i], &rest[i..]),
            None => (rest, ""),
        };
        let (h, port) = if let Some(r) = auth.strip_prefix('[') {
            let (h, p) = r.split_once(']').ok_or("bad IPv6 host")?;
            (h.to_string(), p.strip_prefix(':').map(|p| p.parse::<u16>()).unwrap_or(Ok(80)))
        } else {
            match auth.rsplit_once(':') {
                Some((h, p)) => (h.to_string(), p.parse::<u16>()),
                None => (auth.to_string(), Ok(80)),
            }
        };
        let port = port.map_err(|_| "bad port".to_string())?;
        let ip: IpAddr = if h.eq_ignore_ascii_case("localhost") {
            "127.0.0.1".parse().unwrap()
        } else {
            h.parse().map_err(|_| format!("refused: {h} is not a loopback address"))?
        };
        if !ip.is_loopback() {
            return Err(format!("refused: {ip} is not a loopback address"));
        }
        Ok(Target {
            addr: SocketAddr::new(ip, port),
            host: auth.to_string(),
            prefix: path.trim_end_matches('/').to_string(),
        })
    }
}

#[derive(Clone, Default)]
pub struct Req {
    pub method: Method,
    pub path: String,
    pub depth: Option<&'static str>,
    pub ctype: Option<&'static str>,
    pub if_match: Option<String>,
    pub if_none_match_any: bool,
    pub body: Bytes,
}
pub struct Resp {
    pub status: u16,
    pub etag: Option<String>,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
    pub lat_ns: u64,
}

pub struct Client {
    target: Target,
    auth: String,
    pub extra: Vec<(String, String)>,
    conn: Option<SendRequest<Full<Bytes>>>,
    pub connects: u64,
    pub retries: u64,
    pub timeout: Duration,
}

pub fn base64(b: &[u8]) -> String {
    const T: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut s = String::new();
    for c in b.chunks(3) {
        let n = (c[0] as u32) << 16 | (*c.get(1).unwrap_or(&0) as u32) << 8 | *c.get(2).unwrap_or(&0) as u32;
        for i in 0..4 {
            if i <= c.len() {
                s.push(T[(n >> (18 - 6 * i)) as usize & 63] as char);
            } else {
                s.push('=');
            }
        }
    }
    s
}

impl Client {
    pub fn new(target: &Target, user: &str, password: &str, timeout: Duration) -> Client {
        Client {
            target: target.clone(),
            auth: format!("Basic {}", base64(format!("{user}:{password}").as_bytes())),
            extra: vec![],
            conn: None,
            connects: 0,
            retries: 0,
            timeout,
        }
    }
    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        let s = TcpStream::connect(self.target.addr).await.map_err(|e| format!("connect: {}", e.kind()))?;
        let _ = s.set_nodelay(true);
        let (tx, conn) = http1::handshake(TokioIo::new(s)).await.map_err(|e| format!("handshake: {}", short(&e)))?;
        tokio::task::spawn_local(async move {
            let _ = conn.await;
        });
        self.connects += 1;
        Ok(tx)
    }
    /// Sends and reads the whole answer. Latency runs from here to the last body byte, and so
    /// includes reconnecting when the server does not keep the connection open.
    pub async fn send(&mut self, r: &Req) -> Result<Resp, String> {
        let t0 = Instant::now();
        let out = tokio::time::timeout(self.timeout, self.exchange(r, t0)).await;
        match out {
            Ok(Ok((status, headers, body, lat_ns))) => Ok(Resp {
                status,
                etag: headers.get("etag").and_then(|v| v.to_str().ok()).map(|s| s.to_string()),
                headers,
                body,
                lat_ns,
            }),
            Ok(Err(e)) => {
                self.conn = None;
                Err(e)
            }
            Err(_) => {
                self.conn = None;
                Err(format!("no answer in {} s", self.timeout.as_secs()))
            }
        }
    }
    async fn exchange(&mut self, r: &Req, t0: Instant) -> Result<(u16, hyper::HeaderMap, Bytes, u64), String> {
        let mut attempt = 0;
        loop {
            let mut reused = false;
            let mut tx = match self.conn.take() {
                Some(mut tx) => {
                    if tx.ready().await.is_ok() {
                        reused = true;
                        tx
                    } else {
                        self.connect().await?
                    }
                }
                None => self.connect().await?,
            };
            let mut b = Request::builder()
                .method(r.method.clone())
                .uri(&r.path)
                .header("host", &self.target.host)
                .header("authorization", &self.auth)
                .header("user-agent", "davbench/0.1");
            for (k, v) in &self.extra {
                b = b.header(k, v);
            }
            if let Some(d) = r.depth {
                b = b.header("depth", d);
            }
            if let Some(c) = r.ctype {
                b = b.header("content-type", c);
            }
            if let Some(m) = &r.if_match {
                b = b.header("if-match", m);
            }
            if r.if_none_match_any {
                b = b.header("if-none-match", "*");
            }
            let req = b.body(Full::new(r.body.clone())).map_err(|e| format!("request: {e}"))?;
            match tx.send_request(req).await {
                Ok(resp) => {
                    let (p, body) = resp.into_parts();
                    let body = body.collect().await.map_err(|e| format!("body: {}", short(&e)))?.to_bytes();
                    let lat = t0.elapsed().as_nanos() as u64;
                    if tx.ready().await.is_ok() {
                        self.conn = Some(tx);
                    }
                    return Ok((p.status.as_u16(), p.headers, body, lat));
                }
                // A kept connection may have been closed as we wrote: one more try on a new one.
                Err(_) if reused && attempt == 0 => {
                    attempt += 1;
                    self.retries += 1;
                }
                Err(e) => return Err(format!("send: {}", short(&e))),
            }
        }
    }
}
fn short(e: &hyper::Error) -> String {
    if e.is_incomplete_message() {
        "connection closed mid-answer".into()
    } else if e.is_canceled() {
        "canceled".into()
    } else {
        e.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn only_loopback() {
        for bad in [
            "http://10.0.0.1:80/",
            "http://example.com/",
            "https://127.0.0.1/",
            "http://0.0.0.0:5232",
            "http://127.0.0.1.example.com/",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        let t = Target::parse("http://127.0.0.1:5232/dav/").unwrap();
        assert_eq!((t.addr.port(), t.prefix.as_str()), (5232, "/dav"));
        assert!(Target::parse("http://[::1]:8080").is_ok());
        assert!(Target::parse("http://localhost:8080").is_ok());
    }
    #[test]
    fn b64() {
        assert_eq!(base64(b"user:pw"), "dXNlcjpwdw==");
        assert_eq!(base64(b"abc"), "YWJj");
        assert_eq!(base64(b"ab"), "YWI=");
    }
}
