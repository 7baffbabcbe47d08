//! A new connection: resolve once, look at every address, connect to one that was looked at.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Failure, Reach, Resolve, Stage, Target};

/// An open connection on which a request can be sent.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The largest head of an answer that is read.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Makes connections.
pub(super) struct Connector {
    pub resolver: Arc<dyn Resolve>,
    pub tls: TlsConnector,
}

impl Connector {
    /// Connects to `target` until `deadline`.
    pub async fn connect(&self, target: &Target, reach: Reach, deadline: Instant) -> Result<Sender, Failure> {
        let addresses = self.addresses(target, reach, deadline).await?;
        let stream = tcp(&addresses, target.port(), deadline).await?;
        // Small requests go out at once.
        let _ = stream.set_nodelay(true);
        if !target.is_https() {
            return handshake(stream, deadline).await;
        }
        let name = server_name(target)?;
        let stream = timeout_at(deadline, self.tls.connect(name, stream))
            .await
            .map_err(|_| Failure::Timeout(Stage::Connecting))?
            .map_err(|error| Failure::Tls(error.to_string()))?;
        handshake(stream, deadline).await
    }

    /// The addresses of the target, every one of them allowed.
    async fn addresses(&self, target: &Target, reach: Reach, deadline: Instant) -> Result<Vec<IpAddr>, Failure> {
        let found = match target.address() {
            Some(address) => vec![address],
            None => self.resolve(target, deadline).await?,
        };
        for address in &found {
            target.allow(*address, reach)?;
        }
        Ok(found)
    }

    async fn resolve(&self, target: &Target, deadline: Instant) -> Result<Vec<IpAddr>, Failure> {
        let failed = |reason: String| Failure::Dns { host: target.host().to_owned(), reason };
        let found = timeout_at(deadline, self.resolver.resolve(target.host()))
            .await
            .map_err(|_| Failure::Timeout(Stage::Resolving))?
            .map_err(failed)?;
        if found.is_empty() { Err(failed("it has no address".to_owned())) } else { Ok(found) }
    }
}

/// Tries the addresses one after the other; each has its share of the time that is left.
async fn tcp(addresses: &[IpAddr], port: u16, deadline: Instant) -> Result<TcpStream, Failure> {
    let mut failure = Failure::Connect("there is no address".to_owned());
    let count = addresses.len().min(ADDRESSES_MAX);
    for (index, address) in addresses.iter().take(count).enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(count - index).unwrap_or(1);
        let until = Instant::now() + share.max(Duration::from_millis(1));
        match timeout_at(until, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = Failure::Connect(error.to_string()),
            Err(_) => failure = Failure::Timeout(Stage::Connecting),
        }
    }
    Err(failure)
}

fn server_name(target: &Target) -> Result<ServerName<'static>, Failure> {
    match target.address() {
        Some(address) => Ok(ServerName::from(address)),
        None => ServerName::try_from(target.host().trim_end_matches('.').to_owned())
            .map_err(|_| Failure::BadUrl(format!("{} is no name that a certificate could have", target.host()))),
    }
}

/// HTTP/1.1 on an open stream; a task of its own drives the connection until both sides are done with it.
async fn handshake<S>(stream: S, deadline: Instant) -> Result<Sender, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let made = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (sender, connection) = timeout_at(deadline, made)
        .await
        .map_err(|_| Failure::Timeout(Stage::Connecting))?
        .map_err(|error| Failure::Connect(error.to_string()))?;
    // It ends when the sender and the answer's body are dropped.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// TLS with the public certificate authorities and those in `extra` (PEM).
pub(super) fn tls(extra: Option<&str>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in CertificateDer::pem_slice_iter(extra.unwrap_or_default().as_bytes()) {
        let certificate =
            certificate.map_err(|error| format!("the additional certificate authorities are no PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("an additional certificate authority cannot be used: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
