//! Many copies of one meeting become the meeting: the rules one by one, and random histories in random orders.

mod histories;
mod ingested;
mod rules;
mod world;
