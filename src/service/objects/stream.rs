//! A calendar as one iCalendar or jCal stream (RFC 4918 §9.4 leaves GET of a collection to the server; RFC 7986 §5.7): read
//! and written a page at a time, so that it costs the same memory for every size.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{CollectionId, Utc};
use crate::ical::{self, Component, Joiner, Property};
use crate::model::Collection;
use crate::service::{Context, Error};
use crate::zone::{self, Timezones};

/// Objects read at a time.
const PAGE: usize = 128;
/// How often subscribers are asked to look again (RFC 7986 §5.7).
const REFRESH: &str = "PT1H";
/// From when on the VTIMEZONEs are right that are written for the whole stream.
const ZONES_SINCE: Utc = Utc(0);

/// A calendar's stream, from the first line to the last.
pub struct CalendarStream {
    context: Arc<Context>,
    collection: CollectionId,
    timezones: Timezones,
    form: Form,
    head: Option<Component>,
    after: Option<String>,
    joiner: Joiner,
    done: bool,
}

/// How components are written one behind the other.
enum Form {
    Icalendar,
    /// Whether there is one already that the next is told apart from by a comma.
    Jcal {
        started: bool,
    },
}

impl CalendarStream {
    /// The stream of `collection`, which must be one that the reader may read, as jCal or iCalendar, with the
    /// VTIMEZONEs that the reader wants.
    pub fn new(context: Arc<Context>, collection: &Collection, jcal: bool, timezones: Timezones) -> Self {
        let form = if jcal { Form::Jcal { started: false } } else { Form::Icalendar };
        let (head, joiner) = (Some(head(collection)), Joiner::default());
        Self { context, collection: collection.id, timezones, form, head, after: None, joiner, done: false }
    }

    /// The next piece; `None` after the last. Broken objects are left out (invariant B2).
    ///
    /// # Errors
    /// Of the store only.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.done {
            return Ok(None);
        }
        let mut out = self.head.take().map_or_else(String::new, |head| self.form.start(&head));
        let store = &self.context.store;
        let page = store.objects(self.collection, self.after.as_deref(), PAGE).await?;
        for object in page.rows.iter().filter(|object| object.row().is_some()) {
            let Some((_, bytes)) = store.content(self.collection, &object.name).await? else { continue };
            let Ok(calendar) = ical::parse(&bytes, &self.context.limits) else { continue };
            self.joiner.add(&zone::with_timezones_since(&calendar, self.timezones, ZONES_SINCE));
            self.joiner.take().iter().for_each(|component| self.form.write(component, &mut out));
        }
        self.after = page.rows.last().map(|object| object.name.clone());
        if !page.more {
            self.done = true;
            out.push_str(self.form.end());
        }
        Ok(Some(out.into()))
    }
}

impl Form {
    /// Everything up to the first component.
    fn start(&self, head: &Component) -> String {
        let mut text = match self {
            Self::Icalendar => head.to_ics(),
            Self::Jcal { .. } => ical::to_jcal(head).to_string(),
        };
        text.truncate(text.len().saturating_sub(self.end().len()));
        text
    }

    fn write(&mut self, component: &Component, out: &mut String) {
        match self {
            Self::Icalendar => component.write_ics(out),
            Self::Jcal { started } => {
                if std::mem::replace(started, true) {
                    out.push(',');
                }
                out.push_str(&ical::to_jcal(component).to_string());
            }
        }
    }

    /// What closes the calendar, and ends an empty one.
    fn end(&self) -> &'static str {
        match self {
            Self::Icalendar => "END:VCALENDAR\r\n",
            Self::Jcal { .. } => "]]",
        }
    }
}

/// The calendar without its components.
fn head(collection: &Collection) -> Component {
    let mut calendar = ical::new_calendar();
    let name = collection.display_name.as_deref().unwrap_or(&collection.name);
    for property in ["NAME", "X-WR-CALNAME"] {
        calendar.set(Property::with_text(property, name));
    }
    calendar
        .with(Property::new("REFRESH-INTERVAL", REFRESH).with_param("VALUE", "DURATION"))
        .with(Property::new("X-PUBLISHED-TTL", REFRESH))
}
