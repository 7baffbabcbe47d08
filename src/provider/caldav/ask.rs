//! The requests of a pull.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

use super::state::{State, Step};
use crate::outbound::{self, Target};
use crate::provider::{Account, AccountSecrets, PullState};
use crate::xml::{Writer, ns};

/// Members whose data are asked for at once.
pub const MEMBERS_MAX: usize = 50;

pub fn request(account: &Account, secrets: &AccountSecrets, pull: &PullState) -> Result<outbound::Request, String> {
    let state = State::of(account, pull);
    let target = Target::parse(state.step.url()).map_err(|failure| failure.to_string())?;
    let (method, depth, body) = match &state.step {
        Step::Principal { .. } => (
            PROPFIND,
            "0",
            find(&[(ns::DAV, "current-user-principal"), (ns::DAV, "resourcetype"), (ns::CALDAV, "calendar-home-set")]),
        ),
        Step::Home { .. } => (PROPFIND, "0", find(&[(ns::CALDAV, "calendar-home-set")])),
        Step::List { .. } => {
            (PROPFIND, "1", find(&[(ns::DAV, "resourcetype"), (ns::CALDAV, "supported-calendar-component-set")]))
        }
        Step::Tag { .. } => (PROPFIND, "0", find(&[(ns::CS, "getctag")])),
        Step::Members { .. } => (PROPFIND, "1", find(&[(ns::DAV, "getetag"), (ns::DAV, "resourcetype")])),
        Step::Sync { token, .. } => (REPORT, "0", changes(token.as_deref().unwrap_or_default())),
        Step::Fetch(fetch) => (REPORT, "0", multiget(&fetch.hrefs[..fetch.hrefs.len().min(MEMBERS_MAX)])),
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let is_home = is_own(account, pull, &target);
    let mut request = outbound::Request::new(method, target, body)
        .compressed()
        .header(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"))
        .header(HeaderName::from_static("depth"), HeaderValue::from_static(depth));
    if let Some(value) = super::basic(account, secrets)?.filter(|_| is_home) {
        request = request.header(AUTHORIZATION, value);
    }
    Ok(request)
}

const PROPFIND: &str = "PROPFIND";
const REPORT: &str = "REPORT";

/// Whether the credentials may be sent there: to the server that was set up, and to others of the same domain (servers spread
/// their users over hosts), never to others.
fn is_own(account: &Account, pull: &PullState, target: &Target) -> bool {
    let set_up = account.base_url.as_deref().unwrap_or(&pull.calendar);
    let Ok(own) = Target::parse(set_up) else { return false };
    let safe = target.is_https() || !own.is_https();
    let domain = |target: &Target| {
        let rest = target.host().split_once('.').map(|(_, rest)| rest.to_owned());
        rest.filter(|rest| rest.contains('.') && target.address().is_none())
    };
    let related = domain(&own).is_some() && domain(&own) == domain(target);
    own.origin() == target.origin() || safe && related
}

fn find(names: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::document(ns::DAV, "propfind");
    writer.open(ns::DAV, "prop");
    for (space, name) in names {
        writer.empty(space, name);
    }
    writer.close();
    writer.finish()
}

/// RFC 6578 §3.2
fn changes(token: &str) -> Vec<u8> {
    let mut writer = Writer::document(ns::DAV, "sync-collection");
    writer.element(ns::DAV, "sync-token", token).element(ns::DAV, "sync-level", "1");
    writer.open(ns::DAV, "prop").empty(ns::DAV, "getetag").close();
    writer.finish()
}

/// RFC 4791 §7.9
fn multiget(hrefs: &[String]) -> Vec<u8> {
    let mut writer = Writer::document(ns::CALDAV, "calendar-multiget");
    writer.open(ns::DAV, "prop").empty(ns::DAV, "getetag").empty(ns::CALDAV, "calendar-data").close();
    for href in hrefs {
        writer.element(ns::DAV, "href", href);
    }
    writer.finish()
}
