//! The contract on Kafka, and its faults.

mod bench;
mod faults;

use bench::Kafka;
use rdkafka::mocking::MockCluster;

use crate::contract;

/// On librdkafka's own mock cluster: no other process.
#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_bus_keeps_the_contract() {
    let cluster = MockCluster::new(3).expect("it starts");
    for topic in ["kalends.changes", "kalends.dead"] {
        cluster.create_topic(topic, 6, 3).expect("it is made");
    }
    let mut bench = Kafka::new(&cluster.bootstrap_servers(), "kalends.changes", "kalends.dead").await;
    contract::all(&mut bench).await;
}

/// On a broker on the network: `scripts/test kafka` starts one and says where it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_bus_keeps_the_contract_over_the_network() {
    let brokers = std::env::var("KALENDS_TEST_BROKERS");
    let brokers = brokers.expect("KALENDS_TEST_BROKERS says where a broker is; `scripts/test kafka` starts one");
    let run = std::process::id();
    let mut bench = Kafka::new(&brokers, &format!("changes-{run}"), &format!("dead-{run}")).await;
    contract::all(&mut bench).await;
}
