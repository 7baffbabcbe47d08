//! From bytes to characters: byte order marks, the encodings that XML processors must know (XML 1.0 §4.3.3:
//! UTF-8 and UTF-16) and ISO-8859-1, and the range of characters that XML allows (§2.2).

use std::borrow::Cow;

use super::XmlError;

/// How far an XML declaration may reach; it is searched for `encoding` no further.
const DECLARATION_BYTES: usize = 256;

/// The document as characters, all of which XML allows.
pub(super) fn decode(body: &[u8]) -> Result<Cow<'_, str>, XmlError> {
    let text = match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest)?,
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [b'<', 0, ..] => utf16(body, u16::from_le_bytes)?,
        [0, b'<', ..] => utf16(body, u16::from_be_bytes)?,
        _ => by_declaration(body)?,
    };
    if text.as_bytes().chunks(256).all(all_plain) {
        return Ok(text);
    }
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((at, c)) => {
            Err(XmlError(format!("the character U+{:04X} at offset {at} is not allowed in XML", u32::from(c))))
        }
        None => Ok(text),
    }
}

/// Whether there is nothing to look at more closely: no control character but those that XML allows, and no byte with which
/// U+FFFE and U+FFFF begin. All bytes are looked at, which the processor does for many at once.
fn all_plain(chunk: &[u8]) -> bool {
    let plain = |byte: u8| (byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r')) & (byte != 0xEF);
    chunk.iter().fold(true, |all, byte| all & plain(*byte))
}

/// Whether XML 1.0 can carry the character (the production Char).
pub(super) fn allowed(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        _ => c >= ' ',
    }
}

/// Reads what has no byte order mark: UTF-8 unless its declaration says otherwise.
fn by_declaration(body: &[u8]) -> Result<Cow<'_, str>, XmlError> {
    let declared = declared(body);
    let is = |names: &[&str]| names.iter().any(|name| declared.eq_ignore_ascii_case(name));
    if is(&["", "utf-8", "utf8", "us-ascii", "ascii"]) {
        utf8(body)
    } else if is(&["iso-8859-1", "latin1"]) {
        Ok(body.iter().map(|byte| char::from(*byte)).collect())
    } else {
        Err(XmlError(format!("the encoding `{}` is not supported: send UTF-8", declared.escape_debug())))
    }
}

/// The encoding that the XML declaration names; empty if it names none.
fn declared(body: &[u8]) -> Cow<'_, str> {
    let head = &body[..body.len().min(DECLARATION_BYTES)];
    let name = head.strip_prefix(b"<?xml").and_then(|rest| {
        let end = rest.windows(2).position(|pair| pair == b"?>")?;
        let at = rest[..end].windows(8).position(|word| word == b"encoding")?;
        let value = rest[at + 8..end].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let (quote, value) = value.split_first()?;
        value.split(|byte| byte == quote).next()
    });
    String::from_utf8_lossy(name.unwrap_or_default())
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, XmlError> {
    let text = std::str::from_utf8(bytes);
    text.map(Cow::Borrowed).map_err(|e| XmlError(format!("it is not UTF-8 at offset {}", e.valid_up_to())))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, XmlError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(Cow::Owned(text)),
        _ => Err(XmlError("it is not UTF-16, although it begins so".to_owned())),
    }
}
