//! The bus: one suite of what every transport promises (`contract`), run on the embedded bus here and on Kafka with the
//! feature `kafka` (against librdkafka's own mock cluster, and against a broker on the network where one is).

mod contract;
mod embedded;
#[cfg(feature = "kafka")]
mod kafka;
mod support;
