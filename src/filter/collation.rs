//! Text comparison (RFC 4791 §7.5, §9.7.5): substring search under the three collations. `i;ascii-casemap` and
//! `i;octet` are those of RFC 4790 §9.2 and §9.3, `i;unicode-casemap` that of RFC 5051.

use super::{Collation, TextMatch};
use unicode_normalization::char::decompose_compatible;

/// A [`TextMatch`] with its text already prepared, for holding it against many values.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    needle: String,
    collation: Collation,
    negate: bool,
}

impl Matcher {
    /// Prepares `test`.
    pub(super) fn new(test: &TextMatch) -> Self {
        Self { needle: prepare(&test.text, test.collation), collation: test.collation, negate: test.negate }
    }

    /// Whether `value` passes.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.contains(value) != self.negate
    }

    /// Whether any of `values` contains the text, or none of them if the condition is negated.
    pub(super) fn matches_any<'a>(&self, mut values: impl Iterator<Item = &'a str>) -> bool {
        values.any(|value| self.contains(value)) != self.negate
    }

    fn contains(&self, value: &str) -> bool {
        match self.collation {
            Collation::Octet => value.contains(&self.needle),
            Collation::AsciiCasemap | Collation::UnicodeCasemap => {
                prepare(value, self.collation).contains(&self.needle)
            }
        }
    }
}

impl TextMatch {
    /// Whether `value`, decoded text, passes this match. Substring, under the collation, negated if asked.
    pub fn matches(&self, value: &str) -> bool {
        Matcher::new(self).matches(value)
    }

    /// What it costs to prepare the text and `bytes` of values, in steps of a budget.
    pub(super) fn cost(&self, bytes: usize) -> u64 {
        let at_a_time = match self.collation {
            Collation::Octet | Collation::AsciiCasemap => 64,
            Collation::UnicodeCasemap => 8,
        };
        (self.text.len() + bytes) as u64 / at_a_time
    }
}

/// The form in which two texts are equal octet by octet if and only if `collation` says that they are equal.
fn prepare(text: &str, collation: Collation) -> String {
    match collation {
        Collation::Octet => text.to_owned(),
        Collation::AsciiCasemap => text.to_ascii_uppercase(),
        Collation::UnicodeCasemap => {
            let mut out = String::with_capacity(text.len());
            text.chars().for_each(|c| decompose_compatible(titlecase(c), |part| out.push(part)));
            out
        }
    }
}

/// The simple titlecase mapping of UnicodeData.txt, the one that RFC 5051 §2 asks for. The standard library has the
/// uppercase mapping, and the full one at that; they differ where this lists it.
fn titlecase(c: char) -> char {
    match c {
        // Digraphs with a titlecase form of their own: DŽ, LJ, NJ and DZ.
        '\u{1C4}'..='\u{1C6}' => '\u{1C5}',
        '\u{1C7}'..='\u{1C9}' => '\u{1C8}',
        '\u{1CA}'..='\u{1CC}' => '\u{1CB}',
        '\u{1F1}'..='\u{1F3}' => '\u{1F2}',
        // Georgian: uppercase is for writing whole words in capitals only, titlecase is the letter itself.
        '\u{10D0}'..='\u{10FF}' => c,
        // Greek with iota subscript: the full uppercase is two letters, the simple titlecase one.
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => offset(c, 8),
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => offset(c, 9),
        _ => single(c.to_uppercase()).unwrap_or(c),
    }
}

fn offset(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(collation: Collation, text: &str, value: &str) -> bool {
        TextMatch { text: text.into(), collation, negate: false }.matches(value)
    }

    // clause 4791/7.5-a
    #[test]
    fn each_collation_sees_what_its_rfc_says() {
        // (text, value, octet, ascii, unicode)
        let table = [
            ("Steelers", "Go Steelers!", true, true, true),
            ("steelers", "Go STEELERS!", false, true, true),
            ("ä", "BÄR", false, false, true),
            ("BÄR", "B\u{41}\u{308}R", false, false, true),
            ("σ", "ΣΊΣΥΦΟΣ ς", false, false, true),
            ("straße", "STRASSE", false, false, false),
            ("ŉ", "ŉ", true, true, true),
            ("ǆ", "Ǆ", false, false, true),
            ("ᾳ", "ᾼ", false, false, true),
            ("ა", "ა", true, true, true),
            ("ﬁ", "FINE", false, false, false),
            ("ﬁ", "ﬁne", true, true, true),
            ("№", "no", false, false, false), // decomposed after its case is mapped: to "No", and the other is "NO"
            ("Ａ", "a", false, false, true),
            ("", "", true, true, true),
            ("", "anything", true, true, true),
            ("longer", "long", false, false, false),
        ];
        for (text, value, octet, ascii, unicode) in table {
            let found =
                [Collation::Octet, Collation::AsciiCasemap, Collation::UnicodeCasemap].map(|c| finds(c, text, value));
            assert_eq!(found, [octet, ascii, unicode], "{text:?} in {value:?}");
        }
    }

    #[test]
    fn ascii_casemap_leaves_other_octets_alone() {
        assert!(!finds(Collation::AsciiCasemap, "é", "É"));
        assert!(finds(Collation::AsciiCasemap, "CAFé", "cafés"));
    }

    #[test]
    fn negation_turns_the_answer_round() {
        let cancelled = TextMatch { text: "cancelled".into(), collation: Collation::default(), negate: true };
        assert!(!cancelled.matches("CANCELLED"));
        assert!(cancelled.matches("NEEDS-ACTION"));
        let matcher = Matcher::new(&cancelled);
        assert!(!matcher.matches_any(["CONFIRMED", "CANCELLED"].into_iter()));
        assert!(matcher.matches_any(std::iter::empty()));
    }
}
