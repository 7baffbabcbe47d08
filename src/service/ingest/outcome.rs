//! What became of what a source said.

use crate::base::CollectionId;
use crate::service::providers::Counts;

/// What became of what a source said, counted by record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Newer than what was known, and stored.
    pub applied: u64,
    /// Older than what is known; dropped.
    pub stale: u64,
    /// Known already.
    pub duplicate: u64,
    /// Stored, and waiting for another record.
    pub parked: u64,
    /// Newer, and says that its object is gone.
    pub tombstoned: u64,
    /// Of those applied, tombstoned or parked: changed nothing visible.
    pub noise: u64,
    /// Could not be stored: its ids are too long, or it hangs together with too many others.
    pub refused: u64,
    /// What changed visibly.
    pub changes: Vec<Change>,
}

/// A visible change of a meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The meeting's key.
    pub meeting: String,
    /// The calendar of its object.
    pub collection: CollectionId,
    /// The object's name.
    pub name: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a meeting's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was made.
    Created,
    /// It was written anew.
    Updated,
    /// It was removed.
    Deleted,
}

impl Outcome {
    /// Adds what became of others.
    pub fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.stale += other.stale;
        self.duplicate += other.duplicate;
        self.parked += other.parked;
        self.tombstoned += other.tombstoned;
        self.noise += other.noise;
        self.refused += other.refused;
        self.changes.extend(other.changes);
    }

    /// Adds it to an account's counts.
    pub fn count(&self, counts: &mut Counts) {
        counts.applied += self.applied;
        counts.stale += self.stale;
        counts.duplicate += self.duplicate;
        counts.parked += self.parked;
        counts.tombstoned += self.tombstoned;
        counts.noise += self.noise;
    }

    /// Adds it to the metrics of `provider`.
    pub(super) fn measure(&self, provider: &'static str) {
        let outcomes = [
            ("applied", self.applied),
            ("stale", self.stale),
            ("duplicate", self.duplicate),
            ("parked", self.parked),
            ("tombstoned", self.tombstoned),
            ("noise", self.noise),
            ("refused", self.refused),
        ];
        for (outcome, number) in outcomes.into_iter().filter(|(_, number)| *number > 0) {
            metrics::counter!("kalends_ingest_records_total", "provider" => provider, "outcome" => outcome)
                .increment(number);
        }
        let changes = self.changes.len() as u64;
        if changes > 0 {
            metrics::counter!("kalends_ingest_changes_total", "provider" => provider).increment(changes);
        }
    }
}
