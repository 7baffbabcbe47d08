//! Deliveries: one event for one endpoint (invariant D2).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::endpoint::DIGITS;
use super::{Class, Endpoint, EndpointId, EventType, Millis};
use crate::base::{CollectionId, PrincipalId, Revision, Utc};
use crate::model::{Event, EventKind};

/// Numbers from here on are tests, not places in the outbox.
pub const TEST_EVENTS: u64 = 1 << 63;

/// The `webhook-id` of a delivery: `msg_` and what looks like a ULID: the event's time and 80 bits of a hash of event and endpoint.
/// So it is the same on every attempt, after every crash, and on every machine.
pub fn webhook_id(endpoint: EndpointId, event: &Event) -> String {
    let mut hash = Sha256::new();
    hash.update(b"kalends delivery");
    for number in [endpoint.0, event.seq, event.collection.0, event.revision.0, event.owner.0] {
        hash.update(number.to_be_bytes());
    }
    let hash = hash.finalize();
    let time = u128::from(u64::try_from(Millis::from(event.at).0).unwrap_or(0) & 0xffff_ffff_ffff);
    let random = hash.iter().take(10).fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
    let value = time << 80 | random;
    let mut text = String::with_capacity(30);
    text.push_str("msg_");
    for digit in (0..26_u32).rev() {
        let digit = (value >> (5 * digit)) & 31;
        text.push(char::from(DIGITS[digit as usize]));
    }
    text
}

/// The `webhook-id` of a test message, by its number.
pub fn test_id(endpoint: &Endpoint, number: u64) -> String {
    let kind = EventKind::CalendarUpdated { name: String::new() };
    let (owner, collection, revision) = (PrincipalId(0), CollectionId(0), Revision(0));
    let at = endpoint.created;
    webhook_id(endpoint.id, &Event { seq: number, at, actor: None, owner, collection, revision, kind })
}

/// The second that a `webhook-id` names; `None` for a text that is none.
pub fn second_of(webhook_id: &str) -> Option<Utc> {
    let digits = webhook_id.strip_prefix("msg_").filter(|digits| digits.len() == 26)?;
    let ms = digits.bytes().take(10).try_fold(0_i64, |value, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        Some(value << 5 | i64::try_from(digit).ok()?)
    })?;
    Some(Millis(ms).utc())
}

/// How a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// It failed and is tried again, or somebody asked for it.
    Waiting {
        /// Attempts made.
        attempts: u32,
        /// When it is tried next.
        next: Millis,
        /// What became of the last one; `None` if there was none.
        class: Option<Class>,
        /// The last answer's status.
        status: Option<u16>,
    },
    /// It was delivered; when is in the attempt log.
    Delivered,
    /// It was given up.
    Dead(DeadLetter),
    /// It was left out: a newer event of the same object followed (latest only).
    Superseded,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up.
    pub at: Millis,
    /// Attempts made.
    pub attempts: u32,
    /// What became of the last one.
    pub class: Class,
    /// The last answer's status.
    pub status: Option<u16>,
    /// Why, in our words.
    pub reason: String,
}

/// A delivery, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where to.
    pub endpoint: EndpointId,
    /// The event's number.
    pub event: u64,
    /// Its `webhook-id`; `None` if the event is no longer kept.
    pub webhook_id: Option<String>,
    /// The event's type as that endpoint is told; `None` if the event is no longer kept.
    pub kind: Option<EventType>,
    /// How it stands.
    pub state: DeliveryState,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64) -> Event {
        let kind = EventKind::CalendarCreated { name: "c".into() };
        Event {
            seq,
            at: Utc(1_795_348_800),
            actor: None,
            owner: PrincipalId(1),
            collection: CollectionId(2),
            revision: Revision(3),
            kind,
        }
    }

    #[test]
    fn ids_are_made_of_event_and_endpoint_alone() {
        let id = webhook_id(EndpointId(1), &event(5));
        assert_eq!((id.len(), &id[..4]), (30, "msg_"));
        assert_eq!(webhook_id(EndpointId(1), &event(5)), id);
        assert_ne!(webhook_id(EndpointId(2), &event(5)), id);
        assert_ne!(webhook_id(EndpointId(1), &event(6)), id);
        assert!(id[4..].bytes().all(|byte| DIGITS.contains(&byte)));
        assert_eq!(second_of(&id), Some(Utc(1_795_348_800)));
        assert_eq!(second_of("msg_1"), None);
    }
}
