//! Writes that start again because another writer was faster.

use std::time::Duration;

/// How often a write starts again.
pub(super) const ATTEMPTS_MAX: usize = 64;

/// So many attempts follow each other at once.
const AT_ONCE: usize = 4;

/// Before the attempt of this number, from 0. Who loses again and again is most often in step with another writer: the pauses, of
/// 1 ms and doubled up to 16, break the step.
pub(super) async fn before(attempt: usize) {
    if let Some(doublings) = attempt.checked_sub(AT_ONCE) {
        tokio::time::sleep(Duration::from_millis(1 << doublings.min(4))).await;
    }
}
