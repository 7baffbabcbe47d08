//! The store's contract, the same on every engine, told from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod faults;
mod model;
mod place;
mod rows;
mod support;
mod writers;
