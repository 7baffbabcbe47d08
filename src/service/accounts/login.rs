//! Verifying logins without paying for argon2 at each request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{AccountError, password};
use crate::base::{PrincipalId, Secret};
use crate::model::{Credentials, Principal, UserName};
use crate::service::Context;
use crate::store::StoreError;

/// How many users are read at a time to find one by address.
const ADDRESS_PAGE: usize = 1_000;

/// How many verified logins are remembered.
const REMEMBERED_MAX: usize = 50_000;

/// Logins that were verified, and the right to verify more. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Logins(Arc<Inner>);

struct Inner {
    /// Random, for this process alone: what is remembered says nothing about passwords to anyone who reads memory dumps
    /// of another run.
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], PrincipalId>>,
    /// Grows when anyone's credentials change: what was verified before is then not remembered after.
    generation: AtomicU64,
    /// argon2 takes memory and CPU; no more of it at once than there are processors.
    permits: Arc<Semaphore>,
}

/// The right to compute one argon2 hash.
pub struct Permit(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Default for Logins {
    fn default() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system always gives random numbers");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            key,
            known: Mutex::default(),
            generation: AtomicU64::new(0),
            permits: Arc::new(Semaphore::new(processors)),
        }))
    }
}

impl Logins {
    /// The user, if this very login was verified before and nothing has changed since.
    pub fn known(&self, user: &str, password: &Secret<String>) -> Option<PrincipalId> {
        self.0.known.lock().get(&self.fingerprint(user, password)).copied()
    }

    /// Forgets what was verified for `principal`: its credentials have changed.
    pub fn forget(&self, principal: PrincipalId) {
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        self.0.known.lock().retain(|_, known| *known != principal);
    }

    /// The user, if `password` is one of its app passwords. Costs microseconds, and nobody can guess 128 bits: it needs
    /// no throttling.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn by_app_password(
        &self,
        context: &Context,
        user: &str,
        password: &Secret<String>,
    ) -> Result<Option<PrincipalId>, StoreError> {
        let Some(hash) = password::app_hash(password.expose()) else { return Ok(None) };
        let generation = self.generation();
        let Some((principal, credentials)) = lookup(context, user).await? else { return Ok(None) };
        let matched = credentials
            .app_passwords
            .iter()
            .fold(subtle::Choice::from(0), |found, known| found | known.hash.ct_eq(&hash));
        let verified = bool::from(matched).then_some(principal.id);
        self.remember(generation, verified, user, password);
        Ok(verified)
    }

    /// Waits for the right to compute a hash.
    pub async fn permit(&self) -> Permit {
        let permits = Arc::clone(&self.0.permits);
        Permit(permits.acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// The user, if `password` is its password. Takes the same time for users that do not exist.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn by_password(
        &self,
        context: &Context,
        user: &str,
        password: &Secret<String>,
        permit: Permit,
    ) -> Result<Option<PrincipalId>, StoreError> {
        let generation = self.generation();
        let found = lookup(context, user).await?;
        let (id, hash) = found.map(|(principal, credentials)| (principal.id, credentials.password)).unzip();
        let text = password.clone();
        let right = blocking(permit, move || password::matches(text.expose(), hash.flatten().as_deref())).await;
        let verified = if right { id } else { None };
        self.remember(generation, verified, user, password);
        Ok(verified)
    }

    /// The argon2id hash of a new password.
    pub(super) async fn hash(&self, password: &Secret<String>) -> Result<String, AccountError> {
        password::check(password.expose())?;
        let permit = self.permit().await;
        let text = password.clone();
        blocking(permit, move || password::argon2id(text.expose())).await
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst)
    }

    fn remember(&self, generation: u64, verified: Option<PrincipalId>, user: &str, password: &Secret<String>) {
        let Some(principal) = verified else { return };
        let fingerprint = self.fingerprint(user, password);
        let mut known = self.0.known.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        // Under the lock: whoever changes credentials raises the generation first and forgets after.
        if self.generation() == generation {
            known.insert(fingerprint, principal);
        }
    }

    fn fingerprint(&self, user: &str, password: &Secret<String>) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.0.key)
            .chain_update(user.len().to_be_bytes())
            .chain_update(user)
            .chain_update(password.expose())
            .finalize()
            .into()
    }
}

/// Runs `work` where it blocks nobody, holding `permit` for as long.
async fn blocking<T: Send + 'static>(permit: Permit, work: impl FnOnce() -> T + Send + 'static) -> T {
    let task = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(permit);
        result
    });
    task.await.expect("hashing does not panic")
}

async fn lookup(context: &Context, user: &str) -> Result<Option<(Principal, Credentials)>, StoreError> {
    let Some(principal) = named(context, user).await? else { return Ok(None) };
    let credentials = context.store.credentials(principal.id).await?.unwrap_or_default();
    Ok(Some((principal, credentials)))
}

/// The user of that name, else the only one with that mail address (RFC 6764 §7): it is what people type into their phones.
async fn named(context: &Context, user: &str) -> Result<Option<Principal>, StoreError> {
    if let Ok(name) = UserName::new(user)
        && let Some(principal) = context.store.principal_named(&name).await?
    {
        return Ok(Some(Arc::unwrap_or_clone(principal)));
    }
    if !user.contains('@') {
        return Ok(None);
    }
    let (mut found, mut after) = (None, None);
    loop {
        let page = context.store.principals(after.as_ref(), ADDRESS_PAGE).await?;
        after = page.rows.last().map(|principal| principal.name.clone());
        let is_theirs = |principal: &Principal| principal.emails.iter().any(|email| email.eq_ignore_ascii_case(user));
        for principal in page.rows.into_iter().filter(is_theirs) {
            if found.replace(principal).is_some() {
                return Ok(None);
            }
        }
        if !page.more {
            return Ok(found);
        }
    }
}
