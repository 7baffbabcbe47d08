//! The store's contract, the same on every engine, told from outside.

mod contract;
mod model;
mod support;
mod writers;
