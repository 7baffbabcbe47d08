//! HTTPS with certificate files that are read again when they change.

mod sockets;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kalends::base::Limits;
use kalends::server::{Options, Tls, TlsFiles};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sockets::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Writes a new certificate for `localhost` with its key.
fn certificate(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).expect("written");
    made.cert.der().clone()
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem"), poll: Duration::from_millis(20) }
}

/// What a client that trusts `certificate` alone gets for GET /healthz; `None` if it does not trust the server.
async fn get(server: &TestServer, certificate: &CertificateDer<'static>, alpn: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(server.address).await.expect("it listens");
    let host = ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(host, stream).await.ok()?;
    let agreed = stream.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
    if alpn == b"http/1.1" {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
    }
    let mut text = String::new();
    if alpn == b"http/1.1" {
        let _ = stream.read_to_string(&mut text).await;
    }
    Some((text, agreed))
}

#[test]
fn https_is_served_with_http_1_and_2_and_demands_to_be_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let trusted = certificate(dir.path());
    let tls = Tls::load(files(dir.path())).expect("it loads");
    let server = TestServer::start(Limits::default(), Options { tls: Some(tls), ..Options::default() });
    server.runtime.block_on(async {
        let (text, agreed) = get(&server, &trusted, b"http/1.1").await.expect("trusted");
        assert_eq!(agreed, b"http/1.1");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("strict-transport-security: max-age="), "{text}");
        assert_eq!(get(&server, &trusted, b"h2").await.expect("trusted").1, b"h2");
    });
}

#[test]
fn a_changed_certificate_is_taken_over_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = certificate(dir.path());
    let tls = Tls::load(files(dir.path())).expect("it loads");
    let server = TestServer::start(Limits::default(), Options { tls: Some(tls), ..Options::default() });
    server.runtime.block_on(async {
        assert!(get(&server, &first, b"http/1.1").await.is_some());
        std::fs::write(dir.path().join("cert.pem"), "nonsense").expect("written");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(get(&server, &first, b"http/1.1").await.is_some(), "the old one stays in force");
        let second = certificate(dir.path());
        let started = Instant::now();
        while get(&server, &second, b"http/1.1").await.is_none() {
            assert!(started.elapsed() < Duration::from_secs(30), "the new certificate is never used");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(get(&server, &first, b"http/1.1").await.is_none(), "the old one is gone");
    });
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let load = || Tls::load(files(dir.path())).err().expect("it does not load");
    assert!(load().contains("cert.pem"));
    certificate(dir.path());
    std::fs::write(dir.path().join("key.pem"), "nonsense").expect("written");
    assert!(load().contains("key.pem"));
    certificate(dir.path());
    let other = rcgen::KeyPair::generate().expect("a key");
    std::fs::write(dir.path().join("key.pem"), other.serialize_pem()).expect("written");
    assert!(load().contains("do not work together"));
}
