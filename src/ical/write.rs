//! Tree → text (RFC 5545 §3.1): CRLF line ends, folded at 75 octets between characters, in linear time.
//!
//! What was parsed is written as it was. What was built wrongly cannot break out of its line: line
//! breaks in a value become `\n`, other forbidden characters are left out, and a parameter value that would not
//! be read back is encoded anew.

use std::borrow::Cow;
use std::fmt;

use super::parse::value_end;
use super::text::{decode_param, encode_param, is_forbidden};
use super::{Component, Param, Property};

/// The longest line in octets, its CRLF not counted.
const LINE_OCTETS_MAX: usize = 75;

impl Component {
    /// The component as iCalendar text.
    pub fn to_ics(&self) -> String {
        let mut out = String::new();
        self.write_ics(&mut out);
        out
    }

    /// Writes the component as iCalendar text behind what is in `out`.
    pub fn write_ics(&self, out: &mut String) {
        self.write_lines(out, &mut String::new());
    }

    /// Writes the line that begins it.
    pub fn write_begin(&self, out: &mut String) {
        write_mark("BEGIN:", &self.name, out, &mut String::new());
    }

    /// Writes the line that ends it.
    pub fn write_end(&self, out: &mut String) {
        write_mark("END:", &self.name, out, &mut String::new());
    }

    fn write_lines(&self, out: &mut String, line: &mut String) {
        write_mark("BEGIN:", &self.name, out, line);
        for property in &self.properties {
            property.unfolded(line);
            fold(line, out);
        }
        for component in &self.components {
            component.write_lines(out, line);
        }
        write_mark("END:", &self.name, out, line);
    }
}

/// The component as iCalendar text.
impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_ics())
    }
}

fn write_mark(mark: &str, name: &str, out: &mut String, line: &mut String) {
    line.clear();
    line.push_str(mark);
    line.push_str(&visible(name));
    fold(line, out);
}

impl Property {
    /// Writes the content line, folded, behind what is in `out`.
    pub fn write_ics(&self, out: &mut String) {
        let mut line = String::with_capacity(LINE_OCTETS_MAX);
        self.unfolded(&mut line);
        fold(&line, out);
    }

    /// The content line without folds and line end, in place of what is in `line`.
    fn unfolded(&self, line: &mut String) {
        line.clear();
        line.push_str(&visible(&self.name));
        for param in &self.params {
            param.write(line);
        }
        line.push(':');
        line.push_str(&one_line(&self.value));
    }
}

impl Param {
    fn write(&self, line: &mut String) {
        line.push(';');
        line.push_str(&visible(&self.name));
        for (at, raw) in self.values.iter().enumerate() {
            line.push(if at == 0 { '=' } else { ',' });
            line.push_str(&readable(&self.name, raw));
        }
    }
}

/// A name without the characters that may not stand in one.
fn visible(name: &str) -> Cow<'_, str> {
    if name.contains(is_forbidden) {
        return Cow::Owned(name.chars().filter(|c| !is_forbidden(*c)).collect());
    }
    Cow::Borrowed(name)
}

/// A raw value that stays on its line.
fn one_line(value: &str) -> Cow<'_, str> {
    // U+FFFE and U+FFFF are EF BF BE and EF BF BF: whoever has no EF has neither.
    let plain = |byte: &u8| ((*byte >= b' ') | (*byte == b'\t')) & (*byte != 0x7F) & (*byte != 0xEF);
    // All bytes of a chunk at once, which the processor does for many bytes together.
    let all_plain = |chunk: &[u8]| chunk.iter().fold(true, |all, byte| all & plain(byte));
    if value.as_bytes().chunks(256).all(all_plain) || !value.contains(is_forbidden) {
        return Cow::Borrowed(value);
    }
    let value = value.replace("\r\n", "\n").replace(['\r', '\n'], "\\n");
    Cow::Owned(value.chars().filter(|c| !is_forbidden(*c)).collect())
}

/// A raw parameter value that the parser reads back as it is.
fn readable<'a>(name: &str, raw: &'a str) -> Cow<'a, str> {
    if value_end(name, raw, 0) == Some(raw.len()) && !raw.contains(is_forbidden) {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(encode_param(&decode_param(raw)))
}

fn fold(line: &str, out: &mut String) {
    out.reserve(line.len() + line.len() / (LINE_OCTETS_MAX - 1) * FOLD.len() + END.len());
    let mut folded = FoldedLine::begin(out);
    folded.push(line);
    folded.end();
}

/// What ends a line.
const END: &str = "\r\n";
/// What parts a folded line from its rest.
const FOLD: &str = "\r\n ";

/// One content line, written piece by piece behind a text and folded as it grows. It is for lines that are long and known to be well-formed.
pub struct FoldedLine<'a> {
    out: &'a mut String,
    /// Octets until the next fold.
    room: usize,
}

impl<'a> FoldedLine<'a> {
    /// Begins a line behind what is in `out`.
    pub fn begin(out: &'a mut String) -> Self {
        Self { out, room: LINE_OCTETS_MAX }
    }

    /// Writes `piece`, in which there is no line break.
    pub fn push(&mut self, piece: &str) {
        let mut rest = piece;
        while rest.len() > self.room {
            let mut cut = self.room;
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            self.out.push_str(&rest[..cut]);
            self.out.push_str(FOLD);
            rest = &rest[cut..];
            // The space that begins a continued line counts.
            self.room = LINE_OCTETS_MAX - 1;
        }
        self.out.push_str(rest);
        self.room -= rest.len();
    }

    /// Ends the line.
    pub fn end(self) {
        self.out.push_str(END);
    }
}
