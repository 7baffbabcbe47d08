//! What each family of metrics is: the texts behind `# HELP`. The places that count know only the names; a test holds the two
//! against each other.

/// What a family is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// All families: name, kind, and what is measured.
const FAMILIES: &[(&str, Kind, &str)] = &[
    ("kalends_build_info", Gauge, "Always 1; the label is the program's version."),
    ("kalends_process_resident_bytes", Gauge, "Memory that the process occupies."),
    ("kalends_certificate_expires_seconds", Gauge, "When the TLS certificate ends, in seconds since 1970."),
    ("kalends_connections", Gauge, "Open connections of clients."),
    ("kalends_requests_total", Counter, "Requests answered, by method, kind of path and status."),
    (
        "kalends_request_seconds",
        Histogram,
        "Time from a request's head to the end of its answer, by method and kind of path.",
    ),
    ("kalends_response_bytes_total", Counter, "Bytes of answers' bodies."),
    ("kalends_login_failures_total", Counter, "Wrong user names and passwords."),
    ("kalends_limit_hits_total", Counter, "Requests refused because of a limit, by limit (docs/limits.md)."),
    ("kalends_refusals_total", Counter, "Requests refused because of a precondition, by condition."),
    ("kalends_store_batches_total", Counter, "Batches of writes, by outcome."),
    ("kalends_store_commit_seconds", Histogram, "Time of a group of batches from its application to its durability."),
    ("kalends_store_sync_seconds", Histogram, "Time that making a group of batches durable took."),
    ("kalends_store_writable", Gauge, "1 while writes are taken; 0 after one that could not be made durable."),
    ("kalends_store_disk_bytes", Gauge, "Bytes of the store's files."),
    ("kalends_disk_free_bytes", Gauge, "Free bytes of the file system with the store."),
    ("kalends_changes_total", Counter, "Changes stored: objects put and deleted, collections changed."),
    ("kalends_mask_cache_total", Counter, "Lookups of free-busy masks, by whether they were there."),
    ("kalends_outbox_events", Gauge, "Events in the outbox."),
    ("kalends_outbox_oldest_seconds", Gauge, "Age of the oldest event in the outbox."),
    ("kalends_outbound_blocked_total", Counter, "Requests to addresses that the server must not call."),
    ("kalends_provider_answers_total", Counter, "Answers of providers, by provider and status class."),
    ("kalends_provider_answer_seconds", Histogram, "Time that providers took to answer, by provider."),
    ("kalends_provider_failures_total", Counter, "Pulls that failed, by provider."),
    ("kalends_provider_resyncs_total", Counter, "Calendars listed anew as a whole, by provider."),
    ("kalends_provider_accounts_broken", Gauge, "Accounts whose access the provider has ended, by provider."),
    ("kalends_provider_lag_seconds", Gauge, "Time since the account that waits longest was last read, by provider."),
    ("kalends_ingest_deliveries_total", Counter, "Deliveries of providers, by provider and class."),
    ("kalends_ingest_dead_letters_total", Counter, "Deliveries that could not be read, by provider."),
    ("kalends_ingest_records_total", Counter, "Records of providers, by provider and what became of them."),
    ("kalends_ingest_changes_total", Counter, "Changes of meetings that records made, by provider."),
    ("kalends_ingest_retries_total", Counter, "Transactions of records that others came in between of."),
    ("kalends_ingest_unpublished_total", Counter, "Meetings that their calendar did not take."),
    ("kalends_ingest_parked", Gauge, "Exceptions that wait for their series."),
    ("kalends_ingest_parked_dropped_total", Counter, "Exceptions dropped because their series never came."),
    (
        "kalends_ingest_tombstones_forgotten_total",
        Counter,
        "Marks of deleted records that were old enough to be forgotten.",
    ),
    ("kalends_webhook_notices_total", Counter, "Notices to endpoints planned, by kind."),
    ("kalends_webhook_attempts_total", Counter, "Attempts to deliver a webhook, by class of the outcome."),
    ("kalends_webhook_attempt_seconds", Histogram, "Time of an attempt to deliver a webhook."),
    ("kalends_webhook_dead_total", Counter, "Deliveries given up, by class of the last outcome."),
    ("kalends_webhook_breaker_transitions_total", Counter, "Endpoints' breakers that opened or closed."),
    ("kalends_webhook_breakers_open", Gauge, "Endpoints whose breaker is open."),
    ("kalends_webhook_endpoints", Gauge, "Endpoints, by state."),
    ("kalends_webhook_due", Gauge, "Deliveries that are due."),
    ("kalends_webhook_inflight", Gauge, "Attempts under way."),
    ("kalends_webhook_oldest_due_seconds", Gauge, "Age of the oldest event that is not delivered everywhere."),
    ("kalends_webhook_oldest_due_healthy_seconds", Gauge, "The same, endpoints with an open breaker left out."),
    ("kalends_webhook_outbox_lag_events", Gauge, "Events that the dispatcher has not looked at."),
    ("kalends_webhook_outbox_lag_seconds", Gauge, "Age of the oldest event that the dispatcher has not looked at."),
    ("kalends_bus_relay_published_total", Counter, "Events that the relay carried to the bus."),
    ("kalends_bus_relay_seconds", Histogram, "Time that the relay took for a page of events."),
    ("kalends_bus_relay_failures_total", Counter, "Rounds of the relay that failed."),
    ("kalends_bus_relay_seen_seconds", Gauge, "When the relay last looked, in seconds since 1970."),
    ("kalends_bus_relay_oldest_seconds", Gauge, "Age of the oldest event that the relay carries."),
    ("kalends_bus_relay_restarts_total", Counter, "Relays that ended and were started again."),
    ("kalends_bus_producer_rebuilds_total", Counter, "Producers made anew after an error that ends them."),
    (
        "kalends_bus_gaps_total",
        Counter,
        "Events that did not come back through the bus and were taken from the outbox.",
    ),
    ("kalends_bus_records_total", Counter, "Records handled, by consumer group."),
    ("kalends_bus_handler_seconds", Histogram, "Time that handling a batch of records took, by consumer group."),
    ("kalends_bus_dead_letters_total", Counter, "Records that could not be read or handled, by consumer group."),
    ("kalends_bus_rebalances_total", Counter, "Changes of who reads which partition, by consumer group."),
    ("kalends_bus_consumer_lag_records", Gauge, "Records not yet handled, by consumer group."),
    ("kalends_bus_oldest_unprocessed_seconds", Gauge, "Age of the oldest record not yet handled, by consumer group."),
    (
        "kalends_bus_last_commit_age_seconds",
        Gauge,
        "Time since a position was last stored while records waited, by consumer group.",
    ),
    (
        "kalends_bus_consumer_seen_seconds",
        Gauge,
        "When the consumer last looked, in seconds since 1970, by consumer group.",
    ),
    ("kalends_worker_attempts_total", Counter, "Requests of a delivery worker, by class of the outcome."),
];

/// Tells the recorder what each family is.
pub(super) fn describe() {
    for (name, kind, help) in FAMILIES {
        match kind {
            Counter => metrics::describe_counter!(*name, *help),
            Gauge => metrics::describe_gauge!(*name, *help),
            Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn sources(dir: &Path, all: &mut String) {
        for entry in std::fs::read_dir(dir).expect("a directory").map_while(Result::ok) {
            match entry.path() {
                path if path.is_dir() => sources(&path, all),
                path if path.ends_with("families.rs") => {}
                path => all.push_str(&std::fs::read_to_string(path).expect("UTF-8")),
            }
        }
    }

    #[test]
    fn every_family_that_is_counted_is_described_once_and_no_other() {
        let mut code = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
        let quoted = code
            .split('"')
            .filter(|text| text.starts_with("kalends_") && text.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        // That one is no metric: it is a name in Slack's messages.
        let mut counted: Vec<&str> = quoted.filter(|name| *name != "kalends_meeting").collect();
        counted.sort_unstable();
        counted.dedup();
        let mut described: Vec<&str> = FAMILIES.iter().map(|(name, ..)| *name).collect();
        described.sort_unstable();
        assert_eq!(described, counted);
    }

    /// Everything that there is, as Prometheus gets it.
    #[test]
    fn the_exposition_has_help_and_type_before_the_samples_of_each_family() {
        let recorder = super::super::telemetry::recorder().expect("buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            for (name, kind, _) in FAMILIES {
                match kind {
                    Counter => metrics::counter!(*name, "label" => "a \"quoted\" one").increment(1),
                    Gauge => metrics::gauge!(*name).set(0.5),
                    Histogram => metrics::histogram!(*name).record(0.02),
                }
            }
        });
        let text = handle.render();
        let mut families: BTreeMap<&str, (Option<&str>, Option<&str>, usize)> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("# ").map(|comment| comment.splitn(3, ' ').collect::<Vec<_>>()).as_deref() {
                Some(["HELP", name, help]) => families.entry(name).or_default().0 = Some(help),
                Some(["TYPE", name, kind]) => families.entry(name).or_default().1 = Some(kind),
                Some(_) => panic!("{line}"),
                None => {
                    let name = line.split(['{', ' ']).next().expect("a name");
                    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
                    let family = base.filter(|base| families.contains_key(base)).unwrap_or(name);
                    let known = families.get_mut(family).unwrap_or_else(|| panic!("{line} comes before HELP and TYPE"));
                    known.2 += 1;
                }
            }
        }
        assert_eq!(families.len(), FAMILIES.len());
        for (name, kind, help) in FAMILIES {
            let kind = match kind {
                Counter => "counter",
                Gauge => "gauge",
                Histogram => "histogram",
            };
            let (said, typed, samples) = families[name];
            assert_eq!((said, typed), (Some(*help), Some(kind)), "{name}");
            assert!(samples > 0, "{name}");
        }
    }
}
