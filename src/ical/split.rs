//! One stream of many events ↔ one object for each: for imports, exports and the GET of a whole calendar.

use std::collections::{HashMap, HashSet};

use super::{Component, ComponentKind, Param, Property};

/// The PRODID of what this server makes itself (RFC 5545 §3.7.3).
pub const PRODID: &str = "-//Kalends//Kalends//EN";

/// An empty VCALENDAR of this server's making.
pub fn new_calendar() -> Component {
    Component::new("VCALENDAR").with(Property::new("VERSION", "2.0")).with(Property::new("PRODID", PRODID))
}

/// The objects that `calendar` holds: its components by UID, in the order in which the UIDs first appear, each with the
/// VTIMEZONEs that it uses. Components without a UID, which cannot be stored, come out one by one under an empty one, so
/// that whoever imports can name them.
///
/// METHOD and what else describes the stream (X-WR-CALNAME, …) stays behind; so do components of unknown kinds, unless
/// the stream holds a single object, to which they then belong.
pub fn split(calendar: &Component) -> Vec<(String, Component)> {
    let zones: HashMap<String, &Component> =
        calendar.children("VTIMEZONE").filter_map(|zone| Some((zone.text("TZID")?.into_owned(), zone))).collect();
    let mut groups: Vec<(String, Vec<&Component>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for component in calendar.components.iter().filter(|c| ComponentKind::of(&c.name).is_some()) {
        let uid = component.text("UID").unwrap_or_default().into_owned();
        match places.get(&uid).and_then(|at| groups.get_mut(*at)) {
            Some((_, group)) => group.push(component),
            None => {
                if !uid.trim().is_empty() {
                    places.insert(uid.clone(), groups.len());
                }
                groups.push((uid, vec![component]));
            }
        }
    }
    if let [(_, group)] = groups.as_mut_slice() {
        group.extend(calendar.components.iter().filter(|c| !c.is("VTIMEZONE") && ComponentKind::of(&c.name).is_none()));
    }
    groups.into_iter().map(|(uid, group)| (uid, object(calendar, &zones, &group))).collect()
}

fn object(calendar: &Component, zones: &HashMap<String, &Component>, group: &[&Component]) -> Component {
    let kept = |p: &&Property| ["VERSION", "PRODID", "CALSCALE"].iter().any(|name| p.is(name));
    let used = used_tzids(group);
    Component {
        name: calendar.name.clone(),
        properties: calendar.properties.iter().filter(kept).cloned().collect(),
        components: used
            .iter()
            .filter_map(|tzid| zones.get(tzid).copied())
            .chain(group.iter().copied())
            .cloned()
            .collect(),
        line: group.first().map_or(calendar.line, |first| first.line),
    }
}

/// The TZIDs that `components` and what is inside them name, each once, in order of appearance.
pub fn used_tzids(components: &[&Component]) -> Vec<String> {
    let mut used = Vec::new();
    let mut seen = HashSet::new();
    let mut open: Vec<&Component> = components.iter().rev().copied().collect();
    while let Some(component) = open.pop() {
        for tzid in component.properties.iter().filter_map(Property::tzid) {
            if !seen.contains(tzid.as_ref()) {
                seen.insert(tzid.to_string());
                used.push(tzid.into_owned());
            }
        }
        open.extend(component.components.iter().rev());
    }
    used
}

/// One VCALENDAR with the components of all `objects` and each of their VTIMEZONEs once.
///
/// Two objects may mean different zones by one TZID. If that is a name that everybody knows (it has a slash, as
/// IANA's have), the first VTIMEZONE stands for all. If not (`Customized Time Zone`), the second gets another TZID,
/// because with the first one its events would move.
pub fn join<'a>(objects: impl IntoIterator<Item = &'a Component>) -> Component {
    let mut joined = Joiner::default();
    let (mut zones, mut components) = (Vec::new(), Vec::new());
    for object in objects {
        joined.add(object);
        let added = joined.take();
        let (zone, other): (Vec<_>, Vec<_>) = added.into_iter().partition(|component| component.is("VTIMEZONE"));
        zones.extend(zone);
        components.extend(other);
    }
    let mut calendar = new_calendar();
    calendar.components = zones;
    calendar.components.append(&mut components);
    calendar
}

/// What [`join`] does, an object at a time: for streams that are written while they are read.
#[derive(Debug, Default)]
pub struct Joiner {
    zones: Vec<Component>,
    components: Vec<Component>,
    /// The TZID that stands in the stream for one that an object names, by what the object means with it.
    names: HashMap<(String, Rules), String>,
    /// The TZIDs that are taken, each with the number of zones that wanted it.
    taken: HashMap<String, u32>,
}

/// What tells two VTIMEZONEs of one TZID apart: their observances; nothing where the name is known to everybody.
type Rules = Option<String>;

impl Joiner {
    /// What is to be written next: zones that were not there yet, then components.
    pub fn take(&mut self) -> Vec<Component> {
        let mut added = std::mem::take(&mut self.zones);
        added.append(&mut self.components);
        added
    }

    /// Adds the components of `object`.
    pub fn add(&mut self, object: &Component) {
        let mut renamed: HashMap<String, String> = HashMap::new();
        for zone in object.children("VTIMEZONE") {
            let Some(tzid) = zone.text("TZID") else { continue };
            let name = self.add_zone(&tzid, zone);
            if name != tzid {
                renamed.insert(tzid.into_owned(), name);
            }
        }
        for component in object.components.iter().filter(|c| !c.is("VTIMEZONE")) {
            let mut component = component.clone();
            if !renamed.is_empty() {
                rename_tzids(&mut component, &renamed);
            }
            self.components.push(component);
        }
    }

    /// Adds `zone` if its like is not yet there; the TZID under which it stands.
    fn add_zone(&mut self, tzid: &str, zone: &Component) -> String {
        let rules = (!tzid.contains('/')).then(|| zone.components.iter().map(Component::to_ics).collect());
        let meant = (tzid.to_owned(), rules);
        if let Some(name) = self.names.get(&meant) {
            return name.clone();
        }
        let name = self.free_tzid(tzid);
        let mut zone = zone.clone();
        if name != tzid {
            zone.set(Property::with_text("TZID", &name));
        }
        self.zones.push(zone);
        self.names.insert(meant, name.clone());
        name
    }

    /// `tzid`, or `tzid (2)` and so on where it is taken.
    fn free_tzid(&mut self, tzid: &str) -> String {
        loop {
            let wanted = self.taken.entry(tzid.to_owned()).or_insert(0);
            *wanted += 1;
            let number = *wanted;
            if number == 1 {
                return tzid.to_owned();
            }
            let name = format!("{tzid} ({number})");
            if !self.taken.contains_key(&name) {
                self.taken.insert(name.clone(), 1);
                return name;
            }
        }
    }
}

/// Gives each TZID parameter inside `component` its new name. Components are at most as deep as the parser lets them be.
fn rename_tzids(component: &mut Component, names: &HashMap<String, String>) {
    for property in &mut component.properties {
        let Some(name) = property.tzid().and_then(|tzid| names.get(tzid.as_ref())) else { continue };
        if let Some(param) = property.params.iter_mut().find(|p| p.is("TZID")) {
            *param = Param::new("TZID", name);
        }
    }
    for inner in &mut component.components {
        rename_tzids(inner, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;
    use crate::ical::{CalendarObject, parse};

    fn zone(tzid: &str, offset: &str) -> String {
        format!(
            "BEGIN:VTIMEZONE\r\nTZID:{tzid}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{offset}\r\n\
             TZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
        )
    }

    fn event(uid: &str, tzid: &str, more: &str) -> String {
        format!("BEGIN:VEVENT\r\n{uid}DTSTART;TZID={tzid}:20240110T090000\r\n{more}END:VEVENT\r\n")
    }

    fn calendar(parts: &[String]) -> Component {
        let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:PUBLISH\r\n{}END:VCALENDAR\r\n", parts.concat());
        parse(text.as_bytes(), &Limits::default()).expect("calendar")
    }

    #[test]
    fn a_stream_falls_into_objects_with_their_zones() {
        let stream = calendar(&[
            zone("Europe/Berlin", "+0100"),
            zone("Asia/Tokyo", "+0900"),
            event("UID:a\r\n", "Europe/Berlin", "RRULE:FREQ=DAILY\r\n"),
            event("UID:b\r\n", "Asia/Tokyo", ""),
            event("UID:a\r\n", "Europe/Berlin", "RECURRENCE-ID;TZID=Asia/Tokyo:20240111T170000\r\n"),
            event("", "Europe/Berlin", ""),
            event("", "Europe/Berlin", ""),
        ]);
        let objects = split(&stream);
        let shapes: Vec<_> = objects.iter().map(|(uid, c)| (uid.as_str(), c.components.len())).collect();
        assert_eq!(shapes, [("a", 4), ("b", 2), ("", 2), ("", 2)]);
        for (uid, object) in &objects {
            let checked = CalendarObject::of(object.clone(), &Limits::default());
            assert_eq!(checked.map(|o| o.uid).ok().unwrap_or_default(), *uid);
        }
    }

    #[test]
    fn joined_objects_share_zones_that_are_the_same() {
        let objects: Vec<Component> = [("a", "+0100"), ("b", "+0100"), ("c", "+0300")]
            .map(|(uid, offset)| {
                let custom = zone("Customized Time Zone", offset);
                let event = event(&format!("UID:{uid}\r\n"), "Customized Time Zone", "");
                calendar(&[zone("Europe/Berlin", offset), custom, event])
            })
            .to_vec();
        let joined = join(&objects);
        let zones: Vec<_> = joined.children("VTIMEZONE").filter_map(|z| z.text("TZID")).collect();
        assert_eq!(zones, ["Europe/Berlin", "Customized Time Zone", "Customized Time Zone (2)"]);
        let used: Vec<_> = joined.children("VEVENT").filter_map(|e| e.property("DTSTART")?.tzid()).collect();
        assert_eq!(used, ["Customized Time Zone", "Customized Time Zone", "Customized Time Zone (2)"]);
        assert!(joined.property("METHOD").is_none());
        let again = split(&joined);
        assert_eq!(again.len(), 3);
        assert_eq!(again[2].1.children("VTIMEZONE").count(), 1);
    }
}
