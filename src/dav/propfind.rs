//! PROPFIND (RFC 4918 §9.1), with the preferences of RFC 8144.
//!
//! Depth: infinity is refused on collections (`DAV:propfind-finite-depth`), since a user's files can be many. Without a Depth the
//! RFC means infinity and several clients mean what they can get, so they get 1 on collections; principals and the fixed
//! collections answer for themselves alone.

use std::sync::Arc;

use http::HeaderValue;

use super::multistatus::Multistatus;
use super::props::{Asked, Sight, Style, Target, respond};
use super::{Failure, Request, Response};
use crate::access::Actor;
use crate::model::{Object, Path, Precondition, Privilege, TrailingSlash};
use crate::service::tree::{self, Node, Resource};
use crate::service::{Context, Error, collections, directory};

/// How many objects are read at a time.
const PAGE: usize = 500;
/// Up to how many members an answer is kept whole.
const SHORT: u64 = 50;

/// How far down a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
}

/// Answers a PROPFIND.
///
/// # Errors
/// 400 for a body that asks for nothing, 401, 403 and 404 as [`tree::resolve`], 403 for Depth infinity, and for more properties than
/// each of many members can be asked for.
pub async fn propfind(context: &Arc<Context>, mut request: Request) -> Result<Response, Failure> {
    let body = request.xml(&context.limits).await?;
    let resource = tree::resolve(context, request.actor, &request.path).await?;
    let asked = Asked::of_propfind(body.as_ref(), &context.limits)?;
    let depth = depth_of(&request, &resource)?;
    let asked = if depth == Depth::One { asked.of_each(&context.limits)? } else { asked };
    let style = Style::of(&request.headers);
    let sight = Sight::new(context, request.actor, &asked).await?;
    let listing = Listing { sight, asked, style };
    let short = depth == Depth::Zero || members_of(&resource) <= SHORT;
    let mut response = if short {
        listing.write(Multistatus::new(), resource, depth).await?.into_response()
    } else {
        Multistatus::stream(move |out| listing.write(out, resource, depth)).await?
    };
    if let Some(applied) = style.applied() {
        response.headers_mut().insert("preference-applied", HeaderValue::from_static(applied));
    }
    Ok(response)
}

/// The Depth that is meant.
fn depth_of(request: &Request, resource: &Resource) -> Result<Depth, Error> {
    let alone = matches!(resource, Resource::Principal(_) | Resource::Object(..));
    let header = request.header("depth").map(str::to_ascii_lowercase);
    let header = header.as_deref().map(|depth| depth.split(',').next().unwrap_or_default().trim());
    match header {
        Some("0") => Ok(Depth::Zero),
        Some("1") => Ok(Depth::One),
        None if alone || matches!(resource, Resource::Fixed(_)) => Ok(Depth::Zero),
        None => Ok(Depth::One),
        Some("infinity") if alone => Ok(Depth::Zero),
        Some("infinity") => Err(Error::precondition(
            Precondition::PropfindFiniteDepth,
            "a PROPFIND goes down one level at most: ask with Depth 0 or 1",
        )),
        Some(other) => {
            Err(Error::BadRequest(format!("the Depth `{}` is none of 0, 1 and infinity", other.escape_debug())))
        }
    }
}

/// How many objects a listing of the resource has; collections in it are few.
fn members_of(resource: &Resource) -> u64 {
    match resource {
        Resource::Collection(node) => node.collection.objects,
        _ => 0,
    }
}

/// A listing that is being written.
struct Listing {
    sight: Sight,
    asked: Asked,
    style: Style,
}

impl Listing {
    async fn write(mut self, mut out: Multistatus, root: Resource, depth: Depth) -> Result<Multistatus, Failure> {
        if depth == Depth::Zero || !self.style.noroot {
            self.respond(&mut out, Target::from(&root)).await?;
        }
        if depth == Depth::One {
            match &root {
                Resource::Fixed(path) => self.fixed(&mut out, path).await?,
                Resource::Collection(node) => self.members(&mut out, node).await?,
                Resource::Principal(_) | Resource::Object(..) => {}
            }
        }
        Ok(out)
    }

    async fn respond(&mut self, out: &mut Multistatus, target: Target<'_>) -> Result<(), Failure> {
        self.sight.prepare(target).await?;
        respond(out.writer(), &self.sight, target, &self.asked, self.style, None);
        Ok(out.flush().await?)
    }

    /// Collections first, then objects by name.
    async fn members(&mut self, out: &mut Multistatus, node: &Node) -> Result<(), Failure> {
        for child in tree::children(&self.sight.context, self.sight.actor, node).await? {
            self.respond(out, Target::Collection(&child)).await?;
        }
        if !node.privileges.has(Privilege::Read) {
            return Ok(());
        }
        self.sight.prepare(Target::Collection(node)).await?;
        if let Some(objects) = collections::listed(&self.sight.context, node).await? {
            for object in &objects {
                self.object(out, node, object).await?;
            }
            return Ok(());
        }
        let mut after: Option<String> = None;
        loop {
            let page = collections::objects(&self.sight.context, node, after.as_deref(), PAGE).await?;
            for object in &page.rows {
                self.object(out, node, object).await?;
            }
            after = page.rows.into_iter().next_back().map(|object| object.name);
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn object(&self, out: &mut Multistatus, node: &Node, object: &Object) -> Result<(), Failure> {
        respond(out.writer(), &self.sight, Target::Object(node, object), &self.asked, self.style, None);
        Ok(out.flush().await?)
    }

    /// What the actor may know of in a fixed collection.
    async fn fixed(&mut self, out: &mut Multistatus, path: &Path) -> Result<(), Failure> {
        let rooms: &[Path] = match path {
            Path::Root => &[Path::Dav],
            Path::Dav => &[Path::Principals, Path::Homes, Path::FileRoots],
            _ => &[],
        };
        for room in rooms {
            self.respond(out, Target::Fixed(room)).await?;
        }
        if !matches!(path, Path::Principals | Path::Homes | Path::FileRoots) {
            return Ok(());
        }
        for principal in directory::visible(&self.sight.context, self.sight.actor).await? {
            let below = match path {
                Path::Principals => Path::Principal(principal.name.clone()),
                Path::Homes => Path::Home(principal.name.clone()),
                _ => Path::File(principal.name.clone(), Vec::new(), TrailingSlash::Yes),
            };
            self.known(out, &below).await?;
        }
        Ok(())
    }

    async fn known(&mut self, out: &mut Multistatus, path: &Path) -> Result<(), Failure> {
        let actor: Actor = self.sight.actor;
        match tree::resolve(&self.sight.context, actor, path).await {
            Ok(resource) => self.respond(out, Target::from(&resource)).await,
            Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
