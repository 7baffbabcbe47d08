//! Layer 1: XML as WebDAV uses it: requests into a small tree, answers through a streaming writer. Namespaces are
//! resolved, entities and DTDs refused, depth and size bounded. No HTTP and no meaning of elements here.
//!
//! What is kept of a document (RFC 4918 §4.3 asks it for dead properties): expanded names, attributes with
//! theirs, character data and the order of it all. What is not: prefixes, comments, processing instructions,
//! and how a character was escaped.

mod decode;
mod escape;
pub mod ns;
mod parse;
mod tree;
mod writer;

#[cfg(test)]
mod tests;

pub use parse::parse;
pub use tree::{Element, Name, Node, XmlError};
pub use writer::{Mark, Writer};
