//! The text of an HTML fragment, as providers give descriptions: tags dropped, paragraphs and breaks as lines, the targets of
//! links kept, since a meeting's link may stand there alone. Linear in its input, and never shows markup as text.
//!
//! Not here: anything that a browser does.

/// What a line break in the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newlines {
    /// A line break, as people typed it (Google).
    Kept,
    /// A blank like any other (Microsoft).
    Blank,
}

/// Elements before and behind which a new line begins.
const BLOCKS: [&str; 14] =
    ["br", "p", "div", "li", "ul", "ol", "tr", "table", "hr", "h1", "h2", "h3", "h4", "blockquote"];
/// Elements whose content nobody sees.
const HIDDEN: [&str; 4] = ["style", "script", "head", "title"];

/// The text of `html`.
pub fn text(html: &str, newlines: Newlines) -> String {
    let mut writer = Writer { out: String::with_capacity(html.len()), newlines, href: None };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        writer.text(&rest[..at]);
        rest = &rest[at..];
        rest = match tag_length(rest) {
            Some(length) => {
                // A comment that is never closed ends without a `>`, maybe within a character.
                let inside = rest.get(1..length - 1).unwrap_or_default();
                let after = &rest[length..];
                writer.tag(inside);
                hidden_end(inside, after).map_or(after, |skipped| &after[skipped..])
            }
            None => {
                writer.text("<");
                &rest[1..]
            }
        };
    }
    writer.text(rest);
    writer.finish()
}

/// A longer tag is none: so that the whole stays linear.
const TAG_BYTES_MAX: usize = 8_192;

/// The length of the tag or comment that `rest` begins with; `None` if its `<` is only a sign.
fn tag_length(rest: &str) -> Option<usize> {
    if rest.starts_with("<!--") {
        return Some(rest.find("-->").map_or(rest.len(), |end| end + 3));
    }
    let next = rest[1..].chars().next()?;
    if !(next.is_ascii_alphabetic() || next == '/' || next == '!' || next == '?') {
        return None;
    }
    rest.bytes().take(TAG_BYTES_MAX).position(|byte| byte == b'>').map(|end| end + 1)
}

fn name_of(inside: &str) -> String {
    let name = inside.trim_start_matches('/');
    name.chars().take_while(char::is_ascii_alphanumeric).take(16).collect::<String>().to_ascii_lowercase()
}

/// How much of `after` is the unseen content of the element that `inside` opens, with its end tag.
fn hidden_end(inside: &str, after: &str) -> Option<usize> {
    let name = name_of(inside);
    if inside.starts_with('/') || inside.ends_with('/') || !HIDDEN.contains(&name.as_str()) {
        return None;
    }
    let end = after.match_indices("</").find(|(at, _)| name_of(after[at + 1..].trim_start_matches('/')) == name);
    let Some((at, _)) = end else { return Some(after.len()) };
    Some(after[at..].find('>').map_or(after.len(), |close| at + close + 1))
}

struct Writer {
    out: String,
    newlines: Newlines,
    /// The target of the link that is open, and where its text began.
    href: Option<(String, usize)>,
}

impl Writer {
    fn text(&mut self, raw: &str) {
        let decoded = entities(raw);
        if self.newlines == Newlines::Kept {
            self.out.push_str(&decoded.replace("\r\n", "\n"));
            return;
        }
        for c in decoded.chars() {
            match c {
                c if c.is_ascii_whitespace() => self.blank(),
                c => self.out.push(c),
            }
        }
    }

    fn blank(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
        }
    }

    fn tag(&mut self, inside: &str) {
        let name = name_of(inside);
        if BLOCKS.contains(&name.as_str()) {
            self.line(name == "br" || name == "p" && inside.starts_with('/'));
        } else if name == "a" {
            self.close_link();
            self.href = href(inside).map(|href| (href, self.out.len()));
        }
    }

    /// A new line, another one if `again` and there is one already; never more than one empty line.
    fn line(&mut self, again: bool) {
        let text = self.out.trim_end_matches(' ').len();
        self.out.truncate(text);
        let ends = self.out.bytes().rev().take_while(|byte| *byte == b'\n').count();
        if !self.out.is_empty() && (ends == 0 || again && ends < 2) {
            self.out.push('\n');
        }
    }

    /// `text <target>`, where the text is not the target itself.
    fn close_link(&mut self) {
        let Some((href, from)) = self.href.take() else { return };
        let shown = self.out.get(from..).unwrap_or_default().trim();
        if shown == href || shown.contains(&href) {
            return;
        }
        let after = if shown.is_empty() { href } else { format!(" <{href}>") };
        self.out.push_str(&after);
    }

    fn finish(mut self) -> String {
        self.close_link();
        self.out.trim().to_owned()
    }
}

/// The web address that an `a` tag leads to.
fn href(inside: &str) -> Option<String> {
    let at = inside.to_ascii_lowercase().find("href=")?;
    let value = inside.get(at + 5..)?;
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_ascii_whitespace().next()?,
    };
    let value = entities(value.trim());
    (value.starts_with("https://") || value.starts_with("http://")).then_some(value)
}

/// The longest entity that is looked for, in bytes.
const ENTITY_BYTES_MAX: usize = 10;

fn entities(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    let number = |text: &str, radix| {
        let found = u32::from_str_radix(text, radix).ok().and_then(char::from_u32)?;
        (!found.is_control() || found == '\n' || found == '\t').then_some(found)
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => number(&hex[1..], 16),
            decimal => number(decimal, 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_lines() {
        for (html, plain) in [
            ("Agenda:<br>1. Q4", "Agenda:\n1. Q4"),
            ("<p>Agenda: numbers, plans, questions</p>", "Agenda: numbers, plans, questions"),
            (
                "<html><head><style>p {color: red}</style></head><body><p>a</p>\r\n<p>b&nbsp;&amp;&#x41;</p></body>",
                "a\nb &A",
            ),
            (
                "<a href=\"https://zoom.us/j/84512345678?a=1&amp;b=2\">Join</a> now",
                "Join <https://zoom.us/j/84512345678?a=1&b=2> now",
            ),
            ("<a href='https://x.example/'>https://x.example/</a>", "https://x.example/"),
            ("<a href=\"javascript:alert(1)\">x</a>", "x"),
            ("1 < 2 && 3 > 2 &unknown; <!-- secret -->", "1 < 2 && 3 > 2 &unknown;"),
            ("<script>alert('</p>')</script>after", "after"),
            ("open <b", "open <b"),
            ("<style>never closed", ""),
            ("a<!-- never closed \u{e9}", "a"),
            ("", ""),
        ] {
            assert_eq!(text(html, Newlines::Blank), plain, "{html}");
        }
        assert_eq!(text("one\ntwo &lt;3", Newlines::Kept), "one\ntwo <3");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn no_input_panics(html in "[<>/a-z&#;=\"' \n\u{e9}!-]{0,80}") {
            let _ = (text(&html, Newlines::Kept), text(&html, Newlines::Blank));
        }
    }
}
