//! Privileges and grants (RFC 3744; RFC 4791 §6.1).

use serde::{Deserialize, Serialize};

use crate::base::PrincipalId;

/// A privilege that no other contains, or one of the aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Privilege {
    /// DAV:all
    All,
    /// DAV:read, which contains CALDAV:read-free-busy
    Read,
    /// DAV:write, which contains the next four
    Write,
    /// DAV:write-properties
    WriteProperties,
    /// DAV:write-content
    WriteContent,
    /// DAV:bind
    Bind,
    /// DAV:unbind
    Unbind,
    /// DAV:unlock
    Unlock,
    /// DAV:read-acl
    ReadAcl,
    /// DAV:read-current-user-privilege-set
    ReadCurrentUserPrivilegeSet,
    /// DAV:write-acl
    WriteAcl,
    /// CALDAV:read-free-busy
    ReadFreeBusy,
}

impl Privilege {
    /// All of them, aggregates before their parts.
    pub const EVERY: [Self; 12] = [
        Self::All,
        Self::Read,
        Self::ReadFreeBusy,
        Self::Write,
        Self::WriteProperties,
        Self::WriteContent,
        Self::Bind,
        Self::Unbind,
        Self::Unlock,
        Self::ReadAcl,
        Self::ReadCurrentUserPrivilegeSet,
        Self::WriteAcl,
    ];

    /// The set of what it contains.
    pub fn set(self) -> Privileges {
        Privileges(match self {
            Self::ReadFreeBusy => 1,
            Self::Read => 1 | 1 << 1,
            Self::WriteProperties => 1 << 2,
            Self::WriteContent => 1 << 3,
            Self::Bind => 1 << 4,
            Self::Unbind => 1 << 5,
            Self::Write => 0b1111 << 2,
            Self::Unlock => 1 << 6,
            Self::ReadAcl => 1 << 7,
            Self::ReadCurrentUserPrivilegeSet => 1 << 8,
            Self::WriteAcl => 1 << 9,
            Self::All => (1 << 10) - 1,
        })
    }
}

/// A set of privileges, aggregates resolved into their parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Privileges(u16);

impl Privileges {
    /// No privilege.
    pub const NONE: Self = Self(0);
    /// Every privilege.
    pub const ALL: Self = Self((1 << 10) - 1);

    /// Whether all that `privilege` contains is in the set.
    pub fn has(self, privilege: Privilege) -> bool {
        let wanted = privilege.set().0;
        self.0 & wanted == wanted
    }

    /// Both sets together.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Every privilege that it has, aggregates included, as DAV:current-user-privilege-set lists them:
    /// expanded, because several clients take `all` alone for read-only.
    pub fn expanded(self) -> impl Iterator<Item = Privilege> {
        Privilege::EVERY.into_iter().filter(move |privilege| self.has(*privilege))
    }
}

/// An entry of an access control list (RFC 3744 §5.5). Grants only: the server says so in DAV:acl-restrictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ace {
    /// To whom.
    pub principal: AcePrincipal,
    /// What.
    pub grant: Privileges,
}

/// DAV:principal in an entry (RFC 3744 §5.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AcePrincipal {
    /// DAV:href of a principal
    User(PrincipalId),
    /// DAV:all, of which only logged-in users ever get here
    All,
    /// DAV:authenticated
    Authenticated,
    /// DAV:unauthenticated
    Unauthenticated,
    /// DAV:property with DAV:owner
    Owner,
    /// DAV:self, on principals
    Itself,
}
