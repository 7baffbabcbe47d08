//! `[bus.kafka]` and `[bus.kafka.ingest]`.

use std::path::PathBuf;

use super::raw::Value;
use super::settings::{Setting, address, list, quote, row};
use crate::base::Secret;

/// `[bus.kafka]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// The brokers to ask first; `None`: no Kafka, the outbox is the queue.
    pub brokers: Option<String>,
    /// The topic of changes.
    pub topic: String,
    /// The topic of what could not be handled.
    pub dead_letter_topic: String,
    /// The group of the delivery workers.
    pub group: String,
    /// What Kalends calls itself to the brokers.
    pub client_id: String,
    /// Whether topics that are missing are made.
    pub create_topics: bool,
    /// Partitions of a topic that is made.
    pub partitions: u16,
    /// Copies of a topic that is made; zero leaves it to the brokers.
    pub replication: u16,
    /// Hours that records of a topic that is made are kept; zero leaves it to the brokers.
    pub retention_hours: u64,
    /// Seconds without a sign of life until a consumer is taken for dead.
    pub session_timeout_seconds: u64,
    /// Seconds without asking for records until a consumer is taken for stuck.
    pub poll_interval_max_seconds: u64,
    /// Seconds that an event which has not come back through the topic is waited for.
    pub gap_seconds: u64,
    /// Whether the server starts the relay, and starts it again when it ends.
    pub supervise: bool,
    /// Where the relay that the server starts serves its metrics.
    pub relay_metrics_listen: Option<String>,
    /// Settings of librdkafka, `name=value`.
    pub properties: Secret<Vec<String>>,
    /// A file of such settings, one a line.
    pub properties_file: Option<PathBuf>,
    /// `[bus.kafka.ingest]`
    pub ingest: IngestConfig,
}

/// `[bus.kafka.ingest]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestConfig {
    /// The topic of providers' events; `None`: none is read.
    pub topic: Option<String>,
    /// The group that reads it.
    pub group: String,
    /// The generic account that its events are of.
    pub account: Option<String>,
    /// After so many tries an event goes to the dead letters.
    pub tries_max: u32,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: None,
            topic: "kalends.changes".to_owned(),
            dead_letter_topic: "kalends.dead".to_owned(),
            group: "kalends-delivery".to_owned(),
            client_id: "kalends".to_owned(),
            create_topics: true,
            partitions: 12,
            replication: 0,
            retention_hours: 168,
            session_timeout_seconds: 45,
            poll_interval_max_seconds: 300,
            gap_seconds: 120,
            supervise: true,
            relay_metrics_listen: None,
            properties: Secret::new(Vec::new()),
            properties_file: None,
            ingest: IngestConfig { topic: None, group: "kalends-ingest".to_owned(), account: None, tries_max: 3 },
        }
    }
}

impl KafkaConfig {
    /// What is wrong with it as a whole, for this build of the program.
    ///
    /// # Errors
    /// For the administrator.
    pub fn check(&self) -> Result<(), String> {
        if self.brokers.is_none() {
            return match self.ingest.topic {
                Some(_) => Err("[bus.kafka.ingest] topic needs [bus.kafka] brokers".to_owned()),
                None => Ok(()),
            };
        }
        if !cfg!(feature = "kafka") {
            return Err("[bus.kafka] brokers is set, and this kalends was built without Kafka: build it with \
                        `cargo build --release --features kafka`, or remove the setting (the outbox is the queue then)"
                .to_owned());
        }
        if self.ingest.topic.is_some() && self.ingest.account.is_none() {
            return Err("[bus.kafka.ingest] topic needs `account`, the generic account that the events are of: \
                        `kalends provider list` names them"
                .to_owned());
        }
        Ok(())
    }

    /// The settings for librdkafka: those of the file, then those of the configuration.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is no `name=value`. Values are not repeated: they may be passwords.
    pub fn librdkafka(&self) -> Result<Vec<(String, String)>, String> {
        let mut found = Vec::new();
        if let Some(path) = &self.properties_file {
            let name = format!("[bus.kafka] properties_file {}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
            for (index, line) in text.lines().map(str::trim).enumerate() {
                if !line.is_empty() && !line.starts_with('#') {
                    found.push(property(line).ok_or_else(|| format!("{name} line {}: write name=value", index + 1))?);
                }
            }
        }
        let own = self.properties.expose().iter().filter_map(|text| property(text));
        found.extend(own);
        Ok(found)
    }
}

fn property(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.trim().to_owned()))
}

const KAFKA: &str = "bus.kafka";
const INGEST: &str = "bus.kafka.ingest";

/// Everything that can be set about Kafka.
pub(super) fn rows() -> Vec<Setting> {
    let mut rows = places();
    rows.extend(topics());
    rows.extend(behaviour());
    rows.extend(ingest());
    rows
}

fn places() -> Vec<Setting> {
    vec![
        row(
            KAFKA,
            "brokers",
            "The Kafka brokers to ask first, with commas between them. Unset, there is no Kafka: the outbox is the queue. \
             Needs a build with the feature `kafka`; docs/kafka.md tells the rest.",
            "\"kafka1:9092,kafka2:9092\"",
            |config, value| brokers(value).map(|brokers| config.kafka.brokers = Some(brokers)),
            |config| config.kafka.brokers.as_deref().map(quote),
        ),
        row(
            KAFKA,
            "client_id",
            "What Kalends calls itself to the brokers: it stands in their logs and quotas.",
            "",
            |config, value| value.text().map(|name| config.kafka.client_id = name),
            |config| Some(quote(&config.kafka.client_id)),
        ),
        row(
            KAFKA,
            "properties",
            "Settings of librdkafka, over ours, as in \"security.protocol=sasl_ssl\". Passwords belong into properties_file.",
            "",
            |config, value| properties(value).map(|list| config.kafka.properties = Secret::new(list)),
            |config| Some(list(config.kafka.properties.expose().iter().cloned())),
        ),
        row(
            KAFKA,
            "properties_file",
            "A file with such settings, name=value, one a line: for passwords, readable by the server's user alone.",
            "\"/etc/kalends/kafka.properties\"",
            |config, value| value.text().map(|path| config.kafka.properties_file = Some(path.into())),
            |config| config.kafka.properties_file.as_ref().map(|path| quote(&path.to_string_lossy())),
        ),
        row(
            KAFKA,
            "supervise",
            "Whether the server starts `kalends relay` and starts it again when it ends; else your service manager does.",
            "",
            |config, value| value.flag().map(|flag| config.kafka.supervise = flag),
            |config| Some(config.kafka.supervise.to_string()),
        ),
        row(
            KAFKA,
            "relay_metrics_listen",
            "Host and port at which the relay that the server starts serves its metrics.",
            "\"127.0.0.1:9109\"",
            |config, value| address(value).map(|listen| config.kafka.relay_metrics_listen = Some(listen)),
            |config| config.kafka.relay_metrics_listen.as_deref().map(quote),
        ),
    ]
}

fn topics() -> Vec<Setting> {
    vec![
        row(
            KAFKA,
            "topic",
            "The topic that every change is published to; the key is the calendar's id.",
            "",
            |config, value| topic(value).map(|topic| config.kafka.topic = topic),
            |config| Some(quote(&config.kafka.topic)),
        ),
        row(
            KAFKA,
            "dead_letter_topic",
            "The topic of records that could not be handled, with the reason in their headers.",
            "",
            |config, value| topic(value).map(|topic| config.kafka.dead_letter_topic = topic),
            |config| Some(quote(&config.kafka.dead_letter_topic)),
        ),
        row(
            KAFKA,
            "create_topics",
            "Whether a topic that is missing is made. One that is there is used as it is and never changed.",
            "",
            |config, value| value.flag().map(|flag| config.kafka.create_topics = flag),
            |config| Some(config.kafka.create_topics.to_string()),
        ),
        row(
            KAFKA,
            "partitions",
            "Partitions of a topic that is made: at least as many as there will ever be workers. Changing it later moves \
             calendars to other partitions.",
            "",
            |config, value| small(value, 1).map(|number| config.kafka.partitions = number),
            |config| Some(config.kafka.partitions.to_string()),
        ),
        row(
            KAFKA,
            "replication",
            "On how many brokers a topic that is made lies; 0 leaves it to the brokers.",
            "",
            |config, value| small(value, 0).map(|number| config.kafka.replication = number),
            |config| Some(config.kafka.replication.to_string()),
        ),
        row(
            KAFKA,
            "retention_hours",
            "How long a topic that is made keeps records; 0 leaves it to the brokers. Longer than the longest outage of a \
             reader.",
            "",
            |config, value| value.number().map(|number| config.kafka.retention_hours = number.min(1_000_000)),
            |config| Some(config.kafka.retention_hours.to_string()),
        ),
    ]
}

fn behaviour() -> Vec<Setting> {
    vec![
        row(
            KAFKA,
            "group",
            "The group of consumers that `kalends worker` processes form.",
            "",
            |config, value| topic(value).map(|group| config.kafka.group = group),
            |config| Some(quote(&config.kafka.group)),
        ),
        row(
            KAFKA,
            "session_timeout_seconds",
            "Without a sign of life for so long, a worker is taken for dead and others get its partitions.",
            "",
            |config, value| positive(value).map(|number| config.kafka.session_timeout_seconds = number),
            |config| Some(config.kafka.session_timeout_seconds.to_string()),
        ),
        row(
            KAFKA,
            "poll_interval_max_seconds",
            "Busy with one batch for so long, a worker is taken for stuck and others get its partitions.",
            "",
            |config, value| positive(value).map(|number| config.kafka.poll_interval_max_seconds = number),
            |config| Some(config.kafka.poll_interval_max_seconds.to_string()),
        ),
        row(
            KAFKA,
            "gap_seconds",
            "An event that has not come back through the topic so long after later ones did is delivered from the outbox.",
            "",
            |config, value| positive(value).map(|number| config.kafka.gap_seconds = number),
            |config| Some(config.kafka.gap_seconds.to_string()),
        ),
    ]
}

fn ingest() -> Vec<Setting> {
    vec![
        row(
            INGEST,
            "topic",
            "A topic of providers' events, in the JSON of POST /ingest/events, to read. It is never made.",
            "\"meetings\"",
            |config, value| topic(value).map(|topic| config.kafka.ingest.topic = Some(topic)),
            |config| config.kafka.ingest.topic.as_deref().map(quote),
        ),
        row(
            INGEST,
            "group",
            "The group of consumers that reads it.",
            "",
            |config, value| topic(value).map(|group| config.kafka.ingest.group = group),
            |config| Some(quote(&config.kafka.ingest.group)),
        ),
        row(
            INGEST,
            "account",
            "The generic account that the events are of, as `kalends provider list` names it.",
            "\"generic/meetings\"",
            |config, value| value.text().map(|account| config.kafka.ingest.account = Some(account)),
            |config| config.kafka.ingest.account.as_deref().map(quote),
        ),
        row(
            INGEST,
            "tries_max",
            "After so many tries an event goes to the dead letters.",
            "",
            |config, value| small(value, 1).map(|number| config.kafka.ingest.tries_max = u32::from(number)),
            |config| Some(config.kafka.ingest.tries_max.to_string()),
        ),
    ]
}

fn brokers(value: &Value) -> Result<String, String> {
    let text = value.text()?;
    let host_and_port = |part: &str| {
        part.trim().rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if text.split(',').all(host_and_port) {
        Ok(text)
    } else {
        Err(format!("`{text}` names no brokers: write host:port, with commas between them"))
    }
}

/// A name of a topic or group, as Kafka takes it.
fn topic(value: &Value) -> Result<String, String> {
    let text = value.text()?;
    let fits = text.len() <= 249 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits { Ok(text) } else { Err(format!("`{text}` is no name for Kafka: letters, digits, `.`, `_`, `-`")) }
}

fn properties(value: &Value) -> Result<Vec<String>, String> {
    let list = value.list()?;
    match list.iter().position(|text| property(text).is_none()) {
        None => Ok(list),
        // It may be a password that was mistyped.
        Some(index) => Err(format!("entry {} is no name=value", index + 1)),
    }
}

fn small(value: &Value, least: u16) -> Result<u16, String> {
    let number = u16::try_from(value.number()?).unwrap_or(u16::MAX);
    if (least..=10_000).contains(&number) { Ok(number) } else { Err(format!("must be from {least} to 10000")) }
}

fn positive(value: &Value) -> Result<u64, String> {
    match value.number()? {
        0 => Err("must be at least 1".to_owned()),
        number => Ok(number.min(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_kafka_says_so() {
        let mut config = KafkaConfig::default();
        assert_eq!(config.check(), Ok(()));
        config.brokers = Some("127.0.0.1:9092".to_owned());
        match cfg!(feature = "kafka") {
            true => assert_eq!(config.check(), Ok(())),
            false => assert!(config.check().expect_err("it cannot").contains("--features kafka")),
        }
    }

    #[test]
    fn properties_come_from_the_file_and_over_it_from_the_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("p");
        std::fs::write(&file, "# who we are\nsasl.username=kalends\nsasl.password=a=b\n").expect("written");
        let properties = Secret::new(vec!["sasl.username=other".to_owned()]);
        let config = KafkaConfig { properties, properties_file: Some(file.clone()), ..KafkaConfig::default() };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            vec![pair("sasl.username", "kalends"), pair("sasl.password", "a=b"), pair("sasl.username", "other")];
        assert_eq!(config.librdkafka(), Ok(expected));
        std::fs::write(&file, "hunter2\n").expect("written");
        let error = config.librdkafka().expect_err("no name");
        assert!(error.ends_with("line 1: write name=value") && !error.contains("hunter2"), "{error}");
        assert!(!format!("{config:?}").contains("other"));
    }
}
