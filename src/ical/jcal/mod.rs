//! jCal (RFC 7265): the tree as JSON and back.
//!
//! A component is `[name, properties, components]`, a property `[name, parameters, type, value, …]`. What a value's
//! type says it is, but what cannot be read as such, travels as type `unknown`, raw, so that nothing is lost.
//! Properties come out before components, names in upper case and escapes in their canonical form; apart from
//! that, a tree that goes to jCal and back is the same.

mod kind;
mod read;
mod write;

pub use read::{from_jcal, parse_jcal};
pub use write::to_jcal;

#[cfg(test)]
mod tests;
