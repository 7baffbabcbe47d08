//! Secrets at rest: sealed with ChaCha20-Poly1305 (RFC 8439) under a key that is not among the rows, bound to whose they are: an account's
//! of a provider, or an endpoint's of delivery.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AccountKey, AccountSecrets};
use crate::base::{Secret, Utc};

/// The length of a key in bytes.
const KEY_BYTES: usize = 32;
/// How many bytes of the key's hash tell keys apart.
const MARK_BYTES: usize = 8;
/// The form of a sealed box: version, mark, nonce, ciphertext with tag.
const VERSION: u8 = 1;

/// Why secrets cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// There is no key.
    #[error(
        "there is no key to keep secrets with: set [providers] key_file to a file with 32 random bytes in base64 \
         (`openssl rand -base64 32 > FILE`), and keep a copy of it away from the data"
    )]
    NoKey,
    /// The configured key is none.
    #[error("the key for secrets must be 32 bytes in base64 (as `openssl rand -base64 32` writes), not {0}")]
    BadKey(String),
    /// The secrets were sealed under another key.
    #[error(
        "the secrets of {0} were sealed with another key than the configured one: put the former key back ([providers] \
         key_file), or remove the account and add it again"
    )]
    OtherKey(String),
    /// The sealed bytes are damaged.
    #[error("the stored secrets of {0} are damaged: remove the account and add it again")]
    Damaged(String),
}

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Vault {
    key: LessSafeKey,
    mark: [u8; MARK_BYTES],
    /// Another key's, under which things may have been sealed before this key came.
    former: Option<Box<Vault>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([secret])")
    }
}

/// What is sealed. Postcard of this, in this order; the field order is the format.
#[derive(Default, Serialize, Deserialize)]
struct Plain {
    hook: Option<String>,
    refresh_token: Option<String>,
    access_token: Option<(String, Utc)>,
    client_secret: Option<String>,
    password: Option<String>,
}

/// A new key, as [`Vault::new`] reads it.
pub fn new_key() -> Secret<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Secret::new(STANDARD.encode(bytes))
}

impl Vault {
    /// A vault with this key: base64 of 32 bytes, white space around it allowed.
    ///
    /// # Errors
    /// [`VaultError::BadKey`] says what it is instead; never the key.
    pub fn new(key: &Secret<String>) -> Result<Self, VaultError> {
        let bytes = STANDARD
            .decode(key.expose().trim())
            .map_err(|_| VaultError::BadKey("a text that is no base64".to_owned()))?;
        if bytes.len() != KEY_BYTES {
            return Err(VaultError::BadKey(format!("{} bytes", bytes.len())));
        }
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map_err(|_| VaultError::BadKey("a key that the cipher refuses".to_owned()))?;
        let hash = Sha256::new().chain_update(b"kalends vault").chain_update(&bytes).finalize();
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&hash[..MARK_BYTES]);
        Ok(Self { key: LessSafeKey::new(unbound), mark, former: None })
    }

    /// One that seals under the configured key, and opens what was sealed under the key beside the data as well: a key that is configured
    /// later must not lock what is there already.
    pub fn either(configured: Option<Self>, beside: Option<Self>) -> Option<Self> {
        match (configured, beside) {
            (Some(configured), beside) => Some(Self { former: beside.map(Box::new), ..configured }),
            (None, beside) => beside,
        }
    }

    /// Seals `secrets` for the account `key`: they open for no other.
    pub fn seal(&self, key: &AccountKey, secrets: &AccountSecrets) -> Vec<u8> {
        let text = |secret: &Option<Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
        let plain = Plain {
            hook: text(&secrets.hook),
            refresh_token: text(&secrets.refresh_token),
            access_token: secrets.access_token.as_ref().map(|(token, until)| (token.expose().clone(), *until)),
            client_secret: text(&secrets.client_secret),
            password: text(&secrets.password),
        };
        let plain = postcard::to_stdvec(&plain).expect("plain data is always encodable into memory");
        self.seal_bytes(&key.to_string(), plain)
    }

    /// Seals bytes for `whose`: they open under no other name. Names of accounts have a provider before the slash.
    pub fn seal_bytes(&self, whose: &str, plain: Vec<u8>) -> Vec<u8> {
        let mut box_ = plain;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(whose), &mut box_)
            .expect("what is sealed is far shorter than the cipher's bound");
        [&[VERSION][..], &self.mark, &nonce, &box_].concat()
    }

    /// Opens what [`Vault::seal`] made for `key`.
    ///
    /// # Errors
    /// [`VaultError::OtherKey`] or [`VaultError::Damaged`].
    pub fn open(&self, key: &AccountKey, sealed: &[u8]) -> Result<AccountSecrets, VaultError> {
        let whose = key.to_string();
        let plain = self.open_bytes(&whose, sealed)?;
        let plain: Plain = postcard::from_bytes(&plain).map_err(|_| VaultError::Damaged(whose))?;
        Ok(AccountSecrets {
            hook: plain.hook.map(Secret::new),
            refresh_token: plain.refresh_token.map(Secret::new),
            access_token: plain.access_token.map(|(token, until)| (Secret::new(token), until)),
            client_secret: plain.client_secret.map(Secret::new),
            password: plain.password.map(Secret::new),
        })
    }

    /// Opens what [`Vault::seal_bytes`] made for `whose`.
    ///
    /// # Errors
    /// [`VaultError::OtherKey`] or [`VaultError::Damaged`].
    pub fn open_bytes(&self, whose: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let damaged = || VaultError::Damaged(whose.to_owned());
        let (head, box_) = sealed.split_at_checked(1 + MARK_BYTES + NONCE_LEN).ok_or_else(damaged)?;
        if head[0] != VERSION {
            return Err(damaged());
        }
        if head[1..=MARK_BYTES] != self.mark {
            let other = || Err(VaultError::OtherKey(whose.to_owned()));
            return self.former.as_ref().map_or_else(other, |former| former.open_bytes(whose, sealed));
        }
        let nonce = Nonce::try_assume_unique_for_key(&head[1 + MARK_BYTES..]).map_err(|_| damaged())?;
        let mut bytes = box_.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(whose), &mut bytes).map_err(|_| damaged())?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::providers::Provider;

    fn vault(byte: u8) -> Vault {
        Vault::new(&Secret::new(STANDARD.encode([byte; 32]))).expect("a key")
    }

    fn key(name: &str) -> AccountKey {
        AccountKey::new(Provider::Zoom, name).expect("a name")
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_account_and_key_alone() {
        let secrets = AccountSecrets {
            hook: Some(Secret::new("hook-secret".to_owned())),
            access_token: Some((Secret::new("token".to_owned()), Utc(77))),
            ..AccountSecrets::default()
        };
        let sealed = vault(1).seal(&key("a"), &secrets);
        assert!(!sealed.windows(6).any(|part| part == b"secret" || part == b"hook-s"), "nothing is readable");
        assert_eq!(vault(1).open(&key("a"), &sealed), Ok(secrets.clone()));
        assert_eq!(vault(2).open(&key("a"), &sealed), Err(VaultError::OtherKey("zoom/a".to_owned())));
        assert_eq!(vault(1).open(&key("b"), &sealed), Err(VaultError::Damaged("zoom/b".to_owned())));
        assert_ne!(vault(1).seal(&key("a"), &secrets), sealed, "every box has a nonce of its own");
        for end in 0..sealed.len() {
            assert!(vault(1).open(&key("a"), &sealed[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn a_key_that_is_configured_later_locks_nothing() {
        let both = || Vault::either(Some(vault(1)), Some(vault(2))).expect("two keys");
        let secrets = AccountSecrets { hook: Some(Secret::new("s".to_owned())), ..AccountSecrets::default() };
        assert_eq!(both().open(&key("a"), &vault(2).seal(&key("a"), &secrets)), Ok(secrets.clone()));
        assert_eq!(
            vault(1).open(&key("a"), &both().seal(&key("a"), &secrets)),
            Ok(secrets.clone()),
            "it seals under the first"
        );
        let third = vault(3).seal(&key("a"), &secrets);
        assert_eq!(both().open(&key("a"), &third), Err(VaultError::OtherKey("zoom/a".to_owned())));
    }

    #[test]
    fn a_key_that_is_none_is_explained_and_not_repeated() {
        let error = |text: &str| Vault::new(&Secret::new(text.to_owned())).expect_err("no key").to_string();
        assert!(error("hunter2!").contains("no base64") && !error("hunter2!").contains("hunter2"));
        assert!(error("c2hvcnQ=").contains("5 bytes"));
        assert!(Vault::new(&new_key()).is_ok());
        assert!(Vault::new(&Secret::new(format!("  {}\n", STANDARD.encode([9; 32])))).is_ok());
    }
}
