//! Layer 3: who may do what, decided in one place (invariant A1). Authority is a value that is passed along.

use crate::base::PrincipalId;
use crate::model::{Ace, AcePrincipal, Privileges};

/// On whose authority something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody: no credentials were given.
    Anonymous,
    /// A user who has logged in.
    User(PrincipalId),
    /// The server's own work and the administrator at the command line.
    System,
}

impl Actor {
    /// The user, if it is one.
    pub fn principal(self) -> Option<PrincipalId> {
        match self {
            Self::User(id) => Some(id),
            Self::Anonymous | Self::System => None,
        }
    }
}

/// What `actor` may do with a thing of `owner`, on which the lists in `acls` hold: its own first, then those it inherits
/// (a home's hold for its calendars). Grants add up (DAV:grant-only).
pub fn decide<'a>(actor: Actor, owner: PrincipalId, acls: impl IntoIterator<Item = &'a [Ace]>) -> Privileges {
    match actor {
        Actor::System => Privileges::ALL,
        Actor::User(id) if id == owner => Privileges::ALL,
        Actor::Anonymous => Privileges::NONE,
        Actor::User(id) => acls
            .into_iter()
            .flatten()
            .filter(|ace| applies(ace.principal, id, owner))
            .fold(Privileges::NONE, |all, ace| all.union(ace.grant)),
    }
}

/// Whether an entry for `principal` is meant for the user `id`. Nobody without a login gets anything: a calendar
/// granted to DAV:all is for all users of this server, not for the world (that is what published feeds will be for).
fn applies(principal: AcePrincipal, id: PrincipalId, owner: PrincipalId) -> bool {
    match principal {
        AcePrincipal::User(user) => user == id,
        AcePrincipal::All | AcePrincipal::Authenticated => true,
        AcePrincipal::Unauthenticated => false,
        AcePrincipal::Owner | AcePrincipal::Itself => id == owner,
    }
}
