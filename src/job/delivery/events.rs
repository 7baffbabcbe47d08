//! Events by their number: those used last are kept in memory.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::model::Event;
use crate::service::webhooks::TEST_EVENTS;
use crate::service::{Context, StoreError};

/// Events that are kept.
const KEPT: usize = 100_000;
/// Events that are read at once: who lags behind asks for the next ones soon.
const PAGE: usize = 64;

/// Events by their number.
pub(super) struct Events(Cache<u64, Arc<Event>>);

impl Default for Events {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Events {
    /// Keeps an event.
    pub fn keep(&mut self, event: Arc<Event>) {
        self.0.insert(event.seq, event);
    }

    /// The event of that number if it is kept here.
    pub fn peek(&self, number: u64) -> Option<Arc<Event>> {
        self.0.get(&number)
    }

    /// The event of that number; `None` for tests and what is no longer kept.
    pub async fn get(&mut self, context: &Context, number: u64) -> Result<Option<Arc<Event>>, StoreError> {
        if number >= TEST_EVENTS || number == 0 {
            return Ok(None);
        }
        if let Some(event) = self.0.get(&number) {
            return Ok(Some(event));
        }
        let page = context.store.events(number - 1, PAGE).await?;
        let mut found = None;
        for event in page.rows.into_iter().map(Arc::new) {
            if event.seq == number {
                found = Some(Arc::clone(&event));
            }
            self.keep(event);
        }
        Ok(found)
    }
}
