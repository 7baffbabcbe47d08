//! What waits for the runner: calendars to be pulled soon, collapsed. In memory alone: polling is the truth, and a server
//! that starts looks at every account anyway.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::AccountKey;

/// What is wanted of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Calendars to pull.
    pub calendars: BTreeSet<String>,
    /// Whether all of its calendars are to be pulled.
    pub all: bool,
    /// Whether housekeeping is to be looked at.
    pub upkeep: bool,
}

/// Wishes, one for each account however many there were, and a bell.
#[derive(Debug, Default)]
pub struct Waiting {
    wanted: Mutex<BTreeMap<AccountKey, Wanted>>,
    bell: Notify,
}

impl Waiting {
    /// These calendars of the account are to be pulled soon.
    pub fn pull(&self, key: &AccountKey, calendars: impl IntoIterator<Item = String>) {
        self.wanted.lock().entry(key.clone()).or_default().calendars.extend(calendars);
        self.bell.notify_one();
    }

    /// The account is to be looked at: all calendars, housekeeping, whether it is still there.
    pub fn look(&self, key: &AccountKey) {
        let mut wanted = self.wanted.lock();
        let entry = wanted.entry(key.clone()).or_default();
        (entry.all, entry.upkeep) = (true, true);
        drop(wanted);
        self.bell.notify_one();
    }

    /// Housekeeping of the account is to be looked at.
    pub fn upkeep(&self, key: &AccountKey) {
        self.wanted.lock().entry(key.clone()).or_default().upkeep = true;
        self.bell.notify_one();
    }

    /// Takes all wishes.
    pub fn take(&self) -> BTreeMap<AccountKey, Wanted> {
        std::mem::take(&mut *self.wanted.lock())
    }

    /// Waits until there is a wish.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::providers::Provider;

    #[test]
    fn a_burst_is_one_wish() {
        let waiting = Waiting::default();
        let key = AccountKey::new(Provider::Google, "anna@example.com").expect("a name");
        for _ in 0..100 {
            waiting.pull(&key, ["primary".to_owned()]);
        }
        let taken = waiting.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[&key].calendars.len(), 1);
        assert!(waiting.take().is_empty());
    }
}
