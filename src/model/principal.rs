//! Principals and what is kept of their credentials.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, PrincipalId, Utc};

/// The name by which a user logs in, and the segment that stands for the user in every path.
/// Letters, digits and `. _ - + @`, 1 to 64 of them; stored in lower case, so that one person has one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserName(String);

/// Why a text is no user name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no user name: use 1 to 64 letters (a-z), digits and the signs . _ - + @, beginning with a letter or digit"
)]
pub struct UserNameError(String);

impl UserName {
    /// Takes `name`, lower-cased.
    ///
    /// # Errors
    /// If it is empty, too long or has other characters than allowed.
    pub fn new(name: &str) -> Result<Self, UserNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || name.len() > 64 || !name.chars().all(allowed) {
            return Err(UserNameError(name.chars().take(64).collect()));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user of this server (RFC 3744 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Its id.
    pub id: PrincipalId,
    /// Its name, unique.
    pub name: UserName,
    /// DAV:displayname, if other than the name.
    pub display_name: Option<String>,
    /// Mail addresses, the preferred one first (CALDAV:calendar-user-address-set).
    pub emails: Vec<String>,
    /// The calendar home (CALDAV:calendar-home-set).
    pub home: CollectionId,
    /// The root of its plain files, `/dav/files/{user}/`.
    pub files: CollectionId,
    /// Whether it administers the server.
    pub admin: bool,
    /// When it was made.
    pub created: Utc,
    /// Properties that clients set.
    pub properties: Vec<StoredProperty>,
}

/// What a principal can log in with. Kept apart from [`Principal`], so that no listing carries it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// The password's argon2id hash in PHC form; `None` locks the password.
    pub password: Option<String>,
    /// Passwords for single devices.
    pub app_passwords: Vec<AppPassword>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials([secret], {} app passwords)", self.app_passwords.len())
    }
}

/// A password for one device or program: 128 random bits, so a plain hash is enough.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPassword {
    /// What it is for, unique for the user.
    pub label: String,
    /// SHA-256 of the password.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: Utc,
}

/// A property's name: namespace and local name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PropertyName {
    /// The namespace URI; empty for none.
    pub namespace: String,
    /// The local name.
    pub local: String,
}

/// A property as a client set it: the whole element, kept with its attributes, language and inner markup,
/// and with every namespace it uses declared on it (RFC 4918 §4.3), so that it can be put into any answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredProperty {
    /// Its name.
    pub name: PropertyName,
    /// The element.
    pub xml: String,
}
