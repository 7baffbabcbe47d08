//! DAV:expand-property (RFC 3253 §3.8): properties whose values are hrefs, with properties of what the hrefs name in the place
//! of each. Asked by clients for things that are not here too (proxies), so an answer without any value is a right one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::access::Actor;
use crate::dav::acl::path_of_href;
use crate::dav::multistatus::Multistatus;
use crate::dav::props::{Asked, Property, Sight, Style, Target, respond};
use crate::dav::{Failure, Request, Response};
use crate::model::{Path, Precondition};
use crate::service::{Context, Error, tree};
use crate::xml::{self, Element, Name, Node, Writer, ns};

/// A property, and what is wanted of the resources that it names.
struct Wanted {
    name: Name,
    inside: Vec<Wanted>,
}

/// What one answer may still hold.
struct Expansion {
    context: Arc<Context>,
    actor: Actor,
    style: Style,
    left: u64,
}

/// Answers the report.
///
/// # Errors
/// Those of [`tree::resolve`]; DAV:number-of-matches-within-limits for more resources than a search may find.
pub async fn expand_property(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let mut expansion = Expansion {
        context: Arc::clone(context),
        actor: request.actor,
        style: Style::of(&request.headers),
        left: context.limits.search_results_max,
    };
    let mut out = Multistatus::new();
    let response = expansion.response(&request.path, &wanted(root)).await?;
    out.writer().raw(&response.to_xml());
    Ok(out.into_response())
}

fn wanted(parent: &Element) -> Vec<Wanted> {
    let properties = parent.children().filter(|child| child.is(ns::DAV, "property"));
    let named = properties.filter_map(|property| {
        let local = property.attribute("name")?;
        let namespace = property.attribute("namespace").unwrap_or(ns::DAV);
        Some(Wanted { name: Name::new(namespace, local), inside: wanted(property) })
    });
    named.filter(|wanted| is_name(&wanted.name.local)).collect()
}

/// Whether the text can be an element's name: it comes from an attribute, where anything can stand.
fn is_name(local: &str) -> bool {
    local.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && local.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

impl Expansion {
    /// The response for what is at `path`.
    fn response<'a>(
        &'a mut self,
        path: &'a Path,
        wanted: &'a [Wanted],
    ) -> Pin<Box<dyn Future<Output = Result<Element, Failure>> + Send + 'a>> {
        Box::pin(async move {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let message = "the properties lead to too many resources (limit search_results_max)";
                Error::precondition(Precondition::NumberOfMatchesWithinLimits, message)
            })?;
            let resource = tree::resolve(&self.context, self.actor, path).await?;
            let mut response = self.plain(Target::from(&resource), wanted).await?;
            self.expand(&mut response, wanted).await?;
            Ok(response)
        })
    }

    /// The response as a PROPFIND would give it.
    async fn plain(&self, target: Target<'_>, wanted: &[Wanted]) -> Result<Element, Failure> {
        let mut properties: Vec<Property> = Vec::new();
        for property in wanted.iter().map(|wanted| Property::of(&wanted.name)) {
            if !properties.contains(&property) {
                properties.push(property);
            }
        }
        let asked = Asked::These(properties);
        let mut sight = Sight::new(&self.context, self.actor, &asked).await?;
        sight.prepare(target).await?;
        let mut writer = Writer::document(ns::DAV, "multistatus");
        respond(&mut writer, &sight, target, &asked, self.style, None);
        let document =
            xml::parse(&writer.finish(), &self.context.limits).map_err(|e| Error::BadRequest(e.to_string()))?;
        let response = document.children().next().cloned();
        Ok(response.unwrap_or_else(|| Element::new(ns::DAV, "response")))
    }

    /// Puts responses in the place of the hrefs.
    async fn expand(&mut self, response: &mut Element, wanted: &[Wanted]) -> Result<(), Failure> {
        let propstats = elements(response).filter(|element| element.is(ns::DAV, "propstat"));
        let props = propstats.flat_map(elements).filter(|element| element.is(ns::DAV, "prop"));
        for property in props.flat_map(elements).collect::<Vec<_>>() {
            let Some(Wanted { inside, .. }) = wanted.iter().find(|wanted| wanted.name == property.name) else {
                continue;
            };
            if inside.is_empty() {
                continue;
            }
            for href in elements(property).filter(|element| element.is(ns::DAV, "href")).collect::<Vec<_>>() {
                let Some(path) = path_of_href(href.text().trim()) else { continue };
                match self.response(&path, inside).await {
                    Ok(response) => *href = response,
                    // What cannot be seen stays an href.
                    Err(failure) if matches!(failure.condition, None | Some(Precondition::NeedPrivileges(_))) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(())
    }
}

fn elements(parent: &mut Element) -> impl Iterator<Item = &mut Element> {
    parent.nodes.iter_mut().filter_map(|node| match node {
        Node::Element(element) => Some(element),
        Node::Text(_) => None,
    })
}
