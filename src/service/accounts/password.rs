//! Hashing passwords, and making random ones.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};

use super::AccountError;
use crate::base::Secret;

/// Longer passwords are refused unread: hashing costs by length.
const BYTES_MAX: usize = 1_024;

/// The letters of generated passwords: 32 of them, without `0`, `1`, `i` and `o`, which people mistake for others.
const LETTERS: &[u8; 32] = b"abcdefghjklmnpqrstuvwxyz23456789";

/// Letters of a generated password: 26 times 5 bits hold 128 bits.
const LENGTH: usize = 26;

/// What the password of a user who does not exist is compared with, so that it takes the time that others take.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let unguessable = random_password();
    argon2id(unguessable.expose()).unwrap_or_default()
});

/// Whether `password` can be one.
pub(super) fn check(password: &str) -> Result<(), AccountError> {
    if password.is_empty() {
        return Err(AccountError::Password("it is empty"));
    }
    if password.len() > BYTES_MAX {
        return Err(AccountError::Password("it is longer than 1024 bytes"));
    }
    if password.chars().any(char::is_control) {
        return Err(AccountError::Password("it holds a control character"));
    }
    Ok(())
}

/// The argon2id hash of `password` in PHC form, with the library's parameters (19 MiB, 2 passes: OWASP's).
/// Takes tens of milliseconds of CPU: not for an async thread.
pub(super) fn argon2id(password: &str) -> Result<String, AccountError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| AccountError::Password("it could not be hashed"))
}

/// Whether `password` is the one hashed in `hash`; without one it takes the same time and is wrong.
/// Takes tens of milliseconds of CPU: not for an async thread.
pub(super) fn matches(password: &str, hash: Option<&str>) -> bool {
    let compared = hash.unwrap_or(NOBODY.as_str());
    let right = password.len() <= BYTES_MAX
        && PasswordHash::new(compared)
            .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
    right && hash.is_some()
}

/// A random password of 128 bits, in groups that can be typed.
pub fn random_password() -> Secret<String> {
    let mut random = [0; LENGTH];
    getrandom::fill(&mut random).expect("the operating system always gives random numbers");
    let mut text = String::with_capacity(LENGTH + LENGTH / 5);
    for (index, byte) in random.iter().enumerate() {
        if index > 0 && index % 5 == 0 && index + 1 < LENGTH {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte & 31)]));
    }
    Secret::new(text)
}

/// The hash that an app password is kept as; `None` if `password` has not the form of one. Groups and case do not
/// count: it may have been typed.
pub(super) fn app_hash(password: &str) -> Option<[u8; 32]> {
    if password.len() > 4 * LENGTH {
        return None;
    }
    let plain: String = password.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    let formed = plain.len() == LENGTH && plain.bytes().all(|byte| LETTERS.contains(&byte));
    formed.then(|| Sha256::digest(plain.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify_their_password_and_no_other() {
        let hash = argon2id("pässword").expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(matches("pässword", Some(&hash)));
        assert!(!matches("password", Some(&hash)));
        assert!(!matches("password", None));
        assert!(!matches("password", Some("no hash")));
        assert_ne!(hash, argon2id("pässword").expect("hashed"), "salted");
    }

    #[test]
    fn app_passwords_are_recognised_however_they_are_typed() {
        let password = random_password();
        let text = password.expose();
        let hash = app_hash(text);
        assert!(hash.is_some());
        assert_eq!(hash, app_hash(&text.to_uppercase().replace('-', " ")));
        assert_ne!(hash, app_hash(random_password().expose()));
        for other in ["", "secret", &format!("{text}a"), &text[1..]] {
            assert_eq!(app_hash(other), None, "{other}");
        }
    }

    #[test]
    fn passwords_that_cannot_be_typed_into_a_client_are_refused() {
        assert!(check("correct horse").is_ok());
        for wrong in ["", "a\nb", &"x".repeat(BYTES_MAX + 1)] {
            assert!(check(wrong).is_err());
        }
    }
}
