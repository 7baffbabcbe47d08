//! A calendar as one iCalendar stream (RFC 4918 §9.4 leaves GET of a collection to the server; RFC 7986 §5.7): read and
//! written a page at a time, so that it costs the same memory for every size.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::CollectionId;
use crate::ical::{self, Joiner, Property};
use crate::model::Collection;
use crate::service::{Context, Error};

/// Objects read at a time.
const PAGE: usize = 128;
/// How often subscribers are asked to look again (RFC 7986 §5.7).
const REFRESH: &str = "PT1H";

/// A calendar's stream, from the first line to the last.
pub struct CalendarStream {
    context: Arc<Context>,
    collection: CollectionId,
    head: Option<String>,
    after: Option<String>,
    joiner: Joiner,
    done: bool,
}

impl CalendarStream {
    /// The stream of `collection`, which must be one that the reader may read.
    pub fn new(context: Arc<Context>, collection: &Collection) -> Self {
        let head = Some(head(collection));
        Self { context, collection: collection.id, head, after: None, joiner: Joiner::default(), done: false }
    }

    /// The next piece; `None` after the last. Broken objects are left out (invariant B2).
    ///
    /// # Errors
    /// Of the store only.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.done {
            return Ok(None);
        }
        let mut out = self.head.take().unwrap_or_default();
        let store = &self.context.store;
        let page = store.objects(self.collection, self.after.as_deref(), PAGE).await?;
        for object in page.rows.iter().filter(|object| object.row().is_some()) {
            let Some((_, bytes)) = store.content(self.collection, &object.name).await? else { continue };
            let Ok(calendar) = ical::parse(&bytes, &self.context.limits) else { continue };
            self.joiner.add(&calendar);
            self.joiner.take().iter().for_each(|component| component.write_ics(&mut out));
        }
        self.after = page.rows.last().map(|object| object.name.clone());
        if !page.more {
            self.done = true;
            out.push_str("END:VCALENDAR\r\n");
        }
        Ok(Some(out.into()))
    }
}

/// BEGIN:VCALENDAR and the properties of the whole.
fn head(collection: &Collection) -> String {
    let mut calendar = ical::new_calendar();
    let name = collection.display_name.as_deref().unwrap_or(&collection.name);
    for property in ["NAME", "X-WR-CALNAME"] {
        calendar.set(Property::with_text(property, name));
    }
    let mut text = calendar.to_ics();
    text.truncate(text.len() - "END:VCALENDAR\r\n".len());
    let _ = write!(text, "REFRESH-INTERVAL;VALUE=DURATION:{REFRESH}\r\nX-PUBLISHED-TTL:{REFRESH}\r\n");
    text
}
