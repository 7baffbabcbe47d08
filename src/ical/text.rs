//! The two ways in which iCalendar hides characters: the backslashes of TEXT (RFC 5545 §3.3.11) and the quotes
//! and carets of parameter values (RFC 5545 §3.2, RFC 6868).

use std::borrow::Cow;

/// The text that the raw value `raw` of type TEXT stands for. Unknown escapes keep their backslash: they come from
/// clients that forgot to escape it, in Windows paths for instance.
pub fn unescape_text(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let mut behind = rest[at + 1..].chars();
        match behind.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(c @ ('\\' | ';' | ',' | ':' | '"')) => text.push(c),
            Some(c) => text.extend(['\\', c]),
            None => text.push('\\'),
        }
        rest = behind.as_str();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// `text` as a raw value of type TEXT. All of CRLF, CR and LF become `\n`; other control characters, which iCalendar
/// cannot hold, become spaces.
pub fn escape_text(text: &str) -> String {
    let mut raw = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | ';' | ',' => raw.extend(['\\', c]),
            '\r' => {
                chars.next_if_eq(&'\n');
                raw.push_str("\\n");
            }
            '\n' => raw.push_str("\\n"),
            c if is_forbidden(c) => raw.push(' '),
            c => raw.push(c),
        }
    }
    raw
}

/// The raw items of a list whose separator is `separator`: escaped separators do not part them.
pub fn split_raw(raw: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    raw.split(move |c| {
        let parts = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        parts
    })
}

/// The value that the raw parameter value `raw` stands for: quotes off, `^n`, `^^` and `^'` decoded (RFC 6868 §3.2).
pub fn decode_param(raw: &str) -> Cow<'_, str> {
    let plain: Cow<'_, str> = match raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) {
        Some(inner) if !inner.contains('"') => Cow::Borrowed(inner),
        _ if raw.contains('"') => Cow::Owned(raw.replace('"', "")),
        _ => Cow::Borrowed(raw),
    };
    if plain.contains('^') { Cow::Owned(decode_carets(&plain)) } else { plain }
}

fn decode_carets(plain: &str) -> String {
    let mut value = String::with_capacity(plain.len());
    let mut chars = plain.chars().peekable();
    while let Some(c) = chars.next() {
        let decoded = match (c, chars.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('^')) => '^',
            ('^', Some('\'')) => '"',
            _ => {
                value.push(c);
                continue;
            }
        };
        value.push(decoded);
        chars.next();
    }
    value
}

/// `value` as a raw parameter value: carets for line breaks, carets and quotes, and quotes around it where it holds
/// a colon, semicolon or comma. Control characters become spaces.
pub fn encode_param(value: &str) -> String {
    let mut raw = String::with_capacity(value.len() + 2);
    let quoted = value.contains([':', ';', ',']);
    if quoted {
        raw.push('"');
    }
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '^' => raw.push_str("^^"),
            '"' => raw.push_str("^'"),
            '\r' => {
                chars.next_if_eq(&'\n');
                raw.push_str("^n");
            }
            '\n' => raw.push_str("^n"),
            c if is_forbidden(c) => raw.push(' '),
            c => raw.push(c),
        }
    }
    if quoted {
        raw.push('"');
    }
    raw
}

/// Whether `c` may not stand in a content line: control characters but the tab (RFC 5545 §3.1), and the two
/// code points that XML cannot carry (calendar-data travels in XML).
pub(super) fn is_forbidden(c: char) -> bool {
    (c < ' ' && c != '\t') || matches!(c, '\x7f' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_escapes() {
        assert_eq!(unescape_text(r"a\, b\; c\\d\ne\Nf"), "a, b; c\\d\ne\nf");
        assert_eq!(unescape_text(r"C:\Users\x"), r"C:\Users\x");
        assert_eq!(unescape_text("end\\"), "end\\");
        assert_eq!(escape_text("a,b;c\\d\r\ne\rf"), r"a\,b\;c\\d\ne\nf");
    }

    #[test]
    fn lists_part_at_bare_separators_only() {
        let items: Vec<_> = split_raw(r"A\,B,C\\,D", ',').collect();
        assert_eq!(items, [r"A\,B", r"C\\", "D"]);
    }

    #[test]
    fn rfc_6868_examples() {
        assert_eq!(decode_param("George Herman ^'Babe^' Ruth"), "George Herman \"Babe\" Ruth");
        assert_eq!(decode_param("a^^b^nc^x^"), "a^b\nc^x^");
        assert_eq!(decode_param("\"Doe, John\""), "Doe, John");
        assert_eq!(encode_param("x: \"y\"\n"), "\"x: ^'y^'^n\"");
    }

    proptest! {
        #[test]
        fn text_round_trip(text in "[^\\p{Cc}]*") {
            let raw = escape_text(&text);
            prop_assert_eq!(unescape_text(&raw), text.as_str());
        }

        #[test]
        fn param_round_trip(value in "([^\\p{Cc}]|\n)*") {
            let raw = encode_param(&value);
            prop_assert_eq!(decode_param(&raw), value.as_str());
        }
    }
}
