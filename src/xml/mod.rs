//! Layer 1: XML as WebDAV uses it: requests into a small tree, answers through a streaming writer. Namespaces are
//! resolved, entities and DTDs refused, depth and size bounded. No HTTP and no meaning of elements here.

pub mod ns;
mod tree;
mod writer;

pub use tree::{Element, Name, Node, XmlError, parse};
pub use writer::Writer;
