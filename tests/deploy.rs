//! The files in `examples/deploy/` name what is there: metrics, settings, alerts with an answer in the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words in `text` that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c)).filter(|part| part.starts_with(prefix)).collect()
}

fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).expect("a directory").map_while(Result::ok) {
        if entry.path().is_dir() {
            sources(&entry.path(), all);
        } else {
            all.push_str(&fs::read_to_string(entry.path()).expect("UTF-8"));
        }
    }
}

#[test]
fn every_metric_named_is_one_of_ours_and_every_one_of_ours_is_shown() {
    let mut code = String::new();
    sources(&root().join("src"), &mut code);
    let quoted = |name: &str| code.contains(&format!("\"{name}\""));
    let dashboard = read("examples/deploy/grafana.json");
    let rules = read("examples/deploy/alerts.yml");
    let runbook = read("docs/operations.md") + &read("docs/runbook-delivery.md");
    for text in [&dashboard, &rules, &runbook] {
        for name in words(text, "kalends_") {
            let base =
                ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(quoted(base), "no metric is called {name}");
        }
    }
    let ours = words(&code, "kalends_");
    // The other one is no metric: it is a name in Slack's messages.
    let apart = ["kalends_build_info", "kalends_meeting"];
    let ours = ours.iter().filter(|name| quoted(name) && !apart.contains(*name));
    for name in ours {
        assert!(dashboard.contains(*name), "{name} is on no panel");
    }
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("the dashboard is JSON");
}

#[test]
fn every_alert_has_its_answer_in_the_runbook() {
    let rules = read("examples/deploy/alerts.yml");
    let runbook = read("docs/operations.md") + &read("docs/runbook-delivery.md");
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 8);
    for name in names {
        assert!(
            runbook.contains(name),
            "neither docs/operations.md nor docs/runbook-delivery.md says anything of {name}"
        );
    }
}

#[test]
fn every_variable_named_is_a_setting() {
    let known: BTreeSet<String> =
        kalends::cli::config::settings().iter().map(kalends::cli::config::Setting::variable).collect();
    for file in ["examples/deploy/kalends.service", "examples/deploy/Containerfile"] {
        let text = read(file);
        for name in words(&text, "KALENDS_") {
            assert!(name == "KALENDS_DATA" || known.contains(name), "{file}: {name} sets nothing");
        }
    }
}
