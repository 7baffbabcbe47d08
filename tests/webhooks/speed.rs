//! How fast it is: printed, with `KALENDS_WEBHOOK_SPEED=1` in the environment for real numbers.

use std::time::Instant;

use kalends::service::webhooks::NewEndpoint;

use crate::house::{House, quick};
use crate::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_a_second() {
    let (events, endpoints) = if std::env::var("KALENDS_WEBHOOK_SPEED").is_ok() { (2_000, 10) } else { (100, 4) };
    let mut house = House::silent(quick(&[0, 1_000])).await;
    let mut receivers = Vec::new();
    for _ in 0..endpoints {
        let receiver = Receiver::good().await;
        let new = house.new_endpoint(&receiver.url()).await;
        house.add(NewEndpoint { ..new }).await;
        receivers.push(receiver);
    }
    house.many(events).await;
    let begun = Instant::now();
    house.start();
    for receiver in &receivers {
        receiver.wait_for(events).await;
    }
    let took = begun.elapsed();
    println!(
        "{} deliveries in {took:?}: {:.0} a second",
        events * endpoints,
        (events * endpoints) as f64 / took.as_secs_f64()
    );
    for receiver in &receivers {
        assert_eq!(receiver.count(), events, "each once");
    }
}
