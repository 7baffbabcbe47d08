//! Text and attribute values on their way out.

/// What an escaping does with each byte.
struct Table {
    fates: [Fate; 256],
    /// The same, shorter, for the bytes that nothing is done with: nearly all.
    kept: [bool; 256],
}

/// What becomes of a byte.
#[derive(Clone, Copy)]
enum Fate {
    /// It is copied.
    Kept,
    /// It is replaced.
    Replaced(&'static str),
    /// It is left out: XML cannot carry it.
    Dropped,
    /// The first of three of U+FFFE or U+FFFF, which XML cannot carry, or else it is copied.
    Looked,
}

static TEXT: Table = table(false);
static VALUE: Table = table(true);

const fn table(in_value: bool) -> Table {
    let mut fates = [Fate::Kept; 256];
    let mut byte = 0;
    while byte < b' ' as usize {
        fates[byte] = Fate::Dropped;
        byte += 1;
    }
    (fates[b'\t' as usize], fates[b'\n' as usize]) = (Fate::Kept, Fate::Kept);
    fates[b'\r' as usize] = Fate::Replaced("&#13;");
    fates[b'&' as usize] = Fate::Replaced("&amp;");
    fates[b'<' as usize] = Fate::Replaced("&lt;");
    fates[b'>' as usize] = Fate::Replaced("&gt;");
    if in_value {
        fates[b'"' as usize] = Fate::Replaced("&quot;");
        fates[b'\n' as usize] = Fate::Replaced("&#10;");
        fates[b'\t' as usize] = Fate::Replaced("&#9;");
    }
    fates[0xEF] = Fate::Looked;
    let mut kept = [false; 256];
    let mut byte = 0;
    while byte < kept.len() {
        kept[byte] = matches!(fates[byte], Fate::Kept);
        byte += 1;
    }
    Table { fates, kept }
}

/// Appends character data. CR goes out as a reference, since parsers read a plain one as LF (XML 1.0 §2.11).
pub(super) fn text(out: &mut String, text: &str) {
    escape(out, text, &TEXT);
}

/// Appends an attribute's value, to stand in double quotes. Parsers read plain white space as blanks (§3.3.3).
pub(super) fn value(out: &mut String, value: &str) {
    escape(out, value, &VALUE);
}

/// Copies whole runs, replaces what the table names, and leaves out characters that XML cannot carry.
fn escape(out: &mut String, text: &str, table: &Table) {
    out.reserve(text.len() + text.len() / 8);
    let (mut done, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(length) = bytes[at..].iter().position(|byte| !table.kept[usize::from(*byte)]) {
        at += length;
        let (replacement, length) = match table.fates[usize::from(bytes[at])] {
            Fate::Replaced(replacement) => (replacement, 1),
            Fate::Looked if text[at..].starts_with(['\u{FFFE}', '\u{FFFF}']) => ("", 3),
            Fate::Dropped => ("", 1),
            Fate::Looked | Fate::Kept => {
                at += 1;
                continue;
            }
        };
        out.push_str(&text[done..at]);
        out.push_str(replacement);
        at += length;
        done = at;
    }
    out.push_str(&text[done..]);
}
