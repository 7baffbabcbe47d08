//! The AVAILABLE parts of a VAVAILABILITY (RFC 7953 §3.1) recur as events do, overrides included. Here each is made to look
//! like the event it behaves as, so that `recur` needs to know only one kind.

use std::collections::{HashMap, HashSet};

use super::split::used_tzids;
use super::{CalendarObject, Component, ComponentKind, Override};

/// The AVAILABLEs of `availability`, a VAVAILABILITY inside of `calendar`: for each UID among them one object, its
/// components called VEVENT, with the VTIMEZONEs of `calendar` that it uses. An override with an unreadable
/// RECURRENCE-ID is left out.
pub fn available_objects(calendar: &Component, availability: &Component) -> Vec<CalendarObject> {
    let mut objects: Vec<CalendarObject> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for available in availability.children("AVAILABLE") {
        let uid = available.text("UID").unwrap_or_default().into_owned();
        let place = *places.entry(uid).or_insert_with_key(|uid| {
            objects.push(empty_object(uid));
            objects.len() - 1
        });
        add(&mut objects[place], available);
    }
    for object in &mut objects {
        add_zones(object, calendar);
    }
    objects
}

fn empty_object(uid: &str) -> CalendarObject {
    let calendar = Component::new("VCALENDAR");
    CalendarObject { calendar, uid: uid.into(), kind: ComponentKind::Event, master: None, overrides: Vec::new() }
}

/// Behind the others, so that they stay where they are.
fn add_zones(object: &mut CalendarObject, calendar: &Component) {
    let members: Vec<&Component> = object.calendar.components.iter().collect();
    let used: HashSet<String> = used_tzids(&members).into_iter().collect();
    let is_used = |zone: &&Component| zone.text("TZID").is_some_and(|tzid| used.contains(tzid.as_ref()));
    let zones: Vec<Component> = calendar.children("VTIMEZONE").filter(is_used).cloned().collect();
    object.calendar.components.extend(zones);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::parse;

    #[test]
    fn each_uid_is_a_series_with_the_zones_it_uses() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:A\nEND:VTIMEZONE\nBEGIN:VTIMEZONE\nTZID:B\nEND:VTIMEZONE\n\
            BEGIN:VAVAILABILITY\nUID:u\nBEGIN:AVAILABLE\nUID:1\nDTSTART;TZID=A:20240101T090000\nEND:AVAILABLE\n\
            BEGIN:AVAILABLE\nUID:2\nDTSTART:20240101T090000\nEND:AVAILABLE\n\
            BEGIN:AVAILABLE\nUID:1\nRECURRENCE-ID;TZID=A;RANGE=THISANDFUTURE:20240102T090000\nEND:AVAILABLE\n\
            END:VAVAILABILITY\nEND:VCALENDAR\n";
        let calendar = parse(text.as_bytes(), &crate::base::Limits::default()).expect("calendar");
        let availability = calendar.children("VAVAILABILITY").next().expect("availability");
        let objects = available_objects(&calendar, availability);
        assert_eq!(objects.iter().map(|o| o.uid.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((objects[0].master, objects[0].overrides.len(), objects[0].overrides[0].index), (Some(0), 1, 1));
        assert!(objects[0].overrides[0].this_and_future);
        assert_eq!(objects[0].timezones().filter_map(|z| z.text("TZID")).collect::<Vec<_>>(), ["A"]);
        assert_eq!(objects[1].timezones().count(), 0);
        assert_eq!(objects[0].members().count(), 2);
    }
}
