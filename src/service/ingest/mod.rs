//! Meetings from elsewhere: records of sources are kept, joined and resolved, and what they add up to is published as ordinary
//! calendar objects (invariants I1-I6). What a meeting is, [`crate::merge`] decides; here it is kept and written.
//!
//! - [`apply`] takes what a source has said. Newer records replace older ones field by field, the meetings that hang together with
//!   them are resolved anew, and each meeting's records, rows, object and outbox event go into one batch. What changes
//!   nothing visible makes no ETag, no revision and no event.
//! - [`sweep`] takes the end of a whole listing: what it did not name is gone, now and when it comes late.
//! - [`tidy`] ages what waits and what is gone.
//! - A client's PUT or DELETE of a meeting's object becomes a record of the provider `local` in the same batch ([`local`]).
//! - [`explain`], [`show`] and [`waiting`] tell what is known and why.
//!
//! An exception that comes before its series is kept like any other record; it waits because nothing can be made of
//! it yet, and the series' arrival finds it by its keys. WebDAV locks do not hold providers back: a lock keeps clients from
//! overwriting each other, and nobody but a client can wait for one.
//!
//! Not here: how a delivery becomes records (`provider`), when providers are asked (`job`), accounts
//! ([`super::providers`]).

mod apply;
mod closure;
mod explain;
mod kept;
pub mod local;
mod outcome;
mod publish;
mod sweep;
mod tidy;

pub use apply::apply;
pub use explain::{Dropped, Explained, Found, MeetingView, explain, object_bytes, show};
pub use outcome::{Change, ChangeKind, Outcome};
pub(in crate::service) use sweep::forget_user;
pub use sweep::{forget_account, page, sweep};
pub use tidy::{Tidied, Waiting, tidy, waiting};
