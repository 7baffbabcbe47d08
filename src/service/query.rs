//! calendar-query and calendar-multiget (RFC 4791 §7.8, §7.9): which objects, and each with its parsed content.

use std::sync::Arc;

use super::parsed::Parsed;
use super::tree::{self, Node, Resource};
use super::zones::Floating;
use super::{Context, Error, index};
use crate::access::Actor;
use crate::filter::{self, CompFilter, DataRequest};
use crate::model::{Object, Path, Precondition, Privilege};
use crate::recur::Budget;

/// What a calendar-query looks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// CALDAV:filter
    pub filter: CompFilter,
    /// CALDAV:timezone or CALDAV:timezone-id; `None` is each calendar's own zone.
    pub floating: Option<Floating>,
}

/// An object that was found.
pub struct Hit {
    /// The calendar that it lies in.
    pub node: Arc<Node>,
    /// Its row.
    pub object: Arc<Object>,
    /// Its content; `None` for one that today's checks find broken (multiget alone shows those).
    pub parsed: Option<Arc<Parsed>>,
    /// The zone in which its floating times are read.
    pub floating: Floating,
}

/// A query under way: objects are evaluated one by one, as the answer is written.
pub struct Search {
    query: Query,
    /// Calendars still to be searched.
    nodes: std::vec::IntoIter<Node>,
    /// The calendar being searched, its zone, and what of it is still to be looked at.
    current: Option<(Arc<Node>, Floating, std::vec::IntoIter<Arc<Object>>)>,
    budget: Budget,
}

impl Search {
    /// A search of the calendars in `nodes`, each of which the actor may read.
    pub fn new(context: &Context, nodes: Vec<Node>, query: Query) -> Self {
        Self { query, nodes: nodes.into_iter(), current: None, budget: context.budget() }
    }

    /// A search of one object.
    pub fn one(context: &Context, node: Node, object: Arc<Object>, query: Query) -> Self {
        let settings = node.collection.calendar();
        let own = settings.map_or_else(Floating::utc, |settings| Floating::of_calendar(settings, &context.limits));
        let floating = query.floating.clone().unwrap_or(own);
        let current = Some((Arc::new(node), floating, vec![object].into_iter()));
        Self { query, nodes: Vec::new().into_iter(), current, budget: context.budget() }
    }

    /// The next object that passes the filter; `None` when all were looked at.
    ///
    /// # Errors
    /// DAV:number-of-matches-within-limits when evaluating takes more than the limits allow.
    pub async fn next(&mut self, context: &Context) -> Result<Option<Hit>, Error> {
        loop {
            let Some((node, floating, objects)) = &mut self.current else {
                let Some(node) = self.nodes.next() else { return Ok(None) };
                let plan = filter::plan(&self.query.filter);
                let (own, mut objects) = index::candidates(context, &node.collection, plan.window).await?;
                objects.retain(|object| may_match(&plan, object));
                let floating = self.query.floating.clone().unwrap_or(own);
                self.current = Some((Arc::new(node), floating, objects.into_iter()));
                continue;
            };
            let Some(object) = objects.next() else {
                self.current = None;
                continue;
            };
            let Some(parsed) = context.parsed_object(node.collection.id, &object).await? else { continue };
            if passes(&self.query.filter, &parsed, floating, &mut self.budget)? {
                return Ok(Some(Hit {
                    node: Arc::clone(node),
                    object,
                    parsed: Some(parsed),
                    floating: floating.clone(),
                }));
            }
        }
    }
}

/// Whether the one object `parsed` passes `filter`.
///
/// # Errors
/// DAV:number-of-matches-within-limits when evaluating takes more than `budget` allows.
pub fn passes(filter: &CompFilter, parsed: &Parsed, floating: &Floating, budget: &mut Budget) -> Result<bool, Error> {
    let Some(series) = parsed.series(floating) else { return Ok(false) };
    filter::matches_series(filter, &parsed.object, &series, &floating.zone, budget).map_err(|_| over_budget())
}

/// The error of a request whose recurrences are more than the limits allow.
pub fn over_budget() -> Error {
    Error::precondition(
        Precondition::NumberOfMatchesWithinLimits,
        "the recurrences in the window are more than the server's limits allow; ask for a shorter window",
    )
}

fn may_match(plan: &filter::Plan, object: &Object) -> bool {
    let Some(row) = object.row() else { return false };
    let facts = filter::RowFacts { kind: row.kind, uid: &row.uid, span: row.span, recurring: row.recurring };
    plan.verdict(facts) != filter::Verdict::No
}

/// The calendars that a report on the collection `node` is about: itself, or the calendars in a home for a Depth
/// that reaches into them.
///
/// # Errors
/// [`Error::needs`] where the actor may not read.
pub async fn calendars(
    context: &Context,
    actor: Actor,
    node: Node,
    reach: Reach,
    privilege: Privilege,
) -> Result<Vec<Node>, Error> {
    if node.collection.calendar().is_some() {
        node.require(privilege)?;
        return Ok(vec![node]);
    }
    if reach == Reach::Itself {
        return Ok(Vec::new());
    }
    let children = tree::children(context, actor, &node).await?;
    let readable = |child: &Node| child.privileges.has(privilege) && child.collection.calendar().is_some();
    Ok(children.into_iter().filter(readable).collect())
}

/// Whether a report on a home reaches into its calendars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// No.
    Itself,
    /// Yes.
    Members,
}

/// One member of a calendar-multiget: `None` if there is nothing that the actor may read.
///
/// # Errors
/// Of the store only.
pub async fn get(context: &Context, actor: Actor, path: &Path) -> Result<Option<Hit>, Error> {
    let (node, object) = match tree::resolve(context, actor, path).await {
        Ok(Resource::Object(node, object)) => (node, object),
        Ok(_) | Err(Error::NotFound | Error::Precondition { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if node.collection.calendar().is_none() || !node.privileges.has(Privilege::Read) {
        return Ok(None);
    }
    hit(context, &Arc::new(node), object.into()).await.map(Some)
}

/// A hit for an object that is known already.
///
/// # Errors
/// Of the store only.
pub async fn hit(context: &Context, node: &Arc<Node>, object: Arc<Object>) -> Result<Hit, Error> {
    let settings = node.collection.calendar();
    let floating = settings.map_or_else(Floating::utc, |settings| Floating::of_calendar(settings, &context.limits));
    let parsed = context.parsed_object(node.collection.id, &object).await?;
    Ok(Hit { node: Arc::clone(node), object, parsed, floating })
}

impl Hit {
    /// Its calendar data as `request` wants it. A broken object is given as it is stored, whatever the request.
    ///
    /// # Errors
    /// DAV:number-of-matches-within-limits if expanding takes more than `budget` allows.
    pub async fn data(&self, context: &Context, request: &DataRequest, budget: &mut Budget) -> Result<String, Error> {
        let Some(parsed) = &self.parsed else {
            let content = context.store.content(self.node.collection.id, &self.object.name).await?;
            return Ok(content.map_or_else(String::new, |(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()));
        };
        let zone = &self.floating.zone;
        filter::render(request, &parsed.object, parsed.text(), zone, budget).map_err(|_| over_budget())
    }
}

impl Context {
    /// What one request may make the recurrence engine do.
    pub fn budget(&self) -> Budget {
        Budget { steps: self.limits.recurrence_steps_max, instances: self.limits.expand_instances_max }
    }
}
