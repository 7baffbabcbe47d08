//! From when to when a certificate is valid: the one thing of X.509 (RFC 5280 §4.1) that an operator has to watch.

use chrono::NaiveDateTime;

use crate::base::Utc;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// `[0]`, explicit: the version.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first and the last moment at which the certificate (DER) is valid; `None` if it is no certificate.
pub(super) fn validity(certificate: &[u8]) -> Option<(Utc, Utc)> {
    let (body, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(body, SEQUENCE)?;
    let rest = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, rest) = element(rest, INTEGER)?;
    let (_signature, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    Some((from, time(rest)?.0))
}

/// The content of the DER element at the beginning of `bytes`, which must have this tag, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

/// RFC 5280 §4.1.2.5: both forms end in `Z`; the short one has years from 1950 to 2049.
fn time(bytes: &[u8]) -> Option<(Utc, &[u8])> {
    let short = element(bytes, UTC_TIME).and_then(|(text, rest)| {
        let text = std::str::from_utf8(text).ok()?;
        let century = if text.get(..2)? < "50" { "20" } else { "19" };
        Some((format!("{century}{text}"), rest))
    });
    let long =
        || element(bytes, GENERALIZED_TIME).and_then(|(t, rest)| Some((String::from_utf8(t.to_vec()).ok()?, rest)));
    let (text, rest) = short.or_else(long)?;
    let naive = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?;
    Some((Utc::from_naive(naive), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_times_are_read() {
        let short = [&[UTC_TIME, 13][..], b"491231235959Z"].concat();
        let long = [&[GENERALIZED_TIME, 15][..], b"20500101000000Z"].concat();
        let (short, long) = (time(&short).expect("a time").0, time(&long).expect("a time").0);
        assert_eq!(long.0 - short.0, 1);
        assert_eq!(time(&[&[UTC_TIME, 13][..], b"500101000000Z"].concat()).expect("a time").0.0, -631_152_000);
    }

    #[test]
    fn a_certificate_says_how_long_it_is_valid_and_its_pieces_do_not_panic() {
        let mut asked = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        asked.not_before = rcgen::date_time_ymd(2026, 1, 2);
        asked.not_after = rcgen::date_time_ymd(2051, 3, 4);
        let key = rcgen::KeyPair::generate().expect("a key");
        let der = asked.self_signed(&key).expect("a certificate").der().to_vec();
        assert_eq!(validity(&der), Some((Utc(1_767_312_000), Utc(2_561_500_800))));
        for length in 0..der.len().min(400) {
            let _ = validity(&der[..length]);
        }
    }
}
