//! Changing an endpoint.

use super::kept::{check, edit, endpoint, is_admin};
use super::{Detail, Endpoint, EndpointId, EventType, NewEndpoint, Order, Rate};
use crate::access::Actor;
use crate::base::CollectionId;
use crate::service::{Context, Error};

/// What is to change; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// See [`Endpoint::url`]. The caller has read and checked it.
    pub url: Option<String>,
    /// See [`Endpoint::description`].
    pub description: Option<String>,
    /// See [`Endpoint::calendars`].
    pub calendars: Option<Vec<CollectionId>>,
    /// See [`Endpoint::events`].
    pub events: Option<Vec<EventType>>,
    /// See [`Endpoint::order`].
    pub order: Option<Order>,
    /// See [`Endpoint::latest_only`].
    pub latest_only: Option<bool>,
    /// See [`Endpoint::detail`].
    pub detail: Option<Detail>,
    /// See [`Endpoint::allow_private`].
    pub allow_private: Option<bool>,
    /// See [`Endpoint::headers`].
    pub headers: Option<Vec<(String, String)>>,
    /// See [`Endpoint::rate`].
    pub rate: Option<Rate>,
}

impl Changes {
    fn apply(&self, endpoint: &mut Endpoint) {
        set(&mut endpoint.url, &self.url);
        set(&mut endpoint.description, &self.description);
        set(&mut endpoint.calendars, &self.calendars);
        set(&mut endpoint.events, &self.events);
        set(&mut endpoint.order, &self.order);
        set(&mut endpoint.latest_only, &self.latest_only);
        set(&mut endpoint.detail, &self.detail);
        set(&mut endpoint.allow_private, &self.allow_private);
        set(&mut endpoint.headers, &self.headers);
        set(&mut endpoint.rate, &self.rate);
    }
}

fn set<T: Clone>(field: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// Changes an endpoint. Returns it as it is then.
///
/// # Errors
/// [`Error::NotFound`] if there is none, or the actor may not know of it; else as for a new one. Nothing was changed.
pub async fn change(context: &Context, actor: Actor, id: EndpointId, changes: Changes) -> Result<Endpoint, Error> {
    let mut after = endpoint(context, actor, id).await?;
    // Whoever may not add one in a private network may not lead one there either.
    let private = changes.allow_private == Some(true) || (after.allow_private && changes.url.is_some());
    if private && !is_admin(context, actor).await? {
        return Err(Error::Forbidden(
            "allow_private: endpoints in one's own network are set up by the administrator alone".to_owned(),
        ));
    }
    changes.apply(&mut after);
    let as_new = NewEndpoint {
        owner: after.owner,
        url: after.url,
        description: after.description,
        calendars: after.calendars,
        events: after.events,
        order: after.order,
        latest_only: after.latest_only,
        detail: after.detail,
        allow_private: after.allow_private,
        headers: after.headers,
        rate: after.rate,
    };
    check(context, &as_new).await?;
    edit(context, actor, id, move |endpoint| {
        changes.apply(endpoint);
        Vec::new()
    })
    .await
}
