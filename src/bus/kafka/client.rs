//! What every client of the cluster is told, and how librdkafka's errors read as ours.

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::base::Secret;
use crate::bus::BusError;

/// How the cluster is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The brokers to ask first, `host:port` with commas between them.
    pub brokers: String,
    /// What this client calls itself in the brokers' logs.
    pub client_id: String,
    /// Settings of librdkafka: names and values, over ours.
    pub properties: Secret<Vec<(String, String)>>,
}

impl Settings {
    /// A configuration for a client; `ours` first, the administrator's properties over it.
    pub(super) fn client(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        for (name, value) in ours {
            config.set(*name, *value);
        }
        for (name, value) in self.properties.expose() {
            config.set(name, value);
        }
        config
    }
}

/// The error as one of the bus's.
pub(super) fn bus_error(error: &KafkaError) -> BusError {
    use RDKafkaErrorCode as Code;
    let text = error.to_string();
    if let KafkaError::ClientConfig(_, description, name, _) = error {
        // The value may be a password.
        return BusError::Config(format!("[bus.kafka] properties: {name}: {description}"));
    }
    if let KafkaError::AdminOp(_) = error {
        return BusError::Unavailable(text);
    }
    let Some(code) = error.rdkafka_error_code() else { return BusError::Broken(text) };
    match code {
        Code::Fatal | Code::UnknownProducerId | Code::OutOfOrderSequenceNumber | Code::GaplessGuarantee => {
            BusError::Broken(text)
        }
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress
        | Code::AssignmentLost
        | Code::State
        | Code::FencedInstanceId => BusError::Lost(text),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism => BusError::Config(format!("the brokers refuse: {text}")),
        _ => BusError::Unavailable(text),
    }
}
