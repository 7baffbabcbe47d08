//! A calendar object resource: one UID, a master and its overrides (RFC 4791 §4.1).

use std::collections::HashMap;

use super::check::check_component;
use super::parse::shorten;
use super::{Component, DateOrTime, ValueError, parse};
use crate::base::Limits;

/// Which kind of component an object is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ComponentKind {
    /// VEVENT
    Event,
    /// VTODO
    Todo,
    /// VJOURNAL
    Journal,
    /// VFREEBUSY
    FreeBusy,
    /// VAVAILABILITY (RFC 7953)
    Availability,
}

/// A whole, valid calendar object resource, parsed. Its bytes are kept elsewhere (invariant S3).
#[derive(Debug, Clone, PartialEq)]
pub struct CalendarObject {
    /// The VCALENDAR.
    pub calendar: Component,
    /// The one UID of all its components, decoded.
    pub uid: String,
    /// The one kind of all its components (VTIMEZONE aside).
    pub kind: ComponentKind,
    /// Where in `calendar.components` the master stands; `None` if there are only overrides
    /// (an attendee invited to single instances).
    pub master: Option<usize>,
    /// Where the overrides stand, each with its RECURRENCE-ID.
    pub overrides: Vec<Override>,
}

/// One override of a [`CalendarObject`].
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Where in `calendar.components` it stands.
    pub index: usize,
    /// Which instance it replaces.
    pub recurrence_id: DateOrTime,
    /// Whether it holds for that and all later instances (RANGE=THISANDFUTURE, RFC 5545 §3.2.13).
    pub this_and_future: bool,
}

/// Why bytes are no calendar object. Each kind is the precondition of RFC 4791 §5.3.2.1 of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Invalid {
    /// Which precondition is broken.
    pub kind: InvalidKind,
    /// The physical line, from 1; 0 where the whole is meant.
    pub line: u32,
    /// What is wrong, with the offending name or value shortened, and what to do.
    pub message: String,
}

/// The preconditions that [`Invalid`] can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// CALDAV:valid-calendar-data: not iCalendar.
    CalendarData,
    /// CALDAV:valid-calendar-object-resource: iCalendar, but not one object (§4.1).
    CalendarObjectResource,
    /// CALDAV:supported-calendar-component: a component this server does not store on its own.
    CalendarComponent,
    /// CALDAV:max-resource-size
    ResourceSize,
    /// CALDAV:max-attendees-per-instance
    Attendees,
    /// CALDAV:max-instances, from a COUNT beyond the limit
    Instances,
    /// CALDAV:supported-rscale: a rule in a calendar other than the Gregorian (RFC 7529 §10).
    Rscale,
}

impl Invalid {
    pub(super) fn new(kind: InvalidKind, line: u32, message: impl Into<String>) -> Self {
        Self { kind, line, message: message.into() }
    }
}

/// A value that cannot be read is no valid calendar data.
impl From<ValueError> for Invalid {
    fn from(error: ValueError) -> Self {
        Self::new(InvalidKind::CalendarData, error.line, error.message)
    }
}

impl ComponentKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Event, Self::Todo, Self::Journal, Self::FreeBusy, Self::Availability];

    /// The component's name in iCalendar.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "VEVENT",
            Self::Todo => "VTODO",
            Self::Journal => "VJOURNAL",
            Self::FreeBusy => "VFREEBUSY",
            Self::Availability => "VAVAILABILITY",
        }
    }

    /// The kind of the component called `name`, without regard to case; `None` for VTIMEZONE, VALARM and whatever
    /// else is no object of its own.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

impl CalendarObject {
    /// Parses and checks `bytes` as RFC 4791 §4.1 asks.
    ///
    /// # Errors
    /// [`Invalid`] names the precondition, the line and the reason.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Invalid> {
        if bytes.len() as u64 > limits.resource_bytes_max {
            let message =
                format!("it has {} bytes; the limit resource_bytes_max is {}", bytes.len(), limits.resource_bytes_max);
            return Err(Invalid::new(InvalidKind::ResourceSize, 0, message));
        }
        Self::of(parse(bytes, limits)?, limits)
    }

    /// Checks a tree that is already there: one that was built, split off a stream, or read from jCal.
    ///
    /// Refused is what would make computed answers wrong or ambiguous. What is only untidy is taken, because a
    /// refused PUT is a lost event: a missing PRODID, VERSION, DTSTAMP or VTIMEZONE (RFC 7809), unknown
    /// components and values, an end before its start (which counts as no length).
    ///
    /// # Errors
    /// As [`CalendarObject::parse`].
    pub fn of(calendar: Component, limits: &Limits) -> Result<Self, Invalid> {
        check_calendar(&calendar)?;
        let kind = one_kind(&calendar)?;
        let uid = one_uid(&calendar)?;
        if uid.len() as u64 > limits.uid_bytes_max {
            let message =
                format!("its UID has {} bytes; the limit uid_bytes_max is {}", uid.len(), limits.uid_bytes_max);
            return Err(Invalid::new(InvalidKind::CalendarObjectResource, 0, message));
        }
        let (master, overrides) = places(&calendar)?;
        for component in calendar.components.iter().filter(|c| c.is(kind.name())) {
            check_component(component, kind, limits)?;
        }
        Ok(Self { calendar, uid, kind, master, overrides })
    }

    /// The component that describes the series, or the only one. `None` if there are only overrides.
    pub fn master(&self) -> Option<&Component> {
        self.master.and_then(|index| self.calendar.components.get(index))
    }

    /// The components that the object is made of: the master and the overrides, as they stand.
    pub fn members(&self) -> impl Iterator<Item = &Component> {
        self.calendar.components.iter().filter(|c| c.is(self.kind.name()))
    }

    /// The component of `of`, one of [`CalendarObject::overrides`].
    pub fn component(&self, of: &Override) -> Option<&Component> {
        self.calendar.components.get(of.index)
    }

    /// Its VTIMEZONEs.
    pub fn timezones(&self) -> impl Iterator<Item = &Component> {
        self.calendar.children("VTIMEZONE")
    }
}

/// What holds of the VCALENDAR itself (RFC 5545 §3.7, RFC 4791 §4.1).
fn check_calendar(calendar: &Component) -> Result<(), Invalid> {
    if !calendar.is("VCALENDAR") {
        let message = format!("it is a {}, not a VCALENDAR", shorten(&calendar.name));
        return Err(Invalid::new(InvalidKind::CalendarData, calendar.line, message));
    }
    if let Some(method) = calendar.property("METHOD") {
        let message = "METHOD makes it a scheduling message; a stored object has none (RFC 4791 §4.1)";
        return Err(Invalid::new(InvalidKind::CalendarObjectResource, method.line, message));
    }
    if let Some(version) = calendar.all("VERSION").find(|v| !v.value.trim().ends_with("2.0")) {
        let message = "VERSION is not 2.0; only iCalendar (RFC 5545) can be stored";
        return Err(Invalid::new(InvalidKind::CalendarData, version.line, message));
    }
    if let Some(scale) = calendar.all("CALSCALE").find(|s| !s.value.trim().eq_ignore_ascii_case("GREGORIAN")) {
        let message = "CALSCALE is not GREGORIAN; no other calendar can be computed with";
        return Err(Invalid::new(InvalidKind::CalendarData, scale.line, message));
    }
    Ok(())
}

/// The one kind of the components at the top (RFC 4791 §4.1). Unknown ones beside it do not count.
fn one_kind(calendar: &Component) -> Result<ComponentKind, Invalid> {
    let mut known = calendar.components.iter().filter_map(|c| Some((c, ComponentKind::of(&c.name)?)));
    let Some((_, kind)) = known.next() else {
        return Err(no_kind(calendar));
    };
    match known.find(|(_, other)| *other != kind) {
        None => Ok(kind),
        Some((component, other)) => {
            let message =
                format!("{} stands beside {}; an object has one kind of component", other.name(), kind.name());
            Err(Invalid::new(InvalidKind::CalendarObjectResource, component.line, message))
        }
    }
}

fn no_kind(calendar: &Component) -> Invalid {
    match calendar.components.iter().find(|c| !c.is("VTIMEZONE")) {
        Some(unknown) => {
            let message = format!("{} is no component that can be stored on its own", shorten(&unknown.name));
            Invalid::new(InvalidKind::CalendarComponent, unknown.line, message)
        }
        None => {
            let message = "it holds no VEVENT, VTODO, VJOURNAL, VFREEBUSY or VAVAILABILITY";
            Invalid::new(InvalidKind::CalendarObjectResource, calendar.line, message)
        }
    }
}

/// The components that UID and RECURRENCE-ID tell apart.
fn members(calendar: &Component) -> impl Iterator<Item = (usize, &Component)> {
    calendar.components.iter().enumerate().filter(|(_, c)| ComponentKind::of(&c.name).is_some())
}

/// The one UID of all components (RFC 4791 §4.1).
fn one_uid(calendar: &Component) -> Result<String, Invalid> {
    let mut uid: Option<String> = None;
    for (_, component) in members(calendar) {
        let own = component.text("UID").unwrap_or_default();
        let problem = match &uid {
            _ if own.trim().is_empty() => "has no UID; every component of an object needs the same one",
            Some(uid) if *uid != own => "has another UID than the component before it; store each UID on its own",
            Some(_) => continue,
            None => {
                uid = Some(own.into_owned());
                continue;
            }
        };
        let message = format!("{} {problem}", shorten(&component.name));
        return Err(Invalid::new(InvalidKind::CalendarObjectResource, component.line, message));
    }
    Ok(uid.unwrap_or_default())
}

/// Where the master and the overrides stand: at most one master, no instance overridden twice.
fn places(calendar: &Component) -> Result<(Option<usize>, Vec<Override>), Invalid> {
    let mut master: Option<usize> = None;
    let mut overrides = Vec::new();
    let mut seen: HashMap<DateOrTime, u32> = HashMap::new();
    for (index, component) in members(calendar) {
        let twice = |what: &str| {
            let message = format!("{} {what}", shorten(&component.name));
            Err(Invalid::new(InvalidKind::CalendarObjectResource, component.line, message))
        };
        let Some(property) = component.property("RECURRENCE-ID") else {
            if master.replace(index).is_some() {
                return twice("is the second without a RECURRENCE-ID; one object has one master");
            }
            continue;
        };
        let recurrence_id = property.date()?;
        if let Some(line) = seen.insert(recurrence_id.clone(), component.line) {
            return twice(&format!("has the RECURRENCE-ID of the one on line {line}: {recurrence_id}"));
        }
        let this_and_future = property.param_is("RANGE", "THISANDFUTURE");
        overrides.push(Override { index, recurrence_id, this_and_future });
    }
    Ok((master, overrides))
}
