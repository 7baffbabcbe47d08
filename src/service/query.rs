//! calendar-query and calendar-multiget (RFC 4791 §7.8, §7.9): which objects, and each with its parsed content.

use std::borrow::Cow;
use std::sync::Arc;

use super::parsed::{Content, Keep, Parsed};
use super::tree::{self, Node};
use super::zones::Floating;
use super::{Context, Error, index};
use crate::access::Actor;
use crate::filter::{self, CompFilter, DataRequest, Verdict};
use crate::model::{Object, Path, Precondition, Privilege};
use crate::recur::Budget;

/// What a calendar-query looks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// CALDAV:filter
    pub filter: CompFilter,
    /// CALDAV:timezone or CALDAV:timezone-id; `None` is each calendar's own zone.
    pub floating: Option<Floating>,
    /// Whether hits come with their content. Where it is not asked for, what the index proves need not be read.
    pub content: bool,
}

/// How many objects are looked at before others get their turn.
const TURN: usize = 64;

/// How many objects a query leaves parsed for the next one. What goes through a large calendar as a whole takes no more
/// memory for it, and pushes out nothing else.
const KEPT_MAX: usize = 2_000;

/// An object that was found.
pub struct Hit {
    /// The calendar that it lies in.
    pub node: Arc<Node>,
    /// Its row.
    pub object: Arc<Object>,
    /// Its content (multiget alone shows that of a broken one).
    pub content: Content,
    /// The zone in which its floating times are read.
    pub floating: Floating,
}

/// A query under way: objects are evaluated one by one, as the answer is written.
pub struct Search {
    query: Query,
    plan: filter::Plan,
    /// Calendars still to be searched.
    nodes: std::vec::IntoIter<Node>,
    /// The calendar being searched, its zone, and what of it is still to be looked at.
    current: Option<(Arc<Node>, Floating, std::vec::IntoIter<Arc<Object>>)>,
    budget: Budget,
    looked_at: usize,
    /// How many were read.
    read: usize,
}

impl Search {
    /// A search of the calendars in `nodes`, each of which the actor may read.
    pub fn new(context: &Context, nodes: Vec<Node>, query: Query) -> Self {
        let plan = filter::plan(&query.filter);
        Self { query, plan, nodes: nodes.into_iter(), current: None, budget: context.budget(), looked_at: 0, read: 0 }
    }

    /// A search of one object.
    pub fn one(context: &Context, node: Node, object: Arc<Object>, query: Query) -> Self {
        let settings = node.collection.calendar();
        let own = settings.map_or_else(Floating::utc, |settings| Floating::of_calendar(settings, &context.limits));
        let floating = query.floating.clone().unwrap_or(own);
        Self {
            current: Some((Arc::new(node), floating, vec![object].into_iter())),
            ..Self::new(context, Vec::new(), query)
        }
    }

    /// The next object that passes the filter; `None` when all were looked at.
    ///
    /// # Errors
    /// DAV:number-of-matches-within-limits when evaluating takes more than the limits allow.
    pub async fn next(&mut self, context: &Context) -> Result<Option<Hit>, Error> {
        loop {
            let Some((node, floating, objects)) = &mut self.current else {
                let Some(node) = self.nodes.next() else { return Ok(None) };
                let (own, objects) = match index::candidates(context, &node.collection, self.plan.window).await {
                    // Deleted since the calendars were listed.
                    Err(Error::NotFound) => continue,
                    found => found?,
                };
                let floating = self.query.floating.clone().unwrap_or(own);
                self.current = Some((Arc::new(node), floating, objects.into_iter()));
                continue;
            };
            let Some(object) = objects.next() else {
                self.current = None;
                continue;
            };
            self.looked_at += 1;
            if self.looked_at.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
            let hit = |object, content| Hit { node: Arc::clone(node), object, content, floating: floating.clone() };
            match verdict(&self.plan, &object) {
                Verdict::No => continue,
                Verdict::Yes if !self.query.content => return Ok(Some(hit(object, Content::Unread))),
                Verdict::Yes | Verdict::Unsure => {}
            }
            let keep = if self.read < KEPT_MAX { Keep::Yes } else { Keep::No };
            self.read += 1;
            let Some((object, Content::Parsed(parsed))) = context.present(node.collection.id, object, keep).await?
            else {
                continue;
            };
            if passes(&self.query.filter, &parsed, floating, &mut self.budget)? {
                return Ok(Some(hit(object, Content::Parsed(parsed))));
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
        "the recurrences in the window are more than the limits expand_instances_max and recurrence_steps_max allow; ask for a shorter window",
    )
}

/// What the index says. A broken object matches nothing.
fn verdict(plan: &filter::Plan, object: &Object) -> Verdict {
    let Some(row) = object.row() else { return Verdict::No };
    plan.verdict(filter::RowFacts { kind: row.kind, uid: &row.uid, span: row.span, recurring: row.recurring })
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

/// How much of a hit's content is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// The text as it is stored: nobody has to understand it.
    Text,
    /// What it says.
    Parsed,
}

/// The members that a calendar-multiget names, one after the other. What holds for a calendar (where it is, and what the actor may
/// do there) is found out once for those of its members that are named together.
pub struct Members {
    actor: Actor,
    need: Need,
    /// The calendar of the last member, if the actor may read it.
    calendar: Option<(Path, Option<Arc<Node>>)>,
}

impl Members {
    /// Members for `actor`.
    pub fn new(actor: Actor, need: Need) -> Self {
        Self { actor, need, calendar: None }
    }

    /// The member at `path`: `None` if there is nothing that the actor may read.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn get(&mut self, context: &Context, path: &Path) -> Result<Option<Hit>, Error> {
        let (Path::Object(_, _, name), Some(above)) = (path, path.parent()) else { return Ok(None) };
        let Some(node) = self.calendar(context, above).await? else { return Ok(None) };
        let id = node.collection.id;
        let (object, content) = match self.need {
            Need::Text => match context.store.kept_content(id, name).await? {
                Some((object, bytes)) => (object, Content::Text(bytes)),
                None => return Ok(None),
            },
            Need::Nothing | Need::Parsed => match context.store.object(id, name).await? {
                Some(object) if self.need == Need::Parsed => return hit(context, &node, object.into()).await,
                Some(object) => (Arc::new(object), Content::Unread),
                None => return Ok(None),
            },
        };
        Ok(Some(Hit { node, object, content, floating: Floating::utc() }))
    }

    async fn calendar(&mut self, context: &Context, path: Path) -> Result<Option<Arc<Node>>, Error> {
        if let Some((_, known)) = self.calendar.as_ref().filter(|(last, _)| *last == path) {
            return Ok(known.clone());
        }
        let found = match tree::collection(context, self.actor, &path).await {
            Ok(node) if node.collection.calendar().is_some() && node.privileges.has(Privilege::Read) => {
                Some(Arc::new(node))
            }
            Ok(_) | Err(Error::NotFound | Error::Precondition { .. }) => None,
            Err(error) => return Err(error),
        };
        self.calendar = Some((path, found.clone()));
        Ok(found)
    }
}

/// A hit with its content for an object that was there; `None` if it is gone since.
///
/// # Errors
/// Of the store only.
pub async fn hit(context: &Context, node: &Arc<Node>, object: Arc<Object>) -> Result<Option<Hit>, Error> {
    let settings = node.collection.calendar();
    let floating = settings.map_or_else(Floating::utc, |settings| Floating::of_calendar(settings, &context.limits));
    let present = context.present(node.collection.id, object, Keep::Yes).await?;
    Ok(present.map(|(object, content)| Hit { node: Arc::clone(node), object, content, floating }))
}

impl Hit {
    /// Its calendar data as `request` wants it. A broken object is given as it is stored, whatever the request.
    ///
    /// # Errors
    /// DAV:number-of-matches-within-limits if expanding takes more than `budget` allows.
    pub fn data(&self, request: &DataRequest, budget: &mut Budget) -> Result<Cow<'_, str>, Error> {
        let parsed = match &self.content {
            Content::Unread => return Ok(Cow::Borrowed("")),
            Content::Text(bytes) | Content::Broken(bytes) => return Ok(String::from_utf8_lossy(bytes)),
            Content::Parsed(parsed) => parsed,
        };
        let (object, text, zone) = (&parsed.object, parsed.text(), &self.floating.zone);
        // What is wanted whole needs no series.
        if *request == DataRequest::default() {
            return Ok(Cow::Borrowed(text));
        }
        let data = match parsed.series(&self.floating) {
            Some(series) => filter::render_series(request, object, &series, text, zone, budget),
            None => filter::render(request, object, text, zone, budget),
        };
        data.map(Cow::Owned).map_err(|_| over_budget())
    }
}

impl Context {
    /// What one request may make the recurrence engine do.
    pub fn budget(&self) -> Budget {
        Budget { steps: self.limits.recurrence_steps_max, instances: self.limits.expand_instances_max }
    }
}
