//! Who sends a request: HTTP Basic (RFC 7617) over connections that nobody can read along.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Client, Throttle};
use crate::base::{PrincipalId, Secret};
use crate::dav::{Response, body_of};
use crate::service::Context;
use crate::store::StoreError;

/// The longest `Authorization` that is looked at: a name of 64 and a password of 1024 bytes, encoded.
const BASIC_BYTES_MAX: usize = 2_048;

/// What came of looking at a request's credentials.
pub(super) enum Login {
    /// They are right.
    User {
        /// Whose they are.
        id: PrincipalId,
        /// The name, for the log.
        name: String,
    },
    /// There are none, or none that can be read.
    Missing,
    /// They are wrong.
    Wrong,
    /// Too many were wrong before: these were not looked at.
    Wait {
        /// For how long.
        seconds: u64,
    },
    /// They could not be looked at.
    Failed(StoreError),
}

/// Looks at the credentials of a request. One without costs nothing and is never throttled, and neither is one whose
/// login is known.
pub(super) async fn login(context: &Context, throttle: &Throttle, client: &Client, headers: &HeaderMap) -> Login {
    let Some((mut name, password)) = basic(headers) else { return Login::Missing };
    match context.logins.known(&name, &password) {
        Some(id) => {
            name.make_ascii_lowercase();
            Login::User { id, name }
        }
        None => Box::pin(unknown(context, throttle, client, name, password)).await,
    }
}

/// Looks at credentials that are not known to be right.
async fn unknown(
    context: &Context,
    throttle: &Throttle,
    client: &Client,
    name: String,
    password: Secret<String>,
) -> Login {
    let user = |id| Login::User { id, name: name.to_ascii_lowercase() };
    let logins = &context.logins;
    match logins.by_app_password(context, &name, &password).await {
        Ok(Some(id)) => return user(id),
        Ok(None) => {}
        Err(error) => return Login::Failed(error),
    }
    let address = client.throttle_address();
    if let Err(seconds) = throttle.look(&name, address, context.clock.now()) {
        return waiting(seconds);
    }
    let permit = logins.permit().await;
    // While this one waited, another request with the same login may have been verified.
    if let Some(id) = logins.known(&name, &password) {
        return user(id);
    }
    if let Err(seconds) = throttle.begin(&name, address, context.clock.now()) {
        return waiting(seconds);
    }
    match logins.by_password(context, &name, &password, permit).await {
        Ok(Some(id)) => {
            throttle.succeeded(&name, address);
            user(id)
        }
        Ok(None) => {
            metrics::counter!("kalends_login_failures_total").increment(1);
            Login::Wrong
        }
        Err(error) => Login::Failed(error),
    }
}

fn waiting(seconds: u64) -> Login {
    metrics::counter!("kalends_limit_hits_total", "limit" => "login_failures_max").increment(1);
    Login::Wait { seconds }
}

/// Name and password of `Authorization: Basic`. The name ends at the first colon (RFC 7617 §2) and may hold `@`.
fn basic(headers: &HeaderMap) -> Option<(String, Secret<String>)> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if value.len() > BASIC_BYTES_MAX || !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let mut name = String::from_utf8(decoded).ok()?;
    let password = name.split_off(name.find(':')? + 1);
    name.pop();
    Some((name, Secret::new(password)))
}

/// 401 with the challenge: the realm stays the same for ever, because clients file passwords under it.
pub(super) fn challenge(realm: &str) -> Response {
    let mut response = text(StatusCode::UNAUTHORIZED, "this takes a login\n");
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

/// 429: after too many wrong passwords.
pub(super) fn wait(seconds: u64) -> Response {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords; try again later\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 403: passwords would travel for everybody to read.
pub(super) fn plain() -> Response {
    text(
        StatusCode::FORBIDDEN,
        "this server takes no passwords over plain HTTP from other machines: use https, a trusted proxy, or the setting \
         [auth] allow_plain\n",
    )
}

/// A short answer for people.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(body_of(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        basic(&headers).map(|(name, password)| (name, password.expose().clone()))
    }

    #[test]
    fn basic_credentials_are_read_as_the_rfc_says() {
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("anna@example.com:a:b"))), pair("anna@example.com", "a:b"));
        assert_eq!(of(&format!("bAsIc   {}", STANDARD.encode("test:123£"))), pair("test", "123£"));
        assert_eq!(of(&format!("Basic {}", STANDARD.encode(":"))), pair("", ""));
        for wrong in ["Basic", "Basic ", "Basic !!!", "Bearer abc", &format!("Basic {}", STANDARD.encode("nocolon"))] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("a:".to_owned() + &"x".repeat(4000)))), None);
        assert_eq!(of(&format!("Basic {}", STANDARD.encode([0xff, b':', b'x']))), None);
    }
}
