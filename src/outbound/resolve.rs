//! From a name to its addresses, once an exchange.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// What a resolver is doing.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send + 'a>>;

/// Whoever knows the addresses of names. Asked once for each connection; its answer is what is checked and what is connected to.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, which is a name and no address.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a>;
}

/// The system's resolver: `/etc/hosts`, DNS and whatever else it is configured to ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| error.to_string())?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
