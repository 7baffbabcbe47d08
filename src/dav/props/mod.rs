//! Properties. Each live one is a [`Row`] of a table ([`webdav`], [`acl`], [`principal`], [`caldav`]), which says on which kinds of
//! resources it is defined, whether allprop lists it, whether clients set it, who may read it, and
//! how its value is written. PROPFIND, PROPPATCH, the reports and MKCALENDAR all go by the table; what is not in it is
//! a dead property, kept and given back as it came (RFC 4918 §4).

pub mod acl;
mod asked;
mod caldav;
mod change;
mod principal;
mod render;
mod sight;
mod target;
mod webdav;

pub use asked::{Asked, Style, properties};
pub use change::{Moment, changes, kind_at, write_outcome};
pub use render::{Extra, respond};
pub use sight::Sight;
pub use target::{Kinds, Target};
pub use webdav::write_lock;

use crate::model::Privilege;
use crate::xml::{Name, Writer};

/// A property: one that the server knows, or one that only clients do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// A live property.
    Live(&'static Row),
    /// A dead property.
    Dead(Name),
}

/// A live property.
#[derive(Debug)]
pub struct Row {
    /// Its namespace.
    pub ns: &'static str,
    /// Its local name.
    pub local: &'static str,
    /// On which kinds of resources it is defined.
    pub on: Kinds,
    /// Whether allprop gives it: those of RFC 4918 only, as the others' RFCs ask.
    pub listing: Listing,
    /// Whether clients may set it.
    pub change: Change,
    /// What one needs to read it.
    pub read: Reader,
    /// What has to be loaded before its value can be written.
    pub needs: Needs,
    value: fn(&Sight, Target<'_>, &mut Writer) -> Value,
}

/// Whether a property is part of allprop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It is.
    Allprop,
    /// Only whoever names it gets it.
    OnRequest,
}

/// Whether a property can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The server's alone.
    Protected,
    /// When the collection is made, and never again (RFC 4791 §5.2.3).
    AtCreation,
    /// At any time. The client's element is kept; the row's value stands in where none was set.
    Always,
}

/// Who may read a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever may know of the resource, if only that its owner is busy (invariant F4).
    Anybody,
    /// Who has the privilege.
    With(Privilege),
}

/// What a value takes that is not in the resource itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// The locks.
    Locks,
    /// The owner's usage.
    Usage,
    /// Names of the principals in the access control lists.
    Names,
}

/// Whether a resource has a property that is defined on its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// It was written.
    Written,
    /// There is none: 404.
    Missing,
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        (self.ns, self.local) == (other.ns, other.local)
    }
}

impl Eq for Row {}

impl Row {
    /// A protected property that is read with DAV:read and is not part of allprop.
    const fn new(
        ns: &'static str,
        local: &'static str,
        on: Kinds,
        value: fn(&Sight, Target<'_>, &mut Writer) -> Value,
    ) -> Self {
        let (listing, change) = (Listing::OnRequest, Change::Protected);
        Self { ns, local, on, listing, change, read: Reader::With(Privilege::Read), needs: Needs::Nothing, value }
    }

    const fn in_allprop(self) -> Self {
        Self { listing: Listing::Allprop, ..self }
    }

    const fn change(self, change: Change) -> Self {
        Self { change, ..self }
    }

    const fn read(self, read: Reader) -> Self {
        Self { read, ..self }
    }

    const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// Every live property.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [webdav::ROWS, acl::ROWS, principal::ROWS, caldav::ROWS].into_iter().flatten()
}

/// The live property of that name.
pub fn row(ns: &str, local: &str) -> Option<&'static Row> {
    rows().find(|row| row.local == local && row.ns == ns)
}

impl Property {
    /// The property of that name.
    pub fn of(name: &Name) -> Self {
        row(&name.ns, &name.local).map_or_else(|| Self::Dead(name.clone()), Self::Live)
    }

    /// Its name: namespace and local part.
    pub fn name(&self) -> (&str, &str) {
        match self {
            Self::Live(row) => (row.ns, row.local),
            Self::Dead(name) => (&name.ns, &name.local),
        }
    }
}
