//! Feeds and upstream CalDAV servers, whole exchanges over HTTP: with fakes that fail in every way, and with Kalends itself as the
//! server upstream.

mod carried;
#[path = "../fakes/mod.rs"]
mod fakes;
mod feeds;
mod forms;
mod puller;
mod ranges;
mod samples;
#[path = "../sockets/mod.rs"]
mod sockets;
mod told;
mod upstream;
#[path = "../merge/world.rs"]
#[allow(dead_code, reason = "made for another binary")]
mod world;
