//! TLS: certificate files into a rustls configuration, and again when they change.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::validity::validity;
use crate::base::Utc;

/// Where certificate and key lie, and how often they are looked at.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub cert: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
    /// How often their modification times are compared.
    pub poll: Duration,
}

/// The TLS configuration in force. New connections take the newest.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsFiles {
    /// From when to when the certificate is valid, if it and its key can be served with at all.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn validity(&self) -> Result<(Utc, Utc), String> {
        configuration(self)?;
        let chain = certificates(&self.cert)?;
        let own = chain.first().and_then(|certificate| validity(certificate));
        own.ok_or_else(|| format!("{} does not say how long it is valid", self.cert.display()))
    }
}

/// When the two files were last written.
type Stamp = (Option<SystemTime>, Option<SystemTime>);

impl Tls {
    /// Loads the files.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(files: TlsFiles) -> Result<Self, String> {
        let current = RwLock::new(Arc::new(configuration(&files)?));
        Ok(Self { files, current })
    }

    /// What a new connection is to use.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }

    /// Watches the files for as long as it is polled. Files that cannot be used leave the old certificate in
    /// force and a line in the log.
    pub async fn watch(&self) {
        let mut seen = stamp(&self.files);
        loop {
            tokio::time::sleep(self.files.poll).await;
            let now = stamp(&self.files);
            if now == seen {
                continue;
            }
            seen = now;
            match configuration(&self.files) {
                Ok(config) => {
                    *self.current.write() = Arc::new(config);
                    tracing::info!("certificate read again");
                }
                Err(error) => tracing::error!(error, "the changed certificate cannot be used; the old one stays"),
            }
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    (modified(&files.cert), modified(&files.key))
}

fn configuration(files: &TlsFiles) -> Result<ServerConfig, String> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("cannot read the TLS key {}: {error}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            format!(
                "certificate {} and key {} do not work together: {error}",
                files.cert.display(),
                files.key.display()
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| format!("cannot read the TLS certificate {shown}: {error}"))?;
    let chain: Vec<_> = CertificateDer::pem_reader_iter(BufReader::new(file))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the TLS certificate {shown} is no PEM: {error}"))?;
    if chain.is_empty() { Err(format!("the TLS certificate {shown} holds no certificate")) } else { Ok(chain) }
}
