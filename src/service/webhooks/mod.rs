//! Delivery: endpoints, the ledger of what they are owed and got, and when what is tried again.
//!
//! [`endpoint`](Endpoint) says who hears of what, [`Hearing`] decides it for an event, [`ledger`] is what is written down,
//! `plan` decides what is sent now (pure: schedule, breaker, rate, fairness), `kept` manages endpoints,
//! [`Desk`] is where the dispatcher, senders and management meet.
//!
//! How an event travels: its row stands in the outbox with the change itself. The dispatcher writes it into the lots of the endpoints that hear
//! of it, claims (lease, durable) what may be sent now, sends, and writes down what became of it. So there is no moment at which a
//! crash could lose a delivery; what was under way is sent again with the same id.
//!
//! Not here: HTTP, signatures and payloads (`webhook`), the task that does it (`job`).

mod attempt;
pub mod audit;
mod breaker;
mod bucket;
mod change;
mod delivery;
mod desk;
mod endpoint;
mod hearing;
mod kept;
pub mod ledger;
pub mod listing;
pub mod overview;
mod plan;
mod post;
pub mod removal;
mod replay;
mod schedule;
pub mod secret;
pub mod state;

pub use attempt::{Attempt, Class, DETAIL_BYTES_MAX, Millis, Outcome};
pub use breaker::{Breaker, BreakerState, Change};
pub use bucket::Bucket;
pub use change::{Changes, change};
pub use delivery::{DeadLetter, Delivery, DeliveryState, TEST_EVENTS, second_of, test_id, webhook_id};
pub use desk::{Ask, Claim, Desk, DeskClosed, Standing, WebhookSettings};
pub use endpoint::{
    Detail, Endpoint, EndpointId, EndpointIdError, EndpointState, EventType, EventTypeError, NewEndpoint, Order, Owner,
    Rate, SigningSecrets,
};
pub use hearing::Hearing;
pub use kept::{
    RESEND_MAX, add, administers, disable, endpoint, endpoints, pause, recover, resend, resume, rotate, test,
};
pub use ledger::{Frontier, Health, Held, Lease, WaitingRow};
pub use plan::{Notice, Plan, SERVER, Times};
pub use post::Entry;
pub use removal::remove;
pub use replay::replay;
pub use schedule::{Schedule, Verdict, clamp_retry_after, retry_after};
