//! Values as they were written, each with its origin.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Config, Setting, settings};

/// Something is wrong with the configuration, told for the one who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// The configuration as written. Later values win over earlier ones.
#[derive(Debug, Default)]
pub struct Raw {
    values: Vec<Written>,
}

#[derive(Debug)]
struct Written {
    section: String,
    key: String,
    value: Value,
    origin: String,
}

/// A value as written. Environment variables and flags are text, whatever they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
}

impl Value {
    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err("must be a text in quotes, and not empty".to_owned()),
        }
    }

    pub(super) fn number(&self) -> Result<u64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text.replace('_', "").parse().map_err(|_| format!("`{text}` is no whole number")),
            Self::Flag(_) | Self::List(_) => Err("must be a whole number".to_owned()),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        match self {
            Self::Flag(flag) => Ok(*flag),
            Self::Text(text) if text == "true" || text == "1" => Ok(true),
            Self::Text(text) if text == "false" || text == "0" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(list) => Ok(list.clone()),
            Self::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            Self::Number(_) | Self::Flag(_) => Err("must be a list of texts".to_owned()),
        }
    }

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Ok(Self::Text(text.to_string())),
            DeValue::Boolean(flag) => Ok(Self::Flag(*flag)),
            DeValue::Integer(number) => u64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .map(Self::Number)
                .map_err(|_| format!("`{}` is no whole number from 0 up", number.as_str())),
            DeValue::Array(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .map(Self::List)
                .ok_or_else(|| "must be a list of texts".to_owned()),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
                Err("must be a text, a whole number, true or false, or a list of texts".to_owned())
            }
        }
    }
}

impl Raw {
    /// Reads a file's text; `name` stands in complaints.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn read_text(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            ConfigError(format!("{name} line {line}: {}", error.message()))
        })?;
        for (section, inner) in table.get_ref() {
            let at = |offset: usize| format!("{name} line {}", line_of(text, offset));
            let section_name = section.get_ref();
            let DeValue::Table(inner) = inner.get_ref() else {
                return Err(ConfigError(format!(
                    "{}: `{section_name}` stands outside of any section such as [server]",
                    at(section.span().start)
                )));
            };
            self.read_section(name, text, section_name, inner)?;
            if inner.is_empty() && settings().iter().all(|known| known.section != section_name) {
                return Err(ConfigError(format!("{}: there is no section [{section_name}]", at(section.span().start))));
            }
        }
        Ok(())
    }

    /// Reads what stands in a section, and the sections within it: `[bus.kafka]` is `kafka` in `bus`.
    fn read_section(&mut self, name: &str, text: &str, section: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table {
            let origin = format!("{name} line {}", line_of(text, key.span().start));
            let within = format!("{section}.{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) if is_section(&within) => self.read_section(name, text, &within, inner)?,
                DeValue::Table(_)
                    if is_section(section) && !settings().iter().any(|known| known.section == section) =>
                {
                    return Err(ConfigError(format!("{origin}: there is no section [{within}]")));
                }
                value => {
                    let value = Value::read(value)
                        .map_err(|why| ConfigError(format!("{origin}: [{section}] {}: {why}", key.get_ref())))?;
                    self.push(section, key.get_ref(), value, origin)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or as [`Raw::read_text`].
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read the configuration {name}: {error}")))?;
        self.read_text(&name, &text)
    }

    /// Takes over the environment variables that `lookup` knows.
    ///
    /// # Errors
    /// None today; kept for symmetry with the other sources.
    pub fn read_environment(&mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        for setting in settings() {
            let variable = setting.variable();
            if let Some(value) = lookup(&variable).filter(|value| !value.is_empty()) {
                self.push(setting.section, setting.key, Value::Text(value), variable)?;
            }
        }
        Ok(())
    }

    /// Takes over a command line flag's value.
    ///
    /// # Errors
    /// If there is no such setting.
    pub fn set_flag(&mut self, section: &str, key: &str, value: &str, flag: &str) -> Result<(), ConfigError> {
        self.push(section, key, Value::Text(value.to_owned()), flag.to_owned())
    }

    fn push(&mut self, section: &str, key: &str, value: Value, origin: String) -> Result<(), ConfigError> {
        let all = settings();
        if find(&all, section, key).is_none() {
            return Err(ConfigError(unknown(&all, section, key, &origin)));
        }
        self.values.push(Written { section: section.to_owned(), key: key.to_owned(), value, origin });
        Ok(())
    }

    /// Applies all values to `config` in the order in which they were written.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        let all = settings();
        for Written { section, key, value, origin } in &self.values {
            if let Some(setting) = find(&all, section, key) {
                setting.set(config, value).map_err(|why| ConfigError(format!("{origin}: [{section}] {key}: {why}")))?;
            }
        }
        Ok(())
    }
}

/// Whether there is such a section, or one within it.
fn is_section(name: &str) -> bool {
    let within =
        |section: &str| section.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    settings().iter().any(|known| within(known.section))
}

fn find<'a>(all: &'a [Setting], section: &str, key: &str) -> Option<&'a Setting> {
    all.iter().find(|setting| setting.section == section && setting.key == key)
}

/// A complaint about a setting that does not exist, with the nearest that does.
fn unknown(all: &[Setting], section: &str, key: &str, origin: &str) -> String {
    let keys: Vec<&str> = all.iter().filter(|known| known.section == section).map(|known| known.key).collect();
    if keys.is_empty() {
        return format!("{origin}: there is no section [{section}]");
    }
    let nearest = keys.iter().copied().min_by_key(|known| distance(known, key));
    match nearest.filter(|known| distance(known, key) <= 3) {
        Some(near) => format!("{origin}: [{section}] has no setting `{key}`; is `{near}` meant?"),
        None if keys.len() > 8 => {
            format!("{origin}: [{section}] has no setting `{key}`; `kalends config print-default` shows them all")
        }
        None => format!("{origin}: [{section}] has no setting `{key}`; there are: {}", keys.join(", ")),
    }
}

/// How many letters must be changed, added or removed to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
