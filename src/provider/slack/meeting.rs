//! `kalends_meeting` metadata: our own contract, a meeting in a message.

use crate::ical::DateOrTime;
use crate::merge::{
    Attendee, AttendeeKind, Content, End, Part, Person, Presence, Provider, Response, Role, SourceId, SourceRecord,
    Version,
};
use crate::provider::Account;
use crate::provider::json::{Fields, Wrong};

/// The metadata's event type.
const TYPE: &str = "kalends_meeting";
/// People that one message can invite.
const INVITEES_MAX: usize = 500;

/// The record of a message's metadata in the field `name`. `rank`: within one revision posted (0) is older than updated (1), and
/// that than deleted (2).
pub(super) fn said(account: &Account, event: &Fields<'_>, name: &str, rank: u64) -> Result<Vec<SourceRecord>, Wrong> {
    let metadata = event.needed_object(name)?;
    if metadata.text("event_type")?.as_deref() != Some(TYPE) {
        return Ok(Vec::new());
    }
    let payload = metadata.needed_object("event_payload")?;
    let key = payload.needed_text("meeting_key")?;
    let rev = payload.number("rev")?.ok_or_else(|| payload.wrong("rev", "is missing"))?;
    if rev < 0 {
        return Err(payload.wrong("rev", "must not be negative"));
    }
    let is_cancelled = match payload.text("action")?.as_deref() {
        None | Some("upsert") => false,
        Some("cancel") => true,
        Some(_) => return Err(payload.wrong("action", "must be upsert or cancel")),
    };
    let mut content = content(&payload, &key)?;
    if is_cancelled || rank == 2 {
        content.presence = Some(Presence::Deleted);
    } else if content.start.is_none() {
        return Err(payload.wrong("start", "is missing"));
    }
    let source = SourceId::new(Provider::Slack, &account.key.name, &key);
    Ok(vec![SourceRecord::whole(source, Version::of_stamp(rev).ranked(rank), content)])
}

fn content(payload: &Fields<'_>, key: &str) -> Result<Content, Wrong> {
    let (start, end) = (payload.instant("start")?, payload.instant("end")?);
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        return Err(payload.wrong("end", "is before the start"));
    }
    let invitees = payload.text("invitees")?.unwrap_or_default();
    let attendees: Vec<Attendee> = addresses(&invitees).map(invited).collect();
    if attendees.len() > INVITEES_MAX {
        return Err(payload.wrong("invitees", format!("names more than {INVITEES_MAX} people")));
    }
    Ok(Content {
        role: Some(Role::Slack),
        part: Some(Part::Event),
        presence: Some(Presence::Live),
        meeting_key: Some(key.to_owned()),
        title: payload.text("title")?,
        start: start.map(|at| DateOrTime::Utc(at.naive())),
        end: end.map(|at| End::At(DateOrTime::Utc(at.naive()))),
        zone: payload.text("tz")?.filter(|zone| !zone.is_empty()),
        join_url: payload.text("join_url")?.filter(|url| !url.is_empty()),
        organizer: payload.text("organizer_email")?.filter(|address| address.contains('@')).map(|one| Person::of(&one)),
        attendees: (!attendees.is_empty()).then_some(attendees),
        ..Content::default()
    })
}

fn addresses(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|address| address.contains('@'))
}

fn invited(address: &str) -> Attendee {
    Attendee { person: Person::of(address), response: Response::NeedsAction, kind: AttendeeKind::Required }
}
