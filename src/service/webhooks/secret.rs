//! Endpoints' signing secrets at rest: sealed in the vault that keeps providers' secrets, each bound to its endpoint.
//!
//! A row begins with its form. [`PLAIN`] is how they were kept once, and still are by a context without a vault (the program always
//! has one); such a row is read, and [`seal`]ed when deliveries are handed out again. [`SEALED`] is a box of the vault.
//!
//! Sealed under a key that is not here any more, a secret is *locked*: its endpoint is sent nothing, what it is owed waits, and it
//! is sent when the key is back, or after [`rotate`](super::rotate) has given it a new secret.

use bytes::Bytes;

use super::ledger::{endpoint_key, secrets_key};
use super::{EndpointId, SigningSecrets};
use crate::base::{Secret, Utc};
use crate::model::Shelf;
use crate::service::providers::Vault;
use crate::service::rows::{decode, encode};
use crate::service::{Context, Error, StoreError};
use crate::store::{Assert, Batch, CommitError, Write};

/// The form of a row that is not sealed.
const PLAIN: u8 = 1;
/// The form of a row with a box of the vault.
const SEALED: u8 = 2;

/// What is kept: the secret in force, the former one and until when it signs as well.
type Kept = (Vec<u8>, Option<(Vec<u8>, Utc)>);

/// An endpoint's secrets as they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// They can be used.
    Open(SigningSecrets),
    /// They were sealed under a key that is not here.
    Locked,
}

impl Found {
    /// The secrets, if they can be used.
    pub fn open(self) -> Option<SigningSecrets> {
        match self {
            Self::Open(secrets) => Some(secrets),
            Self::Locked => None,
        }
    }
}

fn vault(context: &Context) -> Option<&Vault> {
    context.providers.settings.vault.as_ref()
}

/// Under which name the vault keeps them. No account of a provider has it: there is none called `webhook`.
fn whose(id: EndpointId) -> String {
    format!("webhook/{id}")
}

/// The write that keeps them.
pub(super) fn put(context: &Context, id: EndpointId, secrets: &SigningSecrets) -> Write {
    let former = secrets.former.as_ref().map(|(secret, until)| (secret.expose().clone(), *until));
    let kept: Kept = (secrets.current.expose().clone(), former);
    let row = encode(PLAIN, &kept);
    let row = match vault(context) {
        Some(vault) => Bytes::from([&[SEALED][..], &vault.seal_bytes(&whose(id), row.to_vec())].concat()),
        None => row,
    };
    Write::PutRow(Shelf::Endpoints, secrets_key(id), row)
}

/// An endpoint's signing secrets; `None` if there is no such endpoint.
///
/// # Errors
/// The store's.
pub async fn secrets(context: &Context, id: EndpointId) -> Result<Option<Found>, StoreError> {
    Ok(read(context, id).await?.map(|(found, _)| found))
}

/// An endpoint's signing secrets, and the bytes they were read from.
pub(super) async fn read(context: &Context, id: EndpointId) -> Result<Option<(Found, Bytes)>, StoreError> {
    let Some(row) = context.store.row(Shelf::Endpoints, &secrets_key(id)).await? else { return Ok(None) };
    let found = match row.split_first() {
        Some((&SEALED, sealed)) => match vault(context).map(|vault| vault.open_bytes(&whose(id), sealed)) {
            Some(Ok(plain)) => Found::Open(of_plain(&plain)?),
            Some(Err(_)) | None => Found::Locked,
        },
        _ => Found::Open(of_plain(&row)?),
    };
    Ok(Some((found, row)))
}

fn of_plain(row: &[u8]) -> Result<SigningSecrets, StoreError> {
    let (current, former): Kept = decode(PLAIN, row, "signing secrets")?;
    let former = former.map(|(secret, until)| (Secret::new(secret), until));
    Ok(SigningSecrets { current: Secret::new(current), former })
}

/// Seals what an endpoint's row still says openly. Nothing happens without a vault, or if the row was written meanwhile.
///
/// # Errors
/// The store's.
pub async fn seal(context: &Context, id: EndpointId) -> Result<(), Error> {
    let Some((Found::Open(secrets), row)) = read(context, id).await? else { return Ok(()) };
    if vault(context).is_none() || row.first() == Some(&SEALED) {
        return Ok(());
    }
    let batch = Batch {
        at: context.clock.now(),
        asserts: vec![Assert::RowIs(Shelf::Endpoints, secrets_key(id), Some(row))],
        writes: vec![put(context, id, &secrets)],
        ..Batch::default()
    };
    match context.store.commit(batch).await {
        Ok(_) | Err(CommitError::Failed { .. }) => Ok(()),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}

/// The endpoints whose secrets are locked.
///
/// # Errors
/// The store's.
pub async fn locked(context: &Context) -> Result<Vec<EndpointId>, StoreError> {
    let mut found = Vec::new();
    for endpoint in super::ledger::all_endpoints(context).await? {
        if secrets(context, endpoint.id).await? == Some(Found::Locked) {
            found.push(endpoint.id);
        }
    }
    Ok(found)
}

/// The writes that take an endpoint's rows of these two kinds away.
pub(super) fn delete(id: EndpointId) -> [Write; 2] {
    [Write::DeleteRow(Shelf::Endpoints, endpoint_key(id)), Write::DeleteRow(Shelf::Endpoints, secrets_key(id))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Actor;
    use crate::base::Limits;
    use crate::service::providers::{ProviderSettings, Providers, new_key};
    use crate::service::webhooks::{NewEndpoint, Owner, add, rotate};
    use crate::store::{Engine, Options, Store};

    fn in_memory() -> Context {
        let options = Options { dir: "".into(), engine: Engine::Memory, cache_bytes: 1, tombstones_max: 10 };
        Context::new(Store::open(&options).expect("memory opens"), Limits::default())
    }

    fn with(context: &mut Context, vault: Option<Vault>) {
        context.providers = Providers::new(ProviderSettings { vault, ..ProviderSettings::default() });
    }

    fn fresh() -> Option<Vault> {
        Some(Vault::new(&new_key()).expect("a key"))
    }

    /// The bytes of the secret that its owner was shown.
    fn bytes(shown: &Secret<String>) -> Vec<u8> {
        use base64::Engine as _;
        let text = shown.expose().strip_prefix("whsec_").expect("the prefix");
        base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
    }

    async fn row(context: &Context, id: EndpointId) -> Bytes {
        context.store.row(Shelf::Endpoints, &secrets_key(id)).await.expect("read").expect("a row")
    }

    async fn current(context: &Context, id: EndpointId) -> Option<Vec<u8>> {
        let found = secrets(context, id).await.expect("read").expect("an endpoint");
        found.open().map(|secrets| secrets.current.expose().clone())
    }

    #[tokio::test]
    async fn what_was_kept_openly_is_read_and_sealed() {
        let mut context = in_memory();
        let new = NewEndpoint::new(Owner::Server, "https://example.org/");
        let (endpoint, shown) = add(&context, Actor::System, new).await.expect("added");
        let (id, secret) = (endpoint.id, bytes(&shown));
        let openly = |row: &[u8]| row.windows(secret.len()).any(|part| part == secret);
        assert!(openly(&row(&context, id).await), "without a vault there is no other way");
        with(&mut context, fresh());
        assert_eq!(current(&context, id).await, Some(secret.clone()), "the old form is read");
        seal(&context, id).await.expect("sealed");
        assert!(!openly(&row(&context, id).await));
        assert_eq!(current(&context, id).await, Some(secret.clone()));
        let sealed = row(&context, id).await;
        seal(&context, id).await.expect("nothing to do");
        assert_eq!(row(&context, id).await, sealed, "once is enough");
    }

    #[tokio::test]
    async fn without_its_key_a_secret_is_locked_until_it_is_rotated() {
        let mut context = in_memory();
        let vault = fresh();
        with(&mut context, vault.clone());
        let new = NewEndpoint::new(Owner::Server, "https://example.org/");
        let (endpoint, shown) = add(&context, Actor::System, new).await.expect("added");
        let id = endpoint.id;
        for other in [fresh(), None] {
            with(&mut context, other);
            assert_eq!(current(&context, id).await, None);
            assert_eq!(locked(&context).await.expect("read"), [id]);
        }
        with(&mut context, vault);
        assert_eq!(current(&context, id).await, Some(bytes(&shown)), "the key is back");
        with(&mut context, fresh());
        let shown = rotate(&context, Actor::System, id).await.expect("a new secret");
        assert_eq!(current(&context, id).await, Some(bytes(&shown)));
        assert!(locked(&context).await.expect("read").is_empty());
    }

    #[tokio::test]
    async fn a_box_opens_for_its_own_endpoint_alone() {
        let mut context = in_memory();
        with(&mut context, fresh());
        let mut ids = Vec::new();
        for _ in 0..2 {
            let new = NewEndpoint::new(Owner::Server, "https://example.org/");
            ids.push(add(&context, Actor::System, new).await.expect("added").0.id);
        }
        let swapped = Write::PutRow(Shelf::Endpoints, secrets_key(ids[0]), row(&context, ids[1]).await);
        let batch = Batch { writes: vec![swapped], ..Batch::default() };
        context.store.commit(batch).await.expect("written");
        assert_eq!(current(&context, ids[0]).await, None);
    }
}
