//! The reports of RFC 3744 §9 about principals, and the search of calendarserver.org. What strangers learn by them is
//! decided in [`directory`].

use std::sync::Arc;

use http::StatusCode;

use crate::access::Actor;
use crate::dav::multistatus::{Multistatus, xml_response};
use crate::dav::props::{Asked, Property, Sight, Style, Target, respond};
use crate::dav::{Failure, Request, Response, body_of};
use crate::model::{AcePrincipal, Path, Precondition, Principal, Privilege};
use crate::service::directory::{Field, Found, Match, Test};
use crate::service::tree::{self, Resource};
use crate::service::{Context, Error, collections, directory};
use crate::xml::{Element, Node, Writer, ns};

/// How many objects are read at a time.
const PAGE: usize = 500;

/// The properties that can be searched, with what they are called for people.
const SEARCHABLE: &[(&str, &str, Field, &str)] = &[
    (ns::DAV, "displayname", Field::Name, "Name"),
    (ns::CALDAV, "calendar-user-address-set", Field::Address, "Calendar address"),
    (ns::CS, "email-address-set", Field::Address, "Mail address"),
    (ns::CALDAV, "calendar-user-type", Field::Type, "Kind of calendar user"),
];

/// Who asks where, and how the answer should look.
struct Question {
    actor: Actor,
    path: Path,
    style: Style,
}

impl Question {
    /// These reports are defined for Depth 0 alone, which is also what no Depth means.
    fn of(request: Request) -> Result<Self, Error> {
        match request.header("depth") {
            None | Some("0") => {}
            Some(_) => return Err(Error::BadRequest("this report is defined for Depth 0 only (RFC 3744 §9)".into())),
        }
        Ok(Self { actor: request.actor, style: Style::of(&request.headers), path: request.path })
    }
}

/// DAV:principal-property-search (§9.4), with the attributes `test` and `match-type` that clients send. Without a
/// DAV:property-search it names everybody whom the asker may know of.
///
/// # Errors
/// 400 for another Depth than 0; DAV:number-of-matches-within-limits.
pub async fn property_search(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let asking = Question::of(request)?;
    tree::resolve(context, asking.actor, &asking.path).await?;
    let tests: Vec<Test> = root.children().filter(|e| e.is(ns::DAV, "property-search")).flat_map(tests).collect();
    let groups = match root.attribute("test") {
        Some("anyof") if !tests.is_empty() => vec![tests],
        _ => tests.into_iter().map(|test| vec![test]).collect(),
    };
    let everywhere = root.child(ns::DAV, "apply-to-principal-collection-set").is_some();
    let found = match everywhere || holds_principals(&asking.path) {
        true if groups.is_empty() => {
            Found { principals: directory::visible(context, asking.actor).await?, more: false }
        }
        true => directory::search(context, asking.actor, &groups).await?,
        false => Found { principals: Vec::new(), more: false },
    };
    if found.more {
        let message = "too many principals match; search for more of the name or address";
        return Err(Error::precondition(Precondition::NumberOfMatchesWithinLimits, message).into());
    }
    principals_response(context, &asking, &with_names_in_prop(root), &found.principals).await
}

/// The report with the names that stand beside an empty DAV:prop put into it: python-caldav writes them so, and they mean
/// nothing else there.
fn with_names_in_prop(root: &Element) -> Element {
    let mut root = root.clone();
    if root.child(ns::DAV, "prop").is_none_or(|prop| prop.children().next().is_some()) {
        return root;
    }
    let own = ["prop", "property-search", "apply-to-principal-collection-set"];
    let beside = |e: &&Element| !(e.name.ns == ns::DAV && own.contains(&e.name.local.as_str()));
    let names: Vec<Node> = root.children().filter(beside).cloned().map(Node::Element).collect();
    for node in &mut root.nodes {
        if let Node::Element(prop) = node
            && prop.is(ns::DAV, "prop")
        {
            prop.nodes.clone_from(&names);
        }
    }
    root
}

/// Whether principals lie at the path or below.
fn holds_principals(path: &Path) -> bool {
    matches!(path, Path::Root | Path::Dav | Path::Principals)
}

/// The tests of a DAV:property-search: one for each property named.
fn tests(search: &Element) -> Vec<Test> {
    let matched = search.child(ns::DAV, "match");
    let kind = matched.and_then(|e| e.attribute("match-type")).or_else(|| search.attribute("match-type"));
    let how = match kind {
        Some("starts-with") => Match::StartsWith,
        Some("ends-with") => Match::EndsWith,
        Some("equals") => Match::Equals,
        _ => Match::Contains,
    };
    let text = matched.map(Element::text).unwrap_or_default().trim().to_owned();
    let named = search.child(ns::DAV, "prop").into_iter().flat_map(Element::children);
    named.map(|name| Test { field: field(name), text: text.clone(), how }).collect()
}

fn field(property: &Element) -> Field {
    let known = SEARCHABLE.iter().find(|(namespace, local, ..)| property.is(namespace, local));
    known.map_or(Field::Other, |(_, _, field, _)| *field)
}

/// CS:calendarserver-principal-search: every token stands in a name or an address.
///
/// # Errors
/// As [`property_search`]; a CS:limit shortens the answer instead.
pub async fn token_search(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let asking = Question::of(request)?;
    tree::resolve(context, asking.actor, &asking.path).await?;
    let tokens = root.children().filter(|e| e.is(ns::CS, "search-token")).map(|e| e.text().trim().to_owned());
    let one = |field, text: &str| Test { field, text: text.to_owned(), how: Match::Contains };
    let groups: Vec<Vec<Test>> = tokens
        .filter(|token| !token.is_empty())
        .map(|token| vec![one(Field::Name, &token), one(Field::Address, &token)])
        .collect();
    // There are people here, and neither rooms nor resources.
    let people = matches!(root.attribute("context"), None | Some("user" | "attendee"));
    let mut found = match people {
        true => directory::search(context, asking.actor, &groups).await?.principals,
        false => Vec::new(),
    };
    let limit = root.child(ns::CS, "limit").and_then(|limit| limit.child(ns::CS, "nresults"));
    if let Some(most) = limit.and_then(|most| most.text().trim().parse().ok()) {
        found.truncate(most);
    }
    principals_response(context, &asking, root, &found).await
}

/// DAV:principal-search-property-set (§9.5): what can be searched.
///
/// # Errors
/// 400 for another Depth than 0, and those of [`tree::resolve`].
pub async fn search_property_set(context: &Arc<Context>, request: Request) -> Result<Response, Failure> {
    let asking = Question::of(request)?;
    tree::resolve(context, asking.actor, &asking.path).await?;
    let mut writer = Writer::document(ns::DAV, "principal-search-property-set");
    for (namespace, local, _, description) in SEARCHABLE {
        writer.open(ns::DAV, "principal-search-property");
        writer.open(ns::DAV, "prop").empty(namespace, local).close();
        writer.open(ns::DAV, "description").attribute("xml:lang", "en").text(description).close();
        writer.close();
    }
    Ok(xml_response(StatusCode::OK, body_of(writer.finish())))
}

/// DAV:acl-principal-prop-set (§9.2): the principals in a list, each once, its owner among them.
///
/// # Errors
/// 400 for another Depth than 0; without DAV:read-acl.
pub async fn acl_principal_prop_set(
    context: &Arc<Context>,
    request: Request,
    root: &Element,
) -> Result<Response, Failure> {
    let asking = Question::of(request)?;
    let ids = match tree::resolve(context, asking.actor, &asking.path).await? {
        Resource::Fixed(_) => Vec::new(),
        Resource::Principal(principal) => vec![principal.id],
        Resource::Collection(node) | Resource::Object(node, _) => {
            node.require(Privilege::ReadAcl)?;
            let lists = node.inherited().map(|(_, list)| list).chain([node.collection.acl.as_slice()]);
            let users = lists.flatten().filter_map(|ace| match ace.principal {
                AcePrincipal::User(id) => Some(id),
                _ => None,
            });
            [node.collection.owner].into_iter().chain(users).collect()
        }
    };
    let mut principals: Vec<Principal> = Vec::new();
    for id in ids {
        if principals.iter().all(|known| known.id != id) {
            principals.extend(directory::by_id(context, id).await?);
        }
    }
    principals_response(context, &asking, root, &principals).await
}

/// A response for each of the principals.
async fn principals_response(
    context: &Arc<Context>,
    asking: &Question,
    root: &Element,
    principals: &[Principal],
) -> Result<Response, Failure> {
    let asked = Asked::of_report(root, &context.limits)?.of_each(&context.limits)?;
    let mut sight = Sight::new(context, asking.actor, &asked).await?;
    let mut out = Multistatus::new();
    for principal in principals {
        let target = Target::Principal(principal);
        sight.prepare(target).await?;
        one(&mut out, &sight, target, &asked, asking.style);
    }
    Ok(out.into_response())
}

/// Writes a match: its properties, or only that it matches if none were asked for (§9.3.1).
fn one(out: &mut Multistatus, sight: &Sight, target: Target<'_>, asked: &Asked, style: Style) {
    match asked {
        Asked::These(none) if none.is_empty() => out.status(&target.path().href(), StatusCode::OK, None),
        _ => respond(out.writer(), sight, target, asked, style, None),
    }
}

/// DAV:principal-match (§9.3): the members that are the current user, or whose property names the current user.
///
/// # Errors
/// 400 for another Depth than 0 or a body that says neither; those of [`tree::resolve`].
pub async fn principal_match(context: &Arc<Context>, request: Request, root: Element) -> Result<Response, Failure> {
    let asking = Question::of(request)?;
    let resource = tree::resolve(context, asking.actor, &asking.path).await?;
    let asked = Asked::of_report(&root, &context.limits)?.of_each(&context.limits)?;
    let sight = Sight::new(context, asking.actor, &asked).await?;
    let matching = Matching { sight, asked, style: asking.style };
    if root.child(ns::DAV, "self").is_some() {
        return matching.own(&asking.path).await;
    }
    let Some(property) = root.child(ns::DAV, "principal-property").and_then(|p| p.children().next()) else {
        return Err(Error::BadRequest("a DAV:principal-match holds DAV:self or DAV:principal-property".into()).into());
    };
    let property = Property::of(&property.name);
    match resource {
        Resource::Collection(node) if matching.names_viewer(&property, &node) => {
            Multistatus::stream(move |out| matching.members(out, node)).await
        }
        Resource::Fixed(_) if property.name() == (ns::DAV, "principal-URL") => matching.own(&asking.path).await,
        _ => Ok(Multistatus::new().into_response()),
    }
}

struct Matching {
    sight: Sight,
    asked: Asked,
    style: Style,
}

impl Matching {
    /// The principal of the current user, if it lies at `path` or below.
    async fn own(self, path: &Path) -> Result<Response, Failure> {
        let mut out = Multistatus::new();
        if let Some(viewer) = &self.sight.viewer
            && (holds_principals(path) || *path == Path::Principal(viewer.name.clone()))
        {
            one(&mut out, &self.sight, Target::Principal(viewer), &self.asked, self.style);
        }
        Ok(out.into_response())
    }

    /// Whether the property names the current user on everything in the collection: an owner owns all that is in a
    /// room.
    fn names_viewer(&self, property: &Property, node: &tree::Node) -> bool {
        match property.name() {
            (ns::DAV, "owner") => self.sight.actor.principal() == Some(node.collection.owner),
            (ns::DAV, "current-user-principal") => self.sight.viewer.is_some(),
            _ => false,
        }
    }

    /// Everything in the collection, at any depth.
    async fn members(mut self, mut out: Multistatus, node: tree::Node) -> Result<Multistatus, Failure> {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let children = tree::children(&self.sight.context, self.sight.actor, &node).await?;
            for child in &children {
                self.sight.prepare(Target::Collection(child)).await?;
                one(&mut out, &self.sight, Target::Collection(child), &self.asked, self.style);
            }
            open.extend(children);
            if node.privileges.has(Privilege::Read) {
                self.objects(&mut out, &node).await?;
            }
        }
        Ok(out)
    }

    async fn objects(&mut self, out: &mut Multistatus, node: &tree::Node) -> Result<(), Failure> {
        self.sight.prepare(Target::Collection(node)).await?;
        let mut after: Option<String> = None;
        loop {
            let page = collections::objects(&self.sight.context, node, after.as_deref(), PAGE).await?;
            for object in &page.rows {
                one(out, &self.sight, Target::Object(node, object), &self.asked, self.style);
                out.flush().await?;
            }
            after = page.rows.into_iter().next_back().map(|object| object.name);
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }
}
