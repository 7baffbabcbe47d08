//! Properties, collections, access and principals, through the dispatcher.

#[path = "../common/mod.rs"]
mod common;

mod acl;
mod answers;
mod make;
mod principals;
mod propfind;
mod proppatch;
