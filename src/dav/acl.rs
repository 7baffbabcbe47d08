//! ACL (RFC 3744 §8.1): the grants on a collection, replaced as a whole. Grants only, no inversion
//! (DAV:acl-restrictions says so); what stands on a home is inherited by its calendars.
//!
//! Entries that are marked as protected or inherited are passed over: clients that edit what DAV:acl showed them send those
//! back as they were, and they are not this list's to change.
//!
//! A user who grants something learns from `DAV:recognized-principal` whether a name is a user's. That cannot be helped
//! where sharing is by name; it takes a login and an own collection.

use std::sync::Arc;

use super::headers::conditions;
use super::{Failure, Request, Response, empty_body, privilege_name};
use crate::model::{Ace, AcePrincipal, Path, Precondition, Privilege, Privileges};
use crate::service::{Context, Error, collections, tree};
use crate::xml::{Element, ns};

/// Answers an ACL request.
///
/// # Errors
/// 400 for a body that is no DAV:acl, the preconditions of RFC 3744 §8.1.1, and those of [`collections::set_acl`].
pub async fn acl(context: &Arc<Context>, mut request: Request) -> Result<Response, Failure> {
    let conditions = conditions(&request)?;
    let Some(root) = request.xml(&context.limits).await?.filter(|root| root.is(ns::DAV, "acl")) else {
        return Err(Error::BadRequest("the body of an ACL request is a DAV:acl".into()).into());
    };
    // Whoever may not change the list hears that, and nothing about its entries.
    if let tree::Resource::Collection(node) = tree::resolve(context, request.actor, &request.path).await? {
        node.require(Privilege::WriteAcl)?;
    }
    let own = root.children().filter(|ace| ace.is(ns::DAV, "ace") && !is_foreign(ace)).collect::<Vec<_>>();
    if own.len() as u64 > context.limits.aces_max {
        let message = format!("a list takes {} entries at most (limit aces_max)", context.limits.aces_max);
        return Err(Error::precondition(Precondition::LimitedNumberOfAces, message).into());
    }
    let mut list = Vec::new();
    for ace in own {
        list.push(entry(context, ace).await?);
    }
    collections::set_acl(context, request.actor, &request.path, &list, &conditions).await?;
    Ok(http::Response::new(empty_body()))
}

fn is_foreign(ace: &Element) -> bool {
    ace.child(ns::DAV, "protected").is_some() || ace.child(ns::DAV, "inherited").is_some()
}

async fn entry(context: &Context, ace: &Element) -> Result<Ace, Error> {
    if ace.child(ns::DAV, "invert").is_some() {
        return Err(Error::precondition(Precondition::NoInvert, "an entry cannot be for everybody but one"));
    }
    if ace.child(ns::DAV, "deny").is_some() {
        return Err(Error::precondition(
            Precondition::GrantOnly,
            "nothing is denied here: leave out the grant instead",
        ));
    }
    let missing = |what: &str| Error::BadRequest(format!("a DAV:ace without a DAV:{what}"));
    let principal = ace.child(ns::DAV, "principal").ok_or_else(|| missing("principal"))?;
    let grant = ace.child(ns::DAV, "grant").ok_or_else(|| missing("grant"))?;
    Ok(Ace { principal: grantee(context, principal).await?, grant: privileges(grant)? })
}

async fn grantee(context: &Context, principal: &Element) -> Result<AcePrincipal, Error> {
    let Some(who) = principal.children().next() else {
        return Err(Error::BadRequest("a DAV:principal that names nobody".into()));
    };
    let not_allowed = |why: &str| Err(Error::precondition(Precondition::AllowedPrincipal, why));
    match (who.name.ns.as_str(), who.name.local.as_str()) {
        (ns::DAV, "href") => user(context, who.text().trim()).await,
        (ns::DAV, "all") => Ok(AcePrincipal::All),
        (ns::DAV, "authenticated") => Ok(AcePrincipal::Authenticated),
        (ns::DAV, "property") if who.child(ns::DAV, "owner").is_some() => Ok(AcePrincipal::Owner),
        (ns::DAV, "unauthenticated") => not_allowed("nothing is granted to those who have not logged in"),
        _ => not_allowed("access is granted to principals by href, to all, to the authenticated and to the owner"),
    }
}

async fn user(context: &Context, href: &str) -> Result<AcePrincipal, Error> {
    let unknown = || Error::precondition(Precondition::RecognizedPrincipal, "this href is no principal's");
    match path_of_href(href) {
        Some(Path::Principal(name)) => match tree::principal(context, &name).await {
            Ok(principal) => Ok(AcePrincipal::User(principal.id)),
            Err(Error::NotFound) => Err(unknown()),
            Err(error) => Err(error),
        },
        _ => Err(unknown()),
    }
}

/// The path in an href, which may be a whole URL. Whose host it names is not looked at: principals of other servers do not
/// exist here.
pub fn path_of_href(href: &str) -> Option<Path> {
    let path = match href.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => href,
    };
    Path::parse(path.split(['?', '#']).next().unwrap_or_default()).ok()
}

fn privileges(grant: &Element) -> Result<Privileges, Error> {
    let mut granted = Privileges::NONE;
    for wanted in grant.children().filter(|child| child.is(ns::DAV, "privilege")).flat_map(Element::children) {
        let known = Privilege::EVERY.into_iter().find(|privilege| {
            let (namespace, local) = privilege_name(*privilege);
            wanted.is(namespace, local)
        });
        let Some(privilege) = known else {
            let name: String = wanted.name.local.chars().take(40).collect();
            let message = format!("there is no privilege `{}` here", name.escape_debug());
            return Err(Error::precondition(Precondition::NotSupportedPrivilege, message));
        };
        granted = granted.union(privilege.set());
    }
    if granted.is_empty() {
        return Err(Error::BadRequest("a DAV:grant without a privilege".into()));
    }
    Ok(granted)
}
