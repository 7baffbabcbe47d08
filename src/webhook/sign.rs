//! Signatures: `v1,` and base64 of HMAC-SHA-256 over `id.timestamp.body` (Standard Webhooks 1.0.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::base::Utc;
use crate::service::webhooks::SigningSecrets;

/// What `webhook-signature` says: one signature for each secret in force at `now`, separated by spaces.
pub fn sign(secrets: &SigningSecrets, now: Utc, id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut text = signature(secrets.current.expose(), id, timestamp, body);
    if let Some((former, until)) = &secrets.former
        && *until > now
    {
        text.push(' ');
        text.push_str(&signature(former.expose(), id, timestamp, body));
    }
    text
}

fn signature(secret: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

/// Whether one of the signatures in `header` is good for `secret` (raw bytes). For receivers and tests; the age of `timestamp` is theirs to judge.
pub fn verify(secret: &[u8], id: &str, timestamp: i64, body: &[u8], header: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let message = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    header
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .any(|signature| hmac::verify(&key, &message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    fn secret() -> Vec<u8> {
        STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64")
    }

    /// Made with the crate standardwebhooks 1.0.1.
    #[test]
    fn the_published_vector() {
        let secrets = SigningSecrets { current: Secret::new(secret()), former: None };
        let signed = sign(&secrets, Utc(0), "msg_1", 1_674_087_231, b"{\"a\":1}");
        assert_eq!(signed, "v1,ufv45WIonjonlsB4RtxC24Ig4CisWfbJI1o6/4Uarps=");
        assert!(verify(&secret(), "msg_1", 1_674_087_231, b"{\"a\":1}", &signed));
        assert!(!verify(&secret(), "msg_2", 1_674_087_231, b"{\"a\":1}", &signed));
        assert!(!verify(&secret(), "msg_1", 1_674_087_232, b"{\"a\":1}", &signed));
        assert!(!verify(&secret(), "msg_1", 1_674_087_231, b"{\"a\":2}", &signed));
    }

    #[test]
    fn both_secrets_sign_until_the_former_ones_time_is_over() {
        let former = Some((Secret::new(secret()), Utc(100)));
        let secrets = SigningSecrets { current: Secret::new(vec![7; 32]), former };
        let during = sign(&secrets, Utc(99), "msg_1", 5, b"x");
        let after = sign(&secrets, Utc(100), "msg_1", 5, b"x");
        assert!(verify(&[7; 32], "msg_1", 5, b"x", &during) && verify(&secret(), "msg_1", 5, b"x", &during));
        assert!(verify(&[7; 32], "msg_1", 5, b"x", &after) && !verify(&secret(), "msg_1", 5, b"x", &after));
    }
}
