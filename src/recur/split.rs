//! "This and following": one series becomes two that together have the same occurrences.

use super::compile::{Master, Series};
use super::length::{Anchor, Length};
use crate::base::Utc;
use crate::ical::{CalendarObject, Component, ComponentKind, DateOrTime, Property, rule_parts};
use crate::rule::civil;
use crate::zone::{Zone, Zones};

/// Counting a COUNT to where it ends may take so many steps.
const STEPS_MAX: u64 = 1_000_000;

/// Splits `object` at the instance whose RECURRENCE-ID is `at`: the first calendar keeps its UID and has all
/// instances before, the second is called `uid` and has that one and all later ones, with the overrides that
/// belong to them. Floating and all-day values are read in `floating`.
///
/// # Errors
/// Why it cannot be split there, for a person.
pub fn split(
    object: &CalendarObject,
    at: &DateOrTime,
    uid: &str,
    floating: &Zone,
) -> Result<(Component, Component), String> {
    let series = Series::new(object, floating)?;
    let master = series.master.as_ref().ok_or("there is no master to split")?;
    let component = object.master().ok_or("there is no master to split")?;
    let cut = Cut { key: master.key_of(at, &series.zones).0, master, zones: &series.zones, kind: object.kind };
    let begin = cut.begin()?;
    let mut first = Component { components: Vec::new(), ..object.calendar.clone() };
    let mut second = first.clone();
    for (index, part) in object.calendar.components.iter().enumerate() {
        if Some(index) == object.master {
            first.components.push(cut.before(component)?);
            second.components.push(renamed(cut.after(component, begin)?, uid));
        } else if let Some(over) = object.overrides.iter().find(|over| over.index == index) {
            match cut.is_before(&over.recurrence_id) {
                true => first.components.push(part.clone()),
                false => second.components.push(renamed(part.clone(), uid)),
            }
        } else {
            first.components.push(part.clone());
            second.components.push(part.clone());
        }
    }
    if let Some(range) = cut.carried_range(&series, object, begin)? {
        second.components.push(renamed(range, uid));
    }
    Ok((first, second))
}

fn renamed(mut component: Component, uid: &str) -> Component {
    component.set(Property::with_text("UID", uid));
    component
}

/// Where the cut goes through a series.
struct Cut<'a> {
    /// The first key of the second half.
    key: Utc,
    master: &'a Master,
    zones: &'a Zones,
    kind: ComponentKind,
}

/// Where the second half starts.
#[derive(Clone, Copy)]
struct Begin {
    key: Utc,
    local: i64,
    /// Whether the rule goes on; else the rest are RDATEs.
    by_rule: bool,
}

impl Cut<'_> {
    fn is_before(&self, id: &DateOrTime) -> bool {
        self.master.key_of(id, self.zones).0 < self.key
    }

    /// The start of the second half: the first that the rule gives there, else the first RDATE.
    fn begin(&self) -> Result<Begin, String> {
        let master = self.master;
        let anchor = &master.regime.anchor;
        if self.key <= anchor.utc && master.extras.first().is_none_or(|extra| extra.key >= self.key) {
            return Err("nothing of the series comes before this instance".to_owned());
        }
        if master.rules.len() > 1 || !master.exrules.is_empty() {
            return Err("a series of several rules cannot be split".to_owned());
        }
        if let Some(rule) = master.rules.first() {
            let mut cursor = rule.sequence.from(anchor.zone.local_of(self.key) - anchor.zone.change_max());
            let mut steps = STEPS_MAX;
            while let Some(local) = cursor.next(&mut steps).map_err(|error| error.to_string())? {
                let key = anchor.zone.utc_of(local);
                if key >= self.key && rule.until.is_none_or(|until| key <= until) {
                    return Ok(Begin { key, local, by_rule: true });
                }
            }
        }
        let extra = master.extras.iter().find(|extra| extra.key >= self.key);
        let extra = extra.ok_or("nothing of the series comes at or after this instance")?;
        Ok(Begin { key: extra.key, local: extra.local, by_rule: false })
    }

    /// The master of the first half.
    fn before(&self, component: &Component) -> Result<Component, String> {
        let mut half = self.filtered(component, true)?;
        let until = self.form_of_until(Utc(self.key.0 - 1));
        for property in half.properties.iter_mut().filter(|property| property.is("RRULE")) {
            let last = self.last_key()?;
            if last.is_none_or(|last| last >= self.key) {
                property.value = with_until(&property.value, &until);
            }
        }
        Ok(half)
    }

    /// The master of the second half.
    fn after(&self, component: &Component, begin: Begin) -> Result<Component, String> {
        let mut half = self.filtered(component, false)?;
        self.move_to(&mut half, begin.local, begin.key, &self.master.regime.anchor)?;
        if !begin.by_rule {
            half.remove("RRULE");
        }
        let last = self.last_key()?;
        for property in half.properties.iter_mut().filter(|property| property.is("RRULE")) {
            let upper = property.value.to_ascii_uppercase();
            if upper.contains("SKIP=FORWARD") && upper.contains("INTERVAL=") {
                return Err("a rule with SKIP=FORWARD and INTERVAL cannot be split".to_owned());
            }
            if upper.contains("SKIP=") {
                property.value = self.with_implied(&property.value)?;
            }
            if let (true, Some(last)) = (upper.contains("COUNT="), last) {
                property.value = with_until(&property.value, &self.form_of_until(last));
            }
        }
        Ok(half)
    }

    /// The key of the last thing the rule gives; `None` if it is endless.
    fn last_key(&self) -> Result<Option<Utc>, String> {
        let Some(rule) = self.master.rules.first().filter(|rule| !rule.sequence.is_endless()) else { return Ok(None) };
        let last = rule.sequence.last(&mut STEPS_MAX.clone()).map_err(|error| error.to_string())?;
        let key = self.master.regime.anchor.zone.utc_of(last);
        Ok(Some(rule.until.map_or(key, |until| until.min(key))))
    }

    /// UNTIL at `key`, in the form that DTSTART asks for (RFC 5545 §3.3.10).
    fn form_of_until(&self, key: Utc) -> String {
        let anchor = &self.master.regime.anchor;
        let local = civil::naive(anchor.zone.local_of(key));
        match &anchor.start {
            DateOrTime::Zoned(..) | DateOrTime::Utc(_) => key.to_string(),
            start => start.at(local).to_string(),
        }
    }

    /// With SKIP, the new start may stand on another day of the month than the rule means: it is said outright.
    fn with_implied(&self, value: &str) -> Result<String, String> {
        let rule: crate::rule::Rule = value.parse().map_err(|error: crate::rule::InvalidRule| error.to_string())?;
        let says_days = rule_parts(value).any(|(name, _)| {
            ["BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"].iter().any(|part| name.eq_ignore_ascii_case(part))
        });
        if says_days || rule.freq < crate::rule::Frequency::Monthly {
            return Ok(value.to_owned());
        }
        let (_, month, day) = civil::civil(self.master.regime.anchor.local.div_euclid(civil::DAY));
        let is_yearly = rule.freq == crate::rule::Frequency::Yearly && rule.months == 0;
        let month = if is_yearly { format!(";BYMONTH={month}") } else { String::new() };
        Ok(format!("{}{month};BYMONTHDAY={day}", value.trim_end_matches(';')))
    }

    /// `component` with those of its RDATEs and EXDATEs that lie `before` the cut, or else behind it.
    fn filtered(&self, component: &Component, before: bool) -> Result<Component, String> {
        let mut half = Component { properties: Vec::new(), ..component.clone() };
        for property in &component.properties {
            if !property.is("RDATE") && !property.is("EXDATE") {
                half.properties.push(property.clone());
                continue;
            }
            let mut kept = Vec::new();
            for item in property.value.split(',').filter(|item| !item.trim().is_empty()) {
                if self.keeps(property, item, before)? {
                    kept.push(item);
                }
            }
            if !kept.is_empty() {
                half.properties.push(Property { value: kept.join(","), ..property.clone() });
            }
        }
        Ok(half)
    }

    fn keeps(&self, property: &Property, item: &str, before: bool) -> Result<bool, String> {
        let start = item.split('/').next().unwrap_or(item);
        let date = DateOrTime::parse(start, property.tzid().as_deref()).map_err(|error| error.to_string())?;
        // A day that EXDATE takes away may lie on both sides.
        let is_day = date.is_date() && property.is("EXDATE") && !self.master.regime.anchor.start.is_date();
        Ok(is_day || self.is_before(&date) == before)
    }

    /// Gives `component`, which stood at `anchor`, the start `local`, its length unchanged.
    fn move_to(&self, component: &mut Component, local: i64, utc: Utc, anchor: &Anchor) -> Result<(), String> {
        let start = anchor.start.at(civil::naive(local));
        let name = if component.property("DTSTART").is_some() { "DTSTART" } else { "DUE" };
        component.set(Property::with_date(name, &start));
        let end_name = if self.kind == ComponentKind::Todo { "DUE" } else { "DTEND" };
        let end = component.date(end_name).map_err(|error| error.to_string())?;
        let Some(end) = end.filter(|_| name == "DTSTART") else { return Ok(()) };
        let end_utc = anchor.length.end(&anchor.zone, local, utc);
        let moved = match anchor.length {
            Length::Nominal(_) => anchor.zone.local_of(end_utc),
            Length::Exact(_) => anchor.zone_of(&end, self.zones).local_of(end_utc),
        };
        let moved = end.at(civil::naive(moved));
        match anchor.length {
            // The end falls on the second of two equal local times, which cannot be written.
            Length::Exact(seconds) if anchor.utc_of(&moved, self.zones) != end_utc => {
                component.remove(end_name);
                component.set(Property::new("DURATION", format!("PT{seconds}S")));
            }
            _ => component.set(Property::with_date(end_name, &moved)),
        }
        Ok(())
    }

    /// The override with RANGE=THISANDFUTURE that began before the cut and holds behind it, made to begin there.
    fn carried_range(
        &self,
        series: &Series,
        object: &CalendarObject,
        begin: Begin,
    ) -> Result<Option<Component>, String> {
        let zone = &self.master.regime.anchor.zone;
        let before = series.ranges.iter().rev().find(|range| zone.utc_of(range.from) < self.key);
        let Some(range) = before else { return Ok(None) };
        let Some((key, local)) = self.first_plain(series, begin)? else { return Ok(None) };
        if series.ranges.iter().any(|later| zone.utc_of(later.from) >= self.key && later.from <= local) {
            return Ok(None);
        }
        let (start, interval) = range.place(zone, local, key);
        let mut component = object.calendar.components[range.component].clone();
        self.move_to(&mut component, start, interval.start, &range.anchor)?;
        let id = Property::with_date("RECURRENCE-ID", &self.master.form(local)).with_param("RANGE", "THISANDFUTURE");
        component.set(id);
        Ok(Some(component))
    }

    /// The first instance of the second half that no override replaces.
    fn first_plain(&self, series: &Series, begin: Begin) -> Result<Option<(Utc, i64)>, String> {
        let is_plain = |key: Utc| series.overrides.binary_search_by_key(&key, |one| one.key).is_err();
        let extras = self.master.extras.iter().map(|extra| (extra.key, extra.local));
        let extra = extras.filter(|(key, _)| *key >= self.key && is_plain(*key)).min();
        let mut steps = STEPS_MAX;
        let mut by_rule = None;
        if let (Some(rule), true) = (self.master.rules.first(), begin.by_rule) {
            let mut cursor = rule.sequence.from(begin.local);
            while let Some(local) = cursor.next(&mut steps).map_err(|error| error.to_string())? {
                let key = self.master.regime.anchor.zone.utc_of(local);
                if is_plain(key) {
                    by_rule = Some((key, local));
                    break;
                }
            }
        }
        Ok([by_rule, extra].into_iter().flatten().min())
    }
}

/// The rule `value` ending at `until` instead of wherever it ended.
fn with_until(value: &str, until: &str) -> String {
    let kept =
        rule_parts(value).filter(|(name, _)| !["UNTIL", "COUNT"].iter().any(|part| name.eq_ignore_ascii_case(part)));
    let mut parts: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
    parts.push(format!("UNTIL={until}"));
    parts.join(";")
}
