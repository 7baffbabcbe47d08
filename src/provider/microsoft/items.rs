//! What the items of a mailbox are, by their ids: of a removed item delta tells no more than that, and only that of a series' instance
//! means that its series has to be read again.
//!
//! Kept as hashes of ids, 11 characters each, in one text for each series: it is written with every round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::merge::SourceRecord;
use crate::provider::microsoft::event;

/// Characters of a hash: 64 bits.
const WIDTH: usize = 11;
/// Stands for the series of what is of none.
const SINGLE: &str = "";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// An event of its own.
    Single,
    /// An occurrence or exception of this series.
    Of(String),
    /// Nobody remembers.
    Unknown,
}

/// The items that are remembered: by series, the hashes of the ids one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Items(BTreeMap<String, String>);

impl Items {
    /// Those that [`Items::text`] wrote beside `series`, in whatever form they are: what does not fit is forgotten.
    pub(super) fn read<'a>(series: impl Iterator<Item = &'a str>, text: &str) -> Self {
        let names = std::iter::once(SINGLE).chain(series);
        let is_whole = |hashes: &&str| !hashes.is_empty() && hashes.len().is_multiple_of(WIDTH) && hashes.is_ascii();
        let groups = names.zip(text.split(',')).filter(|(_, hashes)| is_whole(hashes));
        Self(groups.map(|(series, hashes)| (series.to_owned(), hashes.to_owned())).collect())
    }

    /// As they are kept, those of each of `series` in that order, behind those of none.
    pub(super) fn text<'a>(&self, series: impl Iterator<Item = &'a str>) -> String {
        let names = std::iter::once(SINGLE).chain(series);
        let groups: Vec<&str> = names.map(|name| self.0.get(name).map_or("", String::as_str)).collect();
        groups.join(",")
    }

    /// Remembers what `record` is, or is of.
    pub(super) fn note(&mut self, record: &SourceRecord, most: u64) {
        match event::series_of(record) {
            Some(series) if series == record.source.id => self.forget(&record.source.id),
            Some(series) => self.put(&record.source.id, &series, most),
            None => self.put(&record.source.id, SINGLE, most),
        }
    }

    /// Remembers that `id` is an occurrence of `series`.
    pub(super) fn occurs(&mut self, id: &str, series: &str, most: u64) {
        self.put(id, series, most);
    }

    fn put(&mut self, id: &str, series: &str, most: u64) {
        let hash = hash(id);
        if self.0.get(series).is_some_and(|known| place(known, &hash).is_some()) {
            return;
        }
        self.forget(id);
        let known: usize = self.0.values().map(|hashes| hashes.len() / WIDTH).sum();
        if (known as u64) < most {
            self.0.entry(series.to_owned()).or_default().push_str(&hash);
        }
    }

    /// The item is gone: what was it?
    pub(super) fn take(&mut self, id: &str) -> Item {
        let hash = hash(id);
        let found = self.0.iter().find_map(|(series, known)| Some((series.clone(), place(known, &hash)?)));
        let Some((series, at)) = found else { return Item::Unknown };
        if let Some(known) = self.0.get_mut(&series) {
            known.replace_range(at..at + WIDTH, "");
        }
        if series == SINGLE { Item::Single } else { Item::Of(series) }
    }

    fn forget(&mut self, id: &str) {
        self.take(id);
    }
}

/// Where in `known` the hash begins.
fn place(known: &str, hash: &str) -> Option<usize> {
    let at = known.as_bytes().chunks_exact(WIDTH).position(|one| one == hash.as_bytes())?;
    Some(at * WIDTH)
}

fn hash(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let bits = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let digit = |at: usize| char::from(DIGITS[usize::try_from(bits >> (6 * at) & 63).unwrap_or_default()]);
    (0..WIDTH).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_until_it_is_taken() {
        let mut items = Items::default();
        items.occurs("a1", "A", 3);
        items.occurs("b1", "B", 3);
        items.put("single", SINGLE, 3);
        items.put("single", SINGLE, 3);
        items.occurs("b2", "B", 3);
        let text = items.text(["A", "B", "C"].into_iter());
        assert_eq!(text.len(), 3 * WIDTH + 3);
        let mut read = Items::read(["A", "B", "C"].into_iter(), &text);
        assert_eq!(read, items);
        assert_eq!(read.take("a1"), Item::Of("A".to_owned()));
        assert_eq!(read.take("a1"), Item::Unknown);
        assert_eq!(read.take("single"), Item::Single);
        assert_eq!(read.take("b2"), Item::Unknown, "there was no room for it");
    }

    #[test]
    fn an_item_that_becomes_another_is_known_as_that() {
        let mut items = Items::default();
        items.put("x", SINGLE, 1);
        items.occurs("x", "A", 1);
        assert_eq!(items.take("x"), Item::Of("A".to_owned()));
    }

    #[test]
    fn what_does_not_fit_is_forgotten() {
        for text in ["", "short", "ééééééééééé", ",,,,"] {
            assert_eq!(Items::read(["A"].into_iter(), text), Items::default(), "{text}");
        }
    }
}
