use super::*;

fn built(text: &str) -> Result<Config, String> {
    let mut raw = Raw::default();
    raw.read_text("kalends.toml", text).map_err(|error| error.0)?;
    Config::build(&raw).map_err(|error| error.0)
}

#[test]
fn the_default_file_reads_back_as_the_defaults() {
    assert_eq!(built(&print_default()), Ok(Config::default()));
}

#[test]
fn the_examples_of_the_default_file_are_accepted() {
    let text: String = print_default().lines().map(|line| uncommented(line) + "\n").collect();
    let config = built(&text).expect("every example is right");
    assert!(config.tls.cert.is_some() && config.metrics_listen.is_some() && config.server.public_url.is_some());
}

/// `#key = value` without its `#`; comments have a space behind theirs.
fn uncommented(line: &str) -> String {
    match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    }
}

#[test]
fn the_example_file_is_the_default_file() {
    crate::cli::generated("examples/kalends.toml", &print_default());
}

#[test]
fn complaints_name_line_key_and_remedy() {
    let cases = [
        (
            "[server]\n\nlisen = \"127.0.0.1:1\"\n",
            "kalends.toml line 3: [server] has no setting `lisen`; is `listen` meant?",
        ),
        ("[sever]\nlisten = \"127.0.0.1:1\"\n", "kalends.toml line 2: there is no section [sever]"),
        ("[server]\nlisten = 80\n", "kalends.toml line 2: [server] listen: must be a text in quotes, and not empty"),
        (
            "[store]\nengine = \"mysql\"\n",
            "kalends.toml line 2: [store] engine: `mysql` is no engine: use \"sled\" or \"fjall\"",
        ),
        (
            "[limits]\nbody_bytes_max = -1\n",
            "kalends.toml line 2: [limits] body_bytes_max: `-1` is no whole number from 0 up",
        ),
        ("listen = \"x\"\n", "kalends.toml line 1: `listen` stands outside of any section such as [server]"),
        (
            "[bus.kafka]\ntopic = \"a b\"\n",
            "kalends.toml line 2: [bus.kafka] topic: `a b` is no name for Kafka: letters, digits, `.`, `_`, `-`",
        ),
        (
            "[bus.kafka.ingest]\ntopik = \"x\"\n",
            "kalends.toml line 2: [bus.kafka.ingest] has no setting `topik`; is `topic` meant?",
        ),
        ("[bus.kafak]\ntopic = \"x\"\n", "kalends.toml line 1: there is no section [bus.kafak]"),
        ("[tls]\ncert = \"a.pem\"\n", "[tls] needs both `cert` and `key`, or neither"),
    ];
    for (text, message) in cases {
        assert_eq!(built(text), Err(message.to_owned()));
    }
    assert!(built("[server\n").expect_err("no TOML").starts_with("kalends.toml line 1: "));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut raw = Raw::default();
    raw.read_text("f", "[server]\nlisten = \"a:1\"\n[log]\nlevel = \"warn\"\n[limits]\naces_max = 7\n").expect("right");
    raw.read_environment(|name| match name {
        "KALENDS_LISTEN" => Some("b:2".to_owned()),
        "KALENDS_LOG_LEVEL" => Some("debug".to_owned()),
        "KALENDS_BUS_KAFKA_INGEST_TOPIC" => Some("meetings".to_owned()),
        "KALENDS_LIMITS_LOCKS_MAX" => Some("9".to_owned()),
        "KALENDS_TRUSTED_PROXIES" => Some("10.0.0.0/8, ::1".to_owned()),
        _ => None,
    })
    .expect("right");
    raw.set_flag("server", "listen", "c:3", "--listen").expect("right");
    let config = Config::build(&raw).expect("right");
    assert_eq!(config.server.listen, "c:3");
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.kafka.ingest.topic.as_deref(), Some("meetings"));
    assert_eq!((config.limits.aces_max, config.limits.locks_max), (7, 9));
    assert_eq!(config.server.trusted_proxies.len(), 2);
}
