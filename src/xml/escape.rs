//! Text and attribute values on their way out.

use super::decode::allowed;

/// Appends character data. CR goes out as a reference, since parsers read a plain one as LF (XML 1.0 §2.11).
pub(super) fn text(out: &mut String, text: &str) {
    escape(out, text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    });
}

/// Appends an attribute's value, to stand in double quotes. Parsers read plain white space as blanks (§3.3.3).
pub(super) fn value(out: &mut String, value: &str) {
    escape(out, value, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\r' => Some("&#13;"),
        b'\n' => Some("&#10;"),
        b'\t' => Some("&#9;"),
        _ => None,
    });
}

/// Copies whole runs, replaces what `replacement` names, and leaves out characters that XML cannot carry.
fn escape(out: &mut String, text: &str, replacement: impl Fn(u8) -> Option<&'static str>) {
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        // Of the characters beyond ASCII only U+FFFE and U+FFFF are forbidden: EF BF BE and EF BF BF.
        let length = match byte {
            b' '..=b'~' => match replacement(byte) {
                None => continue,
                Some(_) => 1,
            },
            0xEF if text[at..].starts_with(['\u{FFFE}', '\u{FFFF}']) => 3,
            0x80.. => continue,
            _ if allowed(char::from(byte)) && replacement(byte).is_none() => continue,
            _ => 1,
        };
        out.push_str(&text[done..at]);
        out.push_str(replacement(byte).unwrap_or_default());
        done = at + length;
    }
    out.push_str(&text[done..]);
}
