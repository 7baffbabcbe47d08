//! CALDAV:calendar-query and CALDAV:calendar-multiget (RFC 4791 §7.8, §7.9).

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;

use super::filter::{JCAL, data_request, filter};
use crate::access::Actor;
use crate::dav::headers::timezones;
use crate::dav::multistatus::Multistatus;
use crate::dav::props::{Asked, Sight, Style, Target, respond};
use crate::dav::{Failure, Request, Response};
use crate::filter::DataRequest;
use crate::model::{Path, Precondition, Privilege};
use crate::recur::Budget;
use crate::service::parsed::Content;
use crate::service::query::{self, Hit, Members, Need, Query, Reach, Search};
use crate::service::tree::{self, Resource};
use crate::service::zones::Floating;
use crate::service::{Context, Error};
use crate::xml::{Element, ns};

/// What is written for each object: properties, and its calendar data if it is asked for.
pub struct Wanted {
    asked: Asked,
    data: Option<DataRequest>,
    style: Style,
}

impl Wanted {
    /// Reads DAV:prop of a report, with CALDAV:calendar-data in it.
    ///
    /// # Errors
    /// Those of the properties' and of the data's grammar.
    pub fn of(root: &Element, request: &Request, context: &Context) -> Result<Self, Failure> {
        let data = root.child(ns::DAV, "prop").and_then(|prop| prop.child(ns::CALDAV, "calendar-data"));
        let mut data = data.map(data_request).transpose()?;
        if let Some(data) = &mut data {
            data.timezones = timezones(&request.headers);
        }
        let asked = Asked::of_report(root, &context.limits)?.of_each(&context.limits)?;
        let asked = asked.without(ns::CALDAV, "calendar-data");
        Ok(Self { asked, data, style: Style::of(&request.headers) })
    }

    /// The sight that its properties take.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn sight(&self, context: &Arc<Context>, actor: Actor) -> Result<Sight, Failure> {
        Ok(Sight::new(context, actor, &self.asked).await?)
    }

    /// Writes the response for one object.
    ///
    /// # Errors
    /// DAV:number-of-matches-within-limits if expanding it takes more than `budget` allows.
    pub async fn write(
        &self,
        out: &mut Multistatus,
        sight: &mut Sight,
        hit: &Hit,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        let target = Target::Object(&hit.node, &hit.object);
        sight.prepare(target).await?;
        match &self.data {
            None => respond(out.writer(), sight, target, &self.asked, self.style, None),
            Some(request) => {
                let text = hit.data(request, budget)?;
                // A broken object comes as it is stored, whatever was asked for.
                let jcal = request.jcal && matches!(hit.content, Content::Parsed(_));
                let mut extra = |writer: &mut crate::xml::Writer| {
                    writer.open(ns::CALDAV, "calendar-data");
                    if jcal {
                        writer.attribute("content-type", JCAL).attribute("version", "2.0");
                    }
                    writer.text(&text).close();
                };
                respond(out.writer(), sight, target, &self.asked, self.style, Some(&mut extra));
            }
        }
        Ok(())
    }

    /// What of an object's content the answer takes.
    fn need(&self) -> Need {
        match &self.data {
            None => Need::Nothing,
            Some(data) if *data == DataRequest::default() => Need::Text,
            Some(_) => Need::Parsed,
        }
    }

    /// Whether calendar data is asked for.
    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// The properties asked for.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// How the answer should look.
    pub fn style(&self) -> Style {
        self.style
    }
}

/// CALDAV:calendar-query on a calendar, a home, or one object.
///
/// # Errors
/// The preconditions of RFC 4791 §7.8.
pub async fn calendar_query(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let wanted = Wanted::of(root, &request, context)?;
    let element = root.child(ns::CALDAV, "filter");
    let element =
        element.ok_or_else(|| Error::precondition(Precondition::ValidFilter, "a calendar-query has a filter"))?;
    let query = Query {
        filter: filter(element, &context.limits)?,
        floating: floating(root, context)?,
        content: wanted.has_data(),
    };
    let mut sight = wanted.sight(context, request.actor).await?;
    let (actor, reach) = (request.actor, reach(&request));
    let mut search = match tree::resolve(context, actor, &request.path).await? {
        Resource::Object(node, object) => Search::one(context, node, object.into(), query),
        Resource::Collection(node) => {
            let nodes = query::calendars(context, actor, node, reach, Privilege::Read).await?;
            Search::new(context, nodes, query)
        }
        Resource::Fixed(_) | Resource::Principal(_) => return Err(Error::MethodNotAllowed("this resource").into()),
    };
    let (context, path) = (Arc::clone(context), request.path.clone());
    Multistatus::stream(move |mut out| async move {
        let mut budget = context.budget();
        loop {
            let step = match search.next(&context).await {
                Ok(None) => return Ok(out),
                Ok(Some(hit)) => wanted.write(&mut out, &mut sight, &hit, &mut budget).await,
                Err(error) => Err(error.into()),
            };
            match step {
                Ok(()) => out.flush().await?,
                // What is on its way cannot be taken back: the answer ends as one that was cut short.
                Err(failure) if out.has_started() && is_over_limit(&failure) => {
                    out.truncated(&path);
                    return Ok(out);
                }
                Err(failure) => return Err(failure),
            }
        }
    })
    .await
}

fn is_over_limit(failure: &Failure) -> bool {
    failure.condition == Some(Precondition::NumberOfMatchesWithinLimits)
}

/// The Depth of a calendar-query. On a calendar every Depth means its members: Windows' calendar sends 0 and means 1,
/// and a query that looks at the calendar alone could find nothing.
pub fn reach(request: &Request) -> Reach {
    match request.header("depth") {
        Some("0") => Reach::Itself,
        _ => Reach::Members,
    }
}

/// CALDAV:timezone (RFC 4791 §9.8) or CALDAV:timezone-id (RFC 7809 §6.2).
fn floating(root: &Element, context: &Context) -> Result<Option<Floating>, Failure> {
    if let Some(id) = root.child(ns::CALDAV, "timezone-id") {
        let zone = Floating::named(&id.text());
        let unknown = || {
            let message = format!("the time zone {:?} is not known", id.text().trim());
            Failure::from(Error::precondition(Precondition::ValidTimezoneId, message))
        };
        return zone.ok_or_else(unknown).map(Some);
    }
    let Some(element) = root.child(ns::CALDAV, "timezone") else { return Ok(None) };
    Ok(Some(Floating::of_text(&element.text(), &context.limits)?))
}

/// CALDAV:calendar-multiget: each place once in the answer, where it was named first, however often and in whatever spelling it is
/// named again (RFC 4918 §13: a multistatus names a resource once); what is not there with 404.
///
/// # Errors
/// 400 without an href, DAV:number-of-matches-within-limits with too many.
pub async fn calendar_multiget(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let wanted = Wanted::of(root, &request, context)?;
    let hrefs: Vec<String> =
        root.children().filter(|child| child.is(ns::DAV, "href")).map(|href| href.text().trim().to_owned()).collect();
    if hrefs.len() as u64 > context.limits.multiget_hrefs_max {
        let message = format!(
            "more than {} hrefs (limit multiget_hrefs_max); ask in several requests",
            context.limits.multiget_hrefs_max
        );
        return Err(Error::precondition(Precondition::NumberOfMatchesWithinLimits, message).into());
    }
    if hrefs.is_empty() {
        return Err(Error::BadRequest("a calendar-multiget names at least one DAV:href".into()).into());
    }
    // The resource itself must be there for the one who asks, whatever the hrefs.
    tree::resolve(context, request.actor, &request.path).await?;
    let mut sight = wanted.sight(context, request.actor).await?;
    let (context, base) = (Arc::clone(context), request.path.clone());
    let mut members = Members::new(request.actor, wanted.need());
    Multistatus::stream(move |mut out| async move {
        let mut budget = context.budget();
        let mut answered = HashSet::new();
        for href in hrefs {
            let place = path_of(&href).ok_or_else(|| href.clone());
            if !answered.insert(place.clone()) {
                continue;
            }
            let hit = match place {
                Ok(path) if base.same_place(&path) || base.contains(&path) => members.get(&context, &path).await?,
                _ => None,
            };
            match hit {
                Some(hit) => wanted.write(&mut out, &mut sight, &hit, &mut budget).await?,
                None => out.status(&href, StatusCode::NOT_FOUND, None),
            }
            out.flush().await?;
        }
        Ok(out)
    })
    .await
}

/// The path in a DAV:href: an absolute path, or a URL whose host is taken for ours.
pub fn path_of(href: &str) -> Option<Path> {
    let path = match href.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => href,
    };
    Path::parse(path).ok()
}
