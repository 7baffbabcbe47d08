//! The properties of RFC 3744 §5: who owns it, what can be granted, what is granted.

use super::Value::{Missing, Written};
use super::{Kinds, Needs, Reader, Row, Sight, Target, Value};
use crate::dav::privilege_name;
use crate::model::{Ace, AcePrincipal, Path, Privilege, Privileges};
use crate::xml::{Writer, ns};

/// The table.
pub const ROWS: &[Row] = &[
    Row::new(ns::DAV, "owner", Kinds::PRINCIPAL.or(Kinds::OWNED), owner).read(Reader::Anybody),
    Row::new(ns::DAV, "supported-privilege-set", Kinds::ALL, supported_privilege_set).read(Reader::Anybody),
    Row::new(ns::DAV, "current-user-privilege-set", Kinds::ALL, current_user_privilege_set).read(Reader::Anybody),
    Row::new(ns::DAV, "acl", Kinds::PRINCIPAL.or(Kinds::OWNED), acl)
        .read(Reader::With(Privilege::ReadAcl))
        .needs(Needs::Names),
    Row::new(ns::DAV, "acl-restrictions", Kinds::ALL, acl_restrictions).read(Reader::Anybody),
    Row::new(ns::DAV, "inherited-acl-set", Kinds::OWNED, inherited_acl_set).read(Reader::With(Privilege::ReadAcl)),
    Row::new(ns::DAV, "principal-collection-set", Kinds::ALL, principal_collection_set).read(Reader::Anybody),
];

fn owner(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    match target.owner() {
        Some(user) => {
            writer.element(ns::DAV, "href", &Path::Principal(user.clone()).href());
            Written
        }
        None => Missing,
    }
}

/// The privileges as a tree: an aggregate holds its parts.
fn supported_privilege_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    use Privilege as P;
    supported(writer, P::All, "every privilege", &|writer| {
        supported(writer, P::Read, "read content and properties", &|writer| {
            if target.kind().has(Kinds::HOME) || target.kind().has(Kinds::CALENDAR) {
                supported(writer, P::ReadFreeBusy, "learn when the owner is busy", &|_| {});
            }
        });
        supported(writer, P::Write, "change everything but the access", &|writer| {
            supported(writer, P::WriteProperties, "change properties", &|_| {});
            supported(writer, P::WriteContent, "change members' content", &|_| {});
            supported(writer, P::Bind, "add members", &|_| {});
            supported(writer, P::Unbind, "remove members", &|_| {});
        });
        supported(writer, P::Unlock, "remove others' locks", &|_| {});
        supported(writer, P::ReadAcl, "see who has access", &|_| {});
        supported(writer, P::ReadCurrentUserPrivilegeSet, "see one's own access", &|_| {});
        supported(writer, P::WriteAcl, "grant access", &|_| {});
    });
    Written
}

fn supported(writer: &mut Writer, privilege: Privilege, description: &str, parts: &dyn Fn(&mut Writer)) {
    writer.open(ns::DAV, "supported-privilege");
    write_privilege(writer, privilege);
    writer.open(ns::DAV, "description").attribute("xml:lang", "en").text(description).close();
    parts(writer);
    writer.close();
}

fn current_user_privilege_set(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    write_privileges(writer, target.privileges(sight));
    Written
}

fn acl(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    protected_ace(writer);
    let Some(node) = target.node() else { return Written };
    if target.object().is_some() {
        // An object has no list of its own.
        node.collection.acl.iter().for_each(|ace| write_ace(writer, sight, ace, Some(&node.path)));
    } else {
        node.collection.acl.iter().for_each(|ace| write_ace(writer, sight, ace, None));
    }
    for (from, list) in node.inherited() {
        list.iter().for_each(|ace| write_ace(writer, sight, ace, Some(from)));
    }
    Written
}

/// That the owner may do everything, which nobody can change.
fn protected_ace(writer: &mut Writer) {
    writer.open(ns::DAV, "ace");
    writer.open(ns::DAV, "principal").open(ns::DAV, "property").empty(ns::DAV, "owner").close().close();
    writer.open(ns::DAV, "grant");
    write_privilege(writer, Privilege::All);
    writer.close().empty(ns::DAV, "protected").close();
}

fn write_ace(writer: &mut Writer, sight: &Sight, ace: &Ace, inherited: Option<&Path>) {
    let before = writer.mark();
    writer.open(ns::DAV, "ace").open(ns::DAV, "principal");
    match ace.principal {
        AcePrincipal::User(id) => match sight.name_of(id) {
            Some(name) => drop(writer.element(ns::DAV, "href", &Path::Principal(name.clone()).href())),
            // A grant to a user who is gone gives nobody anything, and has no name to be shown by.
            None => return writer.rewind(before),
        },
        AcePrincipal::All => drop(writer.empty(ns::DAV, "all")),
        AcePrincipal::Authenticated => drop(writer.empty(ns::DAV, "authenticated")),
        AcePrincipal::Unauthenticated => drop(writer.empty(ns::DAV, "unauthenticated")),
        AcePrincipal::Owner => drop(writer.open(ns::DAV, "property").empty(ns::DAV, "owner").close()),
        AcePrincipal::Itself => drop(writer.empty(ns::DAV, "self")),
    }
    writer.close().open(ns::DAV, "grant");
    write_privileges(writer, ace.grant);
    writer.close();
    if let Some(from) = inherited {
        writer.open(ns::DAV, "inherited").element(ns::DAV, "href", &from.href()).close();
    }
    writer.close();
}

fn acl_restrictions(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    writer.empty(ns::DAV, "grant-only").empty(ns::DAV, "no-invert");
    Written
}

fn inherited_acl_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let Some(node) = target.node() else { return Missing };
    if target.object().is_some() {
        writer.element(ns::DAV, "href", &node.path.href());
    }
    for (from, _) in node.inherited() {
        writer.element(ns::DAV, "href", &from.href());
    }
    Written
}

fn principal_collection_set(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    writer.element(ns::DAV, "href", &Path::Principals.href());
    Written
}

/// Writes the privileges one by one, aggregates and their parts: several clients take `all` alone for read-only.
fn write_privileges(writer: &mut Writer, privileges: Privileges) {
    privileges.expanded().for_each(|privilege| write_privilege(writer, privilege));
}

fn write_privilege(writer: &mut Writer, privilege: Privilege) {
    let (namespace, local) = privilege_name(privilege);
    writer.open(ns::DAV, "privilege").empty(namespace, local).close();
}
