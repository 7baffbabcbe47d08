//! Layer 0: the few types that every other layer shares. Nothing here knows of calendars' text,
//! storage or HTTP, and nothing here imports anything of ours.

mod clock;
mod etag;
mod id;
mod interval;
mod limits;
mod secret;

pub use clock::{Clock, FixedClock, SystemClock};
pub use etag::ETag;
pub use id::{CollectionId, LockToken, PrincipalId, Revision};
pub use interval::{Interval, Utc};
pub(crate) use interval::{Stamps, write_date, write_date_time};
pub use limits::{LIMITS, Limit, Limits, named_in as limit_named_in};
pub use secret::Secret;
