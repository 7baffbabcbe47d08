//! The store's contract, the same on every engine, told from outside.

mod contract;
mod faults;
mod model;
mod place;
mod support;
mod writers;
