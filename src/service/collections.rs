//! Collections: what is in them, making them, changing their properties and their grants.

use super::tree::Node;
use super::{Context, Error};
use crate::model::{Object, Privilege};
use crate::store::Page;

/// A page of the objects in a collection, by name from behind `after`, without their bytes.
///
/// # Errors
/// Without DAV:read on the collection; of the store.
pub async fn objects(context: &Context, node: &Node, after: Option<&str>, limit: usize) -> Result<Page<Object>, Error> {
    node.require(Privilege::Read)?;
    Ok(context.store.objects(node.collection.id, after, limit).await?)
}
