//! One attempt over the wire, and what became of it.

use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Sending;
use crate::outbound::{Answer, Client, Failure, Reach, Request, Stage, Target};
use crate::service::webhooks::{Class, DETAIL_BYTES_MAX, Millis, Outcome, retry_after};

/// The wall clock.
pub fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// Sends a delivery and says what became of it. Never fails otherwise.
pub async fn send(client: &Client, sending: &Sending) -> Outcome {
    // The stopwatch first: were it the other way round and the thread put aside between the two, begin and length would add up to an end
    // before the real one, and an audit would call messages out of order that were not.
    let begun = tokio::time::Instant::now();
    let started = now();
    let answer = match request(sending) {
        Ok(request) => client.send(request).await,
        Err(failure) => Err(failure),
    };
    let elapsed_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
    let held = sending.held;
    let mut outcome = Outcome {
        endpoint: held.endpoint,
        event: held.event,
        attempt: held.attempt,
        started,
        elapsed_ms,
        class: Class::Delivered,
        status: None,
        retry_after_ms: None,
        detail: String::new(),
    };
    match answer {
        Ok(answer) => take_answer(&mut outcome, &answer),
        Err(failure) => (outcome.class, outcome.detail) = (class_of(&failure), failure.to_string()),
    }
    outcome
}

fn request(sending: &Sending) -> Result<Request, Failure> {
    let mut request = Request::new(Method::POST, Target::parse(&sending.url)?, sending.body.clone());
    request.reach = Some(if sending.allow_private { Reach::Private } else { Reach::Public });
    for (name, value) in &sending.headers {
        let unfit = |_| Failure::BadUrl(format!("the header field {name} cannot be sent"));
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit(()))?;
        request.headers.insert(field, HeaderValue::from_str(value).map_err(|_| unfit(()))?);
    }
    Ok(request)
}

fn take_answer(outcome: &mut Outcome, answer: &Answer) {
    let status = answer.status.as_u16();
    outcome.status = Some(status);
    outcome.class = Class::of_status(status);
    if outcome.class == Class::Delivered {
        return;
    }
    let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    outcome.retry_after_ms = asked.and_then(|text| retry_after(text, now()));
    outcome.detail = detail(answer, outcome.class);
}

/// The answer's head and beginning, for whoever looks for the reason.
fn detail(answer: &Answer, class: Class) -> String {
    let mut text = format!("{}\n", answer.status);
    if class == Class::Moved {
        text.push_str("the URL moved; redirects are not followed: add an endpoint with the new URL\n");
    }
    text.push_str(&head(&answer.headers));
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&answer.body));
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn head(headers: &HeaderMap) -> String {
    let shown = headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH && *name != http::header::SET_COOKIE);
    shown.map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))).collect()
}

fn class_of(failure: &Failure) -> Class {
    match failure {
        Failure::BadUrl(_) | Failure::Blocked { .. } => Class::Blocked,
        Failure::Tls(_) => Class::Tls,
        Failure::Timeout(Stage::Answering) => Class::Timeout,
        Failure::Timeout(Stage::Resolving | Stage::Connecting) | Failure::Dns { .. } | Failure::Connect(_) => {
            Class::Unreachable
        }
        Failure::Reset(_) | Failure::Protocol(_) => Class::Network,
    }
}
