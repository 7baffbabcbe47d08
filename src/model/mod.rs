//! Layer 3: the domain's types: who there is, what there is, what changed. Plain data; how it is stored is
//! the store's affair, and how it looks on the wire is the edges'.

mod acl;
mod change;
mod collection;
mod lock;
mod object;
mod path;
mod precondition;
mod principal;
mod shelf;

pub use acl::{Ace, AcePrincipal, Privilege, Privileges};
pub use change::{Change, ChangeKind, EndpointNews, Event, EventKind};
pub use collection::{CalendarSettings, Collection, CollectionKind, Components, SyncToken};
pub use lock::{Lock, LockDepth, LockScope};
pub use object::{Index, IndexRow, Object};
pub use path::{Path, PathError, TrailingSlash};
pub use precondition::Precondition;
pub use principal::{AppPassword, Credentials, Principal, PropertyName, StoredProperty, UserName, UserNameError};
pub use shelf::Shelf;
