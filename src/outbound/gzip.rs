//! Answers that come compressed (RFC 9110 §8.4.1.3): read within the same bound as any other, however much they would become.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::Answer;

/// `answer` as it was before it was compressed, at most `body_max` bytes of it. What breaks off, or cannot be read to its end, is
/// truncated; an encoding that is not known here is left as it is.
pub(super) fn decoded(mut answer: Answer, body_max: usize) -> Answer {
    let encoding = answer.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !["gzip", "x-gzip"].iter().any(|name| encoding.trim().eq_ignore_ascii_case(name)) || answer.body.is_empty() {
        return answer;
    }
    let most = u64::try_from(body_max).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    // One byte more, to see that there is more.
    let read = MultiGzDecoder::new(answer.body.as_ref()).take(most.saturating_add(1)).read_to_end(&mut body);
    answer.truncated |= read.is_err() || body.len() > body_max;
    body.truncate(body_max);
    answer.body = body.into();
    answer.headers.remove(CONTENT_ENCODING);
    answer.headers.remove(CONTENT_LENGTH);
    answer
}
