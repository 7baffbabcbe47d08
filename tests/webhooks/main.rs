//! Delivery from a committed change to a receiver's socket, with everything that receivers do wrong.

#[path = "../common/mod.rs"]
mod common;
mod endings;
mod house;
mod lives;
mod receiver;
mod speed;
mod ssrf;
mod telling;
mod vectors;
