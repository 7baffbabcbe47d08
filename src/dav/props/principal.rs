//! The properties of principals: RFC 3744 §4, RFC 4791 §6.2.1 (calendar-home-set), RFC 6638 §2.4 (addresses and type), CalendarServer's
//! address list; and RFC 5397's current-user-principal, which everything has.

use super::Value::{Missing, Written};
use super::webdav::text_of;
use super::{Kinds, Reader, Row, Sight, Target, Value};
use crate::model::{Path, Principal};
use crate::xml::{Writer, ns};

/// The table.
pub const ROWS: &[Row] = &[
    Row::new(ns::DAV, "current-user-principal", Kinds::ALL, current_user_principal).read(Reader::Anybody),
    Row::new(ns::DAV, "principal-URL", Kinds::PRINCIPAL, principal_url),
    Row::new(ns::DAV, "alternate-URI-set", Kinds::PRINCIPAL, nothing),
    Row::new(ns::DAV, "group-member-set", Kinds::PRINCIPAL, nothing),
    Row::new(ns::DAV, "group-membership", Kinds::PRINCIPAL, nothing),
    Row::new(ns::CALDAV, "calendar-home-set", Kinds::PRINCIPAL, calendar_home_set),
    Row::new(ns::CALDAV, "calendar-user-address-set", Kinds::PRINCIPAL, calendar_user_address_set),
    Row::new(ns::CALDAV, "calendar-user-type", Kinds::PRINCIPAL, calendar_user_type),
    Row::new(ns::CS, "email-address-set", Kinds::PRINCIPAL, email_address_set),
];

fn current_user_principal(sight: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    match &sight.viewer {
        Some(viewer) => writer.element(ns::DAV, "href", &Path::Principal(viewer.name.clone()).href()),
        None => writer.empty(ns::DAV, "unauthenticated"),
    };
    Written
}

fn principal_url(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    writer.element(ns::DAV, "href", &target.path().href());
    Written
}

/// There are no groups, and no other names of a principal: the sets are there and empty.
fn nothing(_: &Sight, _: Target<'_>, _: &mut Writer) -> Value {
    Written
}

/// One home: two well-known clients use no more than one.
fn calendar_home_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    with_principal(target, |principal| {
        writer.element(ns::DAV, "href", &Path::Home(principal.name.clone()).href());
    })
}

/// The preferred address stands first and last, because clients take the one or the other, and is marked for those
/// that look (`preferred="1"`).
fn calendar_user_address_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    with_principal(target, |principal| {
        let preferred = principal.emails.first();
        let mut address = |email: &str, mark: bool| {
            writer.open(ns::DAV, "href");
            if mark {
                writer.attribute("preferred", "1");
            }
            writer.text("mailto:").text(email).close();
        };
        principal.emails.iter().enumerate().for_each(|(at, email)| address(email, at == 0));
        writer.element(ns::DAV, "href", &Path::Principal(principal.name.clone()).href());
        if let Some(email) = preferred {
            writer.open(ns::DAV, "href").attribute("preferred", "1").text("mailto:").text(email).close();
        }
    })
}

fn calendar_user_type(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    text_of(matches!(target, Target::Principal(_)).then_some("INDIVIDUAL"), writer)
}

fn email_address_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    with_principal(target, |principal| {
        for email in &principal.emails {
            writer.element(ns::CS, "email-address", email);
        }
    })
}

fn with_principal(target: Target<'_>, write: impl FnOnce(&Principal)) -> Value {
    match target {
        Target::Principal(principal) => {
            write(principal);
            Written
        }
        _ => Missing,
    }
}
