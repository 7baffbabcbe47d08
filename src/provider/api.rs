//! What the APIs of Google and Microsoft have alike: bearer tokens, JSON in and out, refreshing tokens (RFC 6749 §6), being told to wait.

use chrono::DateTime;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::fields::Fields;
use super::{Account, AccountSecrets, Delivery, TaskDone};
use crate::base::{Secret, Utc};
use crate::outbound::{self, Target};

/// Tokens are refreshed so many seconds before they end.
const REFRESH_EARLY_SECONDS: i64 = 300;
/// How long a pause a provider can ask for: more is a mistake, or an attack.
const PAUSE_SECONDS_MAX: u64 = 86_400;
/// How long a token lives if the provider does not say.
const TOKEN_SECONDS: i64 = 3_600;

/// What needs no escape in a path's segment or a parameter's value.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `text` as a segment of a path, or as the value of a parameter.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A request to an API, with the access token where there is one: without it the API says 401, and the token is refreshed.
///
/// # Errors
/// In words, if `url` is none, or the token is none that a header can hold.
pub fn request(
    method: Method,
    url: &str,
    secrets: &AccountSecrets,
    body: Option<&Value>,
) -> Result<outbound::Request, String> {
    let target = Target::parse(url).map_err(|failure| failure.to_string())?;
    let text = body.map(Value::to_string).unwrap_or_default();
    let mut request = outbound::Request::new(method, target, text).header(ACCEPT, json());
    if body.is_some() {
        request = request.header(CONTENT_TYPE, json());
    }
    let Some((token, _)) = &secrets.access_token else { return Ok(request) };
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut value = value.map_err(|_| "the access token holds characters that no header can hold".to_owned())?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

fn json() -> HeaderValue {
    HeaderValue::from_static("application/json")
}

/// The JSON of a whole answer.
///
/// # Errors
/// In words, if it broke off or is no JSON: to be asked for again.
pub fn body(answer: &outbound::Answer) -> Result<Value, String> {
    if answer.truncated {
        return Err("the answer broke off".to_owned());
    }
    serde_json::from_slice(&answer.body).map_err(|_| "the answer is no JSON".to_owned())
}

/// The provider's word for what is wrong: the text at `path` (`error.code`), if it is a short word.
pub fn word(answer: &outbound::Answer, path: &[&str]) -> Option<String> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    let found = path.iter().try_fold(&value, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    });
    let word = found?.as_str()?;
    let is_word = word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    is_word.then(|| word.to_owned())
}

/// How long the provider wants us to wait: Retry-After (RFC 9110 §10.2.3), as seconds from `now`.
pub fn retry_after(answer: &outbound::Answer, now: Utc) -> Option<u64> {
    let text = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
            u64::try_from(at.saturating_sub(now.0)).unwrap_or(0)
        }
    };
    Some(seconds.min(PAUSE_SECONDS_MAX))
}

/// Whether the access token is to be refreshed: a few minutes early.
pub fn refresh_is_due(secrets: &AccountSecrets, now: Utc) -> bool {
    secrets.refresh_token.is_some() && secrets.access_token_at(now, REFRESH_EARLY_SECONDS).is_none()
}

/// The request for a new access token.
///
/// # Errors
/// In words, if something that it takes was not set up.
pub fn refresh_request(
    account: &Account,
    secrets: &AccountSecrets,
    usual_url: &str,
    scope: Option<&str>,
) -> Result<outbound::Request, String> {
    let url = account.token_url.as_deref().unwrap_or(usual_url);
    let target = Target::parse(url).map_err(|failure| failure.to_string())?;
    let token = secrets.refresh_token.as_ref().ok_or("there is no refresh token: add the account again with one")?;
    let client = account.client_id.as_deref().ok_or("there is no client id: add the account again with one")?;
    let mut form = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", client.to_owned()),
        ("refresh_token", token.expose().clone()),
    ];
    form.extend(secrets.client_secret.as_ref().map(|secret| ("client_secret", secret.expose().clone())));
    form.extend(scope.map(|scope| ("scope", scope.to_owned())));
    let body = form.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect::<Vec<_>>().join("&");
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    Ok(outbound::Request::new(Method::POST, target, body).header(CONTENT_TYPE, form).header(ACCEPT, json()))
}

/// What the answer to [`refresh_request`] means (RFC 6749 §5).
pub fn refresh_answer(answer: &outbound::Answer, now: Utc) -> TaskDone {
    if answer.status.is_success() {
        return tokens(answer, now).unwrap_or_else(|reason| TaskDone::Wait { seconds: None, reason });
    }
    let error = word(answer, &["error"]);
    let reason = match error.as_deref() {
        Some("invalid_grant" | "interaction_required" | "consent_required") => {
            "the grant was revoked or has expired: connect the account again"
        }
        Some("invalid_client" | "unauthorized_client") => "the OAuth client is not accepted: check its id and secret",
        Some("invalid_scope" | "unsupported_grant_type" | "invalid_request") => {
            "the OAuth client is not set up for this"
        }
        _ => {
            let reason = format!("refreshing the access token gave {}", answer.status.as_u16());
            return TaskDone::Wait { seconds: retry_after(answer, now), reason };
        }
    };
    TaskDone::Broken(format!("{reason} ({})", error.unwrap_or_default()))
}

fn tokens(answer: &outbound::Answer, now: Utc) -> Result<TaskDone, String> {
    let value = body(answer)?;
    let read = || {
        let fields = Fields::of(&value)?;
        let access = fields.required("access_token")?.to_owned();
        let lives = fields.whole("expires_in")?.unwrap_or(TOKEN_SECONDS).clamp(0, 90 * 86_400);
        let refresh = fields.filled("refresh_token")?.map(|token| Secret::new(token.to_owned()));
        Ok(TaskDone::Tokens { access: Secret::new(access), expires: now.plus(lives), refresh })
    };
    read().map_err(|error: super::fields::FieldError| error.to_string())
}

/// Whether a delivery came with a POST; else the answer for it.
pub fn is_post(delivery: &Delivery) -> bool {
    delivery.method.eq_ignore_ascii_case("POST")
}
