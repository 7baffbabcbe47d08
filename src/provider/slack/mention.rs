//! Links and call blocks in messages: mentions, a record for each message and meeting.

use std::collections::BTreeSet;

use super::micros;
use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::merge::{
    Content, Mention, MentionKind, Part, Presence, Provider, Role, SourceId, SourceRecord, Version, join_ids,
};
use crate::provider::Account;
use crate::provider::json::{Fields, Wrong};

/// Blocks of a message that are looked at.
const BLOCKS_MAX: usize = 100;
/// Meetings that one message can mention.
const MENTIONS_MAX: usize = 20;

/// What a `message` event says: a message, an edited or a deleted one.
pub(super) fn records(account: &Account, event: &Fields<'_>) -> Result<Vec<SourceRecord>, Wrong> {
    let channel = event.needed_text("channel")?;
    let outer = time(event, "event_ts")?.or(time(event, "ts")?);
    let stamp = outer.ok_or_else(|| event.wrong("ts", "is missing"))?;
    let mentions = Mentions { account, channel, stamp };
    match event.text("subtype")?.as_deref() {
        Some("message_changed") => {
            let (now, before) = (event.needed_object("message")?, event.object("previous_message")?);
            let (there, was) = (found(&now)?, before.as_ref().map(found).transpose()?.unwrap_or_default());
            let ts = now.needed_text("ts")?;
            let gone = was.iter().filter(|one| !there.contains(one));
            Ok(there
                .iter()
                .map(|one| mentions.record(&ts, one, Presence::Live))
                .chain(gone.map(|one| mentions.record(&ts, one, Presence::Deleted)))
                .collect())
        }
        Some("message_deleted") => {
            let Some(before) = event.object("previous_message")? else { return Ok(Vec::new()) };
            let ts = event.text("deleted_ts")?.or(before.text("ts")?).unwrap_or_default();
            Ok(found(&before)?.iter().map(|one| mentions.record(&ts, one, Presence::Deleted)).collect())
        }
        // An app's message counts for its call block alone: calendar apps only repeat what their calendars say themselves.
        Some("bot_message") => {
            let ts = event.needed_text("ts")?;
            let calls = found(event)?.into_iter().filter(|(_, kind)| *kind == MentionKind::Call);
            Ok(calls.map(|one| mentions.record(&ts, &one, Presence::Live)).collect())
        }
        _ => {
            let ts = event.needed_text("ts")?;
            Ok(found(event)?.iter().map(|one| mentions.record(&ts, one, Presence::Live)).collect())
        }
    }
}

/// A join id, and how it is mentioned.
type Found = (String, MentionKind);

/// The meetings that a message mentions.
fn found(message: &Fields<'_>) -> Result<BTreeSet<Found>, Wrong> {
    let mut all = BTreeSet::new();
    // An app's words count for nothing: calendar apps only repeat what their calendars say themselves.
    let is_apps = message.text("bot_id")?.is_some() || message.text("subtype")?.as_deref() == Some("bot_message");
    if let Some(text) = message.text("text")?.filter(|_| !is_apps) {
        all.extend(join_ids(&text).into_iter().map(|id| (id, MentionKind::Link)));
    }
    for block in message.objects("blocks")?.iter().take(BLOCKS_MAX) {
        if block.text("type")?.as_deref() != Some("call") {
            continue;
        }
        let Some(call) = block.object("call")? else { continue };
        let Some(call) = call.object("v1")? else { continue };
        let urls = [call.text("join_url")?, call.text("desktop_app_join_url")?];
        let ids = urls.iter().flatten().flat_map(|url| join_ids(url));
        all.extend(ids.map(|id| (id, MentionKind::Call)));
    }
    Ok(all.into_iter().take(MENTIONS_MAX).collect())
}

fn time(fields: &Fields<'_>, name: &str) -> Result<Option<i64>, Wrong> {
    match fields.text(name)? {
        None => Ok(None),
        Some(text) => micros(&text).map(Some).ok_or_else(|| fields.wrong(name, "must be a time as Slack writes it")),
    }
}

/// Where and when messages are.
struct Mentions<'a> {
    account: &'a Account,
    channel: String,
    stamp: i64,
}

impl Mentions<'_> {
    fn record(&self, ts: &str, (id, kind): &Found, presence: Presence) -> SourceRecord {
        let source = format!("mention:{}:{ts}:{id}", self.channel);
        let source = SourceId::new(Provider::Slack, &self.account.key.name, &source);
        let at = micros(ts).unwrap_or(self.stamp) / 1_000_000;
        let content = Content {
            role: Some(Role::Slack),
            part: Some(Part::Event),
            presence: Some(presence),
            mention: Some(Mention { channel: self.channel.clone(), kind: *kind }),
            join_ids: Some(BTreeSet::from([id.clone()])),
            start: Some(DateOrTime::Utc(Utc(at).naive())),
            ..Content::default()
        };
        let rank = u64::from(presence == Presence::Deleted);
        SourceRecord::whole(source, Version::of_stamp(self.stamp).ranked(rank), content)
    }
}
