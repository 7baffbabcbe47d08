//! Bytes → tree (RFC 5545 §3.1), in one pass, linear, without recursion.
//!
//! Lines are unfolded as bytes, because a fold may split a character; UTF-8 is checked after that. What real
//! clients send and nobody is hurt by is taken: LF alone, a byte order mark, blank lines, bare parameters, a
//! colon inside an unquoted Windows TZID. What would break readers is refused: control characters, other
//! encodings, quotes that never close.

use super::{Component, Invalid, InvalidKind, Param, Property};
use crate::base::Limits;

/// The tree of `bytes`, which must be one VCALENDAR.
///
/// # Errors
/// [`InvalidKind::CalendarData`] where they are not iCalendar or break a bound of `limits`,
/// [`InvalidKind::CalendarObjectResource`] where they hold several VCALENDARs.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Component, Invalid> {
    let mut calendars = Reader::new(limits, Counted::Yes).read(bytes)?;
    let Some(calendar) = calendars.pop() else {
        return Err(refuse(0, "there is no VCALENDAR in it: the content is empty"));
    };
    if calendars.is_empty() {
        return Ok(calendar);
    }
    Err(Invalid {
        kind: InvalidKind::CalendarObjectResource,
        line: calendar.line,
        message: format!("a second VCALENDAR begins; an object has one, and {} were found", calendars.len() + 1),
    })
}

/// The trees of all VCALENDARs in `bytes`, for imports. Depth and length of lines are bounded by `limits`; the
/// number of components is not (memory stays in proportion to `bytes`, which the caller bounds). Empty input
/// yields none.
///
/// # Errors
/// [`InvalidKind::CalendarData`] where they are not iCalendar.
pub fn parse_stream(bytes: &[u8], limits: &Limits) -> Result<Vec<Component>, Invalid> {
    Reader::new(limits, Counted::No).read(bytes)
}

/// Whether components and lines count against the limits of a single object.
#[derive(Clone, Copy)]
enum Counted {
    Yes,
    No,
}

fn refuse(line: u32, message: impl Into<String>) -> Invalid {
    Invalid { kind: InvalidKind::CalendarData, line, message: message.into() }
}

/// Builds trees out of content lines.
struct Reader {
    line_bytes_max: usize,
    depth_max: usize,
    components_left: u64,
    parts_left: u64,
    open: Vec<Component>,
    done: Vec<Component>,
}

impl Reader {
    fn new(limits: &Limits, counted: Counted) -> Self {
        let (components_left, parts_left) = match counted {
            Counted::Yes => (limits.components_max, limits.parts_max),
            Counted::No => (u64::MAX, u64::MAX),
        };
        Self {
            line_bytes_max: usize::try_from(limits.line_bytes_max).unwrap_or(usize::MAX),
            depth_max: usize::try_from(limits.component_depth_max).unwrap_or(usize::MAX),
            components_left,
            parts_left,
            open: Vec::new(),
            done: Vec::new(),
        }
    }

    fn read(mut self, bytes: &[u8]) -> Result<Vec<Component>, Invalid> {
        let mut lines = Lines::new(bytes, self.line_bytes_max);
        while let Some((number, line)) = lines.next()? {
            if !line.is_empty() {
                self.line(number, characters(number, line)?)?;
            }
        }
        match self.open.last() {
            Some(open) => {
                Err(refuse(open.line, format!("{} is never closed: the content is cut off", shorten(&open.name))))
            }
            None => Ok(self.done),
        }
    }

    fn line(&mut self, number: u32, text: &str) -> Result<(), Invalid> {
        let property = content_line(number, text)?;
        let (begins, ends) = (property.is("BEGIN"), property.is("END"));
        if (begins || ends) && !property.params.is_empty() {
            return Err(refuse(number, "BEGIN and END have no parameters"));
        }
        if begins {
            return self.begin(number, property.value.trim());
        }
        if ends {
            return self.end(number, property.value.trim());
        }
        let values: usize = property.params.iter().map(|p| 1 + p.values.len()).sum();
        self.spend_parts(number, 1 + values as u64)?;
        match self.open.last_mut() {
            Some(open) => open.properties.push(property),
            None => {
                return Err(refuse(
                    number,
                    format!("{} stands outside of BEGIN:VCALENDAR and END:VCALENDAR", shorten(&property.name)),
                ));
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: u32, name: &str) -> Result<(), Invalid> {
        if !is_name(name) {
            return Err(refuse(number, "BEGIN is not followed by a component's name"));
        }
        if self.open.is_empty() && !name.eq_ignore_ascii_case("VCALENDAR") {
            return Err(refuse(number, format!("it begins with {}, not with VCALENDAR", shorten(name))));
        }
        if self.open.len() >= self.depth_max {
            return Err(refuse(
                number,
                format!("components are nested deeper than {} levels (limit component_depth_max)", self.depth_max),
            ));
        }
        self.components_left = match self.components_left.checked_sub(1) {
            Some(left) => left,
            None => return Err(refuse(number, "there are more components than the limit components_max allows")),
        };
        self.open.push(Component { line: number, ..Component::new(name) });
        Ok(())
    }

    fn end(&mut self, number: u32, name: &str) -> Result<(), Invalid> {
        let Some(closed) = self.open.pop() else {
            return Err(refuse(number, format!("END:{} closes nothing", shorten(name))));
        };
        if !closed.is(name) {
            let (name, open) = (shorten(name), shorten(&closed.name));
            return Err(refuse(number, format!("END:{name} stands where END:{open} of line {} should", closed.line)));
        }
        match self.open.last_mut() {
            Some(parent) => parent.components.push(closed),
            None => self.done.push(closed),
        }
        Ok(())
    }

    fn spend_parts(&mut self, number: u32, parts: u64) -> Result<(), Invalid> {
        self.parts_left = match self.parts_left.checked_sub(parts) {
            Some(left) => left,
            None => {
                return Err(refuse(number, "there are more properties and parameters than the limit parts_max allows"));
            }
        };
        Ok(())
    }
}

/// The content lines of a stream, unfolded (RFC 5545 §3.1).
struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the physical line at the start of `rest`.
    number: u32,
    unfolded: Vec<u8>,
    bytes_max: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8], bytes_max: usize) -> Self {
        let rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        Self { rest, number: 1, unfolded: Vec::new(), bytes_max }
    }

    /// The next content line with the physical line on which it begins; empty for a blank one.
    fn next(&mut self) -> Result<Option<(u32, &[u8])>, Invalid> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let number = self.number;
        let first = self.physical();
        if !self.goes_on() {
            self.bounded(number, first.len())?;
            return Ok(Some((number, first)));
        }
        self.unfolded.clear();
        self.unfolded.extend_from_slice(first);
        while self.goes_on() {
            let folded = self.physical();
            self.unfolded.extend_from_slice(folded.get(1..).unwrap_or_default());
            self.bounded(number, self.unfolded.len())?;
        }
        Ok(Some((number, &self.unfolded)))
    }

    fn physical(&mut self) -> &'a [u8] {
        let (line, rest) = match self.rest.iter().position(|&b| b == b'\n') {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.rest = rest;
        self.number = self.number.saturating_add(1);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    fn goes_on(&self) -> bool {
        matches!(self.rest.first(), Some(b' ' | b'\t'))
    }

    fn bounded(&self, number: u32, bytes: usize) -> Result<(), Invalid> {
        if bytes <= self.bytes_max {
            return Ok(());
        }
        Err(refuse(
            number,
            format!("the line is longer than {} bytes, unfolded (limit line_bytes_max)", self.bytes_max),
        ))
    }
}

/// The characters of a content line, none of which iCalendar or XML forbid.
fn characters(number: u32, line: &[u8]) -> Result<&str, Invalid> {
    let control = line.iter().fold(false, |found, &b| found | ((b < b' ') & (b != b'\t')) | (b == 0x7f));
    if control {
        return Err(refuse(number, control_message(line)));
    }
    let text = std::str::from_utf8(line)
        .map_err(|_| refuse(number, "it is not UTF-8; iCalendar has no other encoding in CalDAV: convert it first"))?;
    if !text.is_ascii() && text.contains(['\u{FFFE}', '\u{FFFF}']) {
        return Err(refuse(number, "U+FFFE or U+FFFF stands in it, which XML cannot carry"));
    }
    Ok(text)
}

fn control_message(line: &[u8]) -> String {
    let byte = line.iter().find(|b| b.is_ascii_control() && **b != b'\t').copied().unwrap_or_default();
    match byte {
        b'\r' => "a carriage return without a line feed stands in it; lines end with CRLF".to_owned(),
        _ => format!("the control character 0x{byte:02X} stands in it"),
    }
}

/// Whether `name` can name a property, a parameter or a component: visible ASCII without delimiters. RFC 5545 has
/// letters, digits and hyphens only; `_`, `.` and others are seen in X- names.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b':' | b';' | b',' | b'=' | b'"' | b'\\'))
}

fn content_line(number: u32, text: &str) -> Result<Property, Invalid> {
    let no_colon = || refuse(number, "the line has no colon, so it is no property; was a fold lost?");
    let mut at = text.bytes().position(|b| matches!(b, b':' | b';')).ok_or_else(no_colon)?;
    let name = &text[..at];
    if !is_name(name) {
        return Err(refuse(number, "the line does not begin with a property's name; was a fold lost?"));
    }
    let mut params = Vec::new();
    while text.as_bytes().get(at) == Some(&b';') {
        let (param, end) = parameter(number, text, at + 1)?;
        params.push(param);
        at = end;
    }
    if text.as_bytes().get(at) != Some(&b':') {
        return Err(no_colon());
    }
    Ok(Property { name: name.to_owned(), params, value: text[at + 1..].to_owned(), line: number })
}

/// The parameter that starts at byte `start`, and where it ends: at a semicolon, at a colon or at the end.
fn parameter(number: u32, text: &str, start: usize) -> Result<(Param, usize), Invalid> {
    let length = text.as_bytes()[start..].iter().position(|b| matches!(b, b'=' | b';' | b':'));
    let mut at = length.map_or(text.len(), |length| start + length);
    let name = &text[start..at];
    if !is_name(name) {
        return Err(refuse(number, "a semicolon is not followed by a parameter's name; does a value need quotes?"));
    }
    let mut values = Vec::with_capacity(usize::from(text.as_bytes().get(at) == Some(&b'=')));
    while at < text.len() && matches!(text.as_bytes()[at], b'=' | b',') {
        let first = at + 1;
        at = match value_end(name, text, first) {
            Some(end) => end,
            None => return Err(refuse(number, format!("a quote in parameter {} is never closed", shorten(name)))),
        };
        values.push(text[first..at].to_owned());
    }
    Ok((Param { name: name.to_owned(), values }, at))
}

/// Where the raw value of the parameter `name` that starts at byte `start` ends: at the first comma, semicolon or colon
/// outside of quotes, or at the end. `None` if a quote is never closed.
///
/// Outlook writes `TZID=(UTC-05:00) Eastern Time` without the quotes it needs: in such a value the part in
/// parentheses is taken as a whole.
pub(super) fn value_end(name: &str, text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start;
    if name.eq_ignore_ascii_case("TZID") && (text[start..].starts_with("(UTC") || text[start..].starts_with("(GMT")) {
        at += text[start..].find(')').unwrap_or(0);
    }
    let mut quoted = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b';' | b':' if !quoted => break,
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(at)
}

/// At most the first 40 characters of `name`, for messages.
pub(super) fn shorten(name: &str) -> String {
    match name.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}
