//! Typed views of the tree: what the raw values of properties and parameters mean.

use std::borrow::Cow;

use super::text::{decode_param, split_raw, unescape_text};
use super::{Component, DateOrTime, Duration, Param, Period, Property, ValueError};

impl Param {
    /// Its values, decoded from quotes and carets; none for a bare parameter.
    pub fn decoded(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.values.iter().map(|raw| decode_param(raw))
    }
}

impl Property {
    /// The first value of the parameter `name`, decoded; empty for a bare parameter.
    pub fn param_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.param(name).map(|param| param.decoded().next().unwrap_or_default())
    }

    /// Whether the parameter `name` has `value` as its first value, without regard to case.
    pub fn param_is(&self, name: &str, value: &str) -> bool {
        self.param_value(name).is_some_and(|v| v.eq_ignore_ascii_case(value))
    }

    /// Whether its VALUE parameter (RFC 5545 §3.2.20) says `kind`.
    pub fn value_is(&self, kind: &str) -> bool {
        self.param_is("VALUE", kind)
    }

    /// Its TZID (RFC 5545 §3.2.19), decoded; `None` where it is missing or empty.
    pub fn tzid(&self) -> Option<Cow<'_, str>> {
        self.param_value("TZID").filter(|tzid| !tzid.is_empty())
    }

    /// The value as TEXT (RFC 5545 §3.3.11).
    pub fn text(&self) -> Cow<'_, str> {
        unescape_text(&self.value)
    }

    /// The value as a list of TEXT, as in CATEGORIES.
    pub fn texts(&self) -> Vec<String> {
        split_raw(&self.value, ',').map(|raw| unescape_text(raw).into_owned()).collect()
    }

    /// The value as a DATE or DATE-TIME, in the zone of its TZID.
    ///
    /// # Errors
    /// If it is neither, or if `VALUE=DATE` stands over a time that is not midnight.
    pub fn date(&self) -> Result<DateOrTime, ValueError> {
        self.date_in(&self.value).map_err(|e| e.of(&self.name, self.line))
    }

    /// The value as a list of them, as in EXDATE and RDATE (but see [`Property::periods`]). Empty items are skipped.
    ///
    /// # Errors
    /// As [`Property::date`], for the first item that is wrong.
    pub fn dates(&self) -> Result<Vec<DateOrTime>, ValueError> {
        let items = self.value.split(',').filter(|item| !item.trim().is_empty());
        items.map(|item| self.date_in(item)).collect::<Result<_, _>>().map_err(|e| e.of(&self.name, self.line))
    }

    fn date_in(&self, value: &str) -> Result<DateOrTime, ValueError> {
        let date = DateOrTime::parse(value, self.tzid().as_deref())?;
        if date.is_date() || !self.value_is("DATE") {
            return Ok(date);
        }
        // Some clients write the midnight of an all-day event out although they say VALUE=DATE.
        match date.local().time() == chrono::NaiveTime::MIN {
            true => Ok(DateOrTime::Date(date.date())),
            false => Err(ValueError::new(value, "is a time, but VALUE=DATE says that it is a date")),
        }
    }

    /// The value as a list of PERIODs, as in FREEBUSY and in RDATE with `VALUE=PERIOD`. Empty items are skipped.
    ///
    /// # Errors
    /// If an item is none.
    pub fn periods(&self) -> Result<Vec<Period>, ValueError> {
        let tzid = self.tzid();
        let items = self.value.split(',').filter(|item| !item.trim().is_empty());
        items
            .map(|item| Period::parse(item, tzid.as_deref()))
            .collect::<Result<_, _>>()
            .map_err(|e| e.of(&self.name, self.line))
    }

    /// The value as a DURATION.
    ///
    /// # Errors
    /// If it is none.
    pub fn duration(&self) -> Result<Duration, ValueError> {
        Duration::parse(&self.value).map_err(|e| e.of(&self.name, self.line))
    }

    /// The value as an INTEGER (RFC 5545 §3.3.8).
    ///
    /// # Errors
    /// If it is none.
    pub fn integer(&self) -> Result<i64, ValueError> {
        let bad = |_| ValueError::new(&self.value, "is no whole number").of(&self.name, self.line);
        self.value.trim().parse().map_err(bad)
    }

    /// A property of a date or time: with `VALUE=DATE` for a DATE, with the TZID of a zoned time.
    pub fn with_date(name: &str, date: &DateOrTime) -> Self {
        let property = Self::new(name, date.to_string());
        match date {
            DateOrTime::Date(_) => property.with_param("VALUE", "DATE"),
            DateOrTime::Zoned(_, tzid) => property.with_param("TZID", tzid),
            DateOrTime::Floating(_) | DateOrTime::Utc(_) => property,
        }
    }
}

impl Component {
    /// The TEXT of the first property called `name`.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.property(name).map(Property::text)
    }

    /// The date or time of the first property called `name`.
    ///
    /// # Errors
    /// If it is there and is neither.
    pub fn date(&self, name: &str) -> Result<Option<DateOrTime>, ValueError> {
        self.property(name).map(Property::date).transpose()
    }

    /// The duration of the first property called `name`.
    ///
    /// # Errors
    /// If it is there and is none.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, ValueError> {
        self.property(name).map(Property::duration).transpose()
    }

    /// The integer of the first property called `name`.
    ///
    /// # Errors
    /// If it is there and is none.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ValueError> {
        self.property(name).map(Property::integer).transpose()
    }

    /// Whether the first property called `name` has `value`, without regard to case: for STATUS, TRANSP and the like.
    pub fn value_is(&self, name: &str, value: &str) -> bool {
        self.property(name).is_some_and(|p| p.value.trim().eq_ignore_ascii_case(value))
    }

    /// The RECURRENCE-ID, if it is an override (RFC 5545 §3.8.4.4).
    ///
    /// # Errors
    /// If it is there and is no date or time.
    pub fn recurrence_id(&self) -> Result<Option<DateOrTime>, ValueError> {
        self.date("RECURRENCE-ID")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(line: &str) -> Property {
        let text = format!("BEGIN:VCALENDAR\r\n{line}\r\nEND:VCALENDAR\r\n");
        let calendar = crate::ical::parse(text.as_bytes(), &crate::base::Limits::default()).expect(line);
        calendar.properties.into_iter().next().expect("the line is a property")
    }

    #[test]
    fn dates_by_their_parameters() {
        for (line, written) in [
            ("DTSTART;VALUE=DATE:20240110", "DTSTART;VALUE=DATE:20240110"),
            ("DTSTART:20240110", "DTSTART;VALUE=DATE:20240110"),
            ("DTSTART;VALUE=DATE:20240110T000000", "DTSTART;VALUE=DATE:20240110"),
            ("DTSTART;TZID=\"Europe/Berlin\":20240110T090000", "DTSTART;TZID=Europe/Berlin:20240110T090000"),
            ("DTSTART;TZID=UTC:20240110T090000Z", "DTSTART:20240110T090000Z"),
            (
                "DTEND;TZID=(UTC-05:00) Eastern Time (US & Canada):20240110T100000",
                "DTEND;TZID=\"(UTC-05:00) Eastern Time (US & Canada)\":20240110T100000",
            ),
        ] {
            let read = property(line);
            let built = Property::with_date(&read.name, &read.date().expect(line));
            assert_eq!(built, property(written), "{line}");
        }
        assert!(property("DTSTART;VALUE=DATE:20240110T090000").date().is_err());
    }

    #[test]
    fn lists() {
        let exdate = property("EXDATE;TZID=Asia/Tokyo:20240110T090000,20240111T090000,");
        assert_eq!(exdate.dates().expect("dates").len(), 2);
        let rdate = property("RDATE;VALUE=PERIOD:20240112T090000Z/PT1H,20240113T090000Z/20240113T103000Z");
        assert!(rdate.value_is("period"));
        assert_eq!(rdate.periods().expect("periods").len(), 2);
        assert_eq!(property("CATEGORIES:A\\,B,C").texts(), ["A,B", "C"]);
        let error = property("EXDATE:20240110,tomorrow").dates().expect_err("no date");
        assert_eq!((error.line, error.message.contains("tomorrow")), (2, true));
    }

    #[test]
    fn params_are_decoded() {
        let attendee =
            property("ATTENDEE;CN=\"Doe, John\";MEMBER=\"mailto:a@x.org\",\"mailto:b@x.org\";ROLE:mailto:j@x.org");
        assert_eq!(attendee.param_value("cn").as_deref(), Some("Doe, John"));
        let members: Vec<_> = attendee.param("MEMBER").expect("MEMBER").decoded().collect();
        assert_eq!(members, ["mailto:a@x.org", "mailto:b@x.org"]);
        assert_eq!(attendee.param_value("ROLE").as_deref(), Some(""));
    }
}
