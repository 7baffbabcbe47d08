//! The AVAILABLE parts of a VAVAILABILITY (RFC 7953 §3.1) recur as events do, overrides included. Here each is made to look
//! like the event it behaves as, so that `recur` needs to know only one kind.

use super::{CalendarObject, Component, ComponentKind, Override};

/// The AVAILABLEs of `availability`, a VAVAILABILITY inside of `calendar`: for each UID among them one object, its
/// components called VEVENT, with the VTIMEZONEs of `calendar`. An override with an unreadable RECURRENCE-ID is left out.
pub fn available_objects(calendar: &Component, availability: &Component) -> Vec<CalendarObject> {
    let mut objects: Vec<CalendarObject> = Vec::new();
    for available in availability.children("AVAILABLE") {
        let uid = available.text("UID").unwrap_or_default();
        let place = objects.iter().position(|object| object.uid == uid).unwrap_or_else(|| {
            objects.push(empty_object(calendar, &uid));
            objects.len() - 1
        });
        add(&mut objects[place], available);
    }
    objects
}

fn empty_object(calendar: &Component, uid: &str) -> CalendarObject {
    let mut inner = Component { name: "VCALENDAR".into(), ..Component::default() };
    inner.components.extend(calendar.children("VTIMEZONE").cloned());
    CalendarObject { calendar: inner, uid: uid.into(), kind: ComponentKind::Event, master: None, overrides: Vec::new() }
}

fn add(object: &mut CalendarObject, available: &Component) {
    let index = object.calendar.components.len();
    match available.recurrence_id() {
        Ok(None) if object.master.is_some() => return,
        Ok(None) => object.master = Some(index),
        Ok(Some(recurrence_id)) => {
            let range = available.property("RECURRENCE-ID");
            let this_and_future = range.is_some_and(|p| p.param_is("RANGE", "THISANDFUTURE"));
            object.overrides.push(Override { index, recurrence_id, this_and_future });
        }
        Err(_) => return,
    }
    object.calendar.components.push(Component { name: "VEVENT".into(), ..available.clone() });
}
