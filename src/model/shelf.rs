//! What services keep beside calendar data (accounts, records of sources, deliveries): rows whose key and bytes a
//! service owns and the store never parses. The type says which service's rows they are.

use std::ops::Range;

/// Whose rows. The byte is part of the key on disk: it is never changed, and never given to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Shelf {
    /// Accounts at providers.
    Accounts = b'a',
    /// The newest record of each source object.
    Records = b'r',
    /// Meetings made of records.
    Meetings = b'm',
    /// Which meetings a UID, join id or other mark leads to.
    Joins = b'j',
    /// Where each pull of an account's calendar stands.
    Cursors = b'c',
    /// Records that wait for the one they depend on.
    Parked = b'p',
    /// Deliveries that could not be used, for people to look at.
    IngestLog = b'l',
    /// Whole listings of an account's calendar: what they did not name is gone.
    Sweeps = b'w',
    /// Which meeting a calendar object shows.
    MeetingObjects = b'o',
    /// Keys by which a request that is sent again is known.
    Idempotency = b'i',
    /// Where outbound deliveries go.
    Endpoints = b'e',
    /// Outbound deliveries.
    Deliveries = b'd',
    /// Outbound deliveries by the time they are due.
    Due = b'u',
    /// Attempts at outbound deliveries.
    Attempts = b't',
    /// Where delivery stands: positions in the outbox, breakers.
    DeliveryState = b's',
    /// Outbound deliveries that were given up.
    DeadLetters = b'x',
    /// What administrators did.
    Audit = b'n',
    /// Positions of the bus's groups of consumers.
    Bus = b'b',
}

impl Shelf {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Accounts,
        Self::Records,
        Self::Meetings,
        Self::Joins,
        Self::Cursors,
        Self::Parked,
        Self::IngestLog,
        Self::Sweeps,
        Self::MeetingObjects,
        Self::Idempotency,
        Self::Endpoints,
        Self::Deliveries,
        Self::Due,
        Self::Attempts,
        Self::DeliveryState,
        Self::DeadLetters,
        Self::Audit,
        Self::Bus,
    ];

    /// The shelf with that byte.
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|shelf| *shelf as u8 == byte)
    }

    /// The range of all keys.
    pub fn whole() -> Range<Vec<u8>> {
        Vec::new()..Vec::new()
    }

    /// The range of the keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Range<Vec<u8>> {
        let mut end = prefix.to_vec();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        prefix.to_vec()..end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Shelf;

    #[test]
    fn each_byte_is_one_shelf() {
        let bytes: BTreeSet<u8> = Shelf::ALL.iter().map(|shelf| *shelf as u8).collect();
        assert_eq!(bytes.len(), Shelf::ALL.len());
        assert!(Shelf::ALL.iter().all(|shelf| Shelf::of_byte(*shelf as u8) == Some(*shelf)));
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        assert_eq!(Shelf::prefix(b"ab"), b"ab".to_vec()..b"ac".to_vec());
        assert_eq!(Shelf::prefix(b"a\xff"), b"a\xff".to_vec()..b"b".to_vec());
        assert_eq!(Shelf::prefix(b"\xff"), b"\xff".to_vec()..Vec::new());
    }
}
