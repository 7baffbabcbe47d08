//! A group of records → the meeting (rules 5 to 8). Field by field: the best copy that says anything decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::identity::{is_exchange, join_links};
use super::join::Kind;
use super::meeting::{Decided, Joined, LeftOut, Why};
use super::{
    Answer, Content, DeletePolicy, Event, Explanation, Field, Group, Instance, Meeting, MentionKind, Orphan, Part,
    Policy, Presence, Provider, Recurrence, Resolved, Response, Role, SourceId, SourceRecord, Status, Transparency,
    Visibility, further, instances, local, time, write,
};
use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::zone::Zone;

/// The meeting that `group` of `records` is, for the person of `policy`; `groups` are all that [`super::join`] makes of them. A
/// function of the set.
pub fn resolve(records: &[&SourceRecord], groups: &[Group], group: &Group, policy: &Policy) -> Resolved {
    let mut explanation = Explanation::default();
    let left_behind = left_behind(records, groups, group, policy);
    let (gone, members): (Vec<&SourceRecord>, Vec<&SourceRecord>) = group
        .members
        .iter()
        .filter_map(|(index, _)| records.get(*index).copied())
        .partition(|record| left_behind.contains_key(&record.series()));
    for record in gone {
        let why = left_behind.get(&record.series()).copied().unwrap_or(Why::SeriesGone);
        explanation.left_out.push(LeftOut { source: record.source.clone(), why });
    }
    for (index, why) in &group.members {
        if let Some(record) = records.get(*index) {
            explanation.joined.push(Joined { source: record.source.clone(), why: why.clone() });
        }
    }
    let mut view = View { key: &group.key, members, policy, explanation, dead_joins: BTreeSet::new() };
    view.dead_joins = view.dead_joins();
    let Some(sourced) = view.meeting() else {
        return Resolved { meeting: None, unedited: None, explanation: view.explanation };
    };
    if !view.members.iter().any(|record| record.kind() == Kind::Local) {
        return Resolved { meeting: Some(sourced), unedited: None, explanation: view.explanation };
    }
    let mut edited = sourced.clone();
    let is_kept = local::overlay(&mut view, &mut edited);
    if !is_kept {
        view.explanation.gone = Some("a client deleted it here, and nothing material has changed since".to_owned());
    }
    Resolved { meeting: is_kept.then_some(edited), unedited: Some(sourced), explanation: view.explanation }
}

/// The rests of series (RANGE=THISANDFUTURE) in `group` that are none, and why: their series is gone or has come again since without
/// them, or a better copy of it says how it goes on.
fn left_behind(records: &[&SourceRecord], groups: &[Group], group: &Group, policy: &Policy) -> BTreeMap<SourceId, Why> {
    let why = |record: &SourceRecord| {
        let trunk = record.trunk()?;
        // Whoever tells of a rest tells of its series as well.
        let Some(index) = records.iter().position(|other| other.source == trunk) else {
            return Some(Why::SeriesGone);
        };
        let trunk = records[index];
        // What could not be read the last time has not said that there is no rest.
        let told = trunk.version_of(Field::Recurrence).unwrap_or_default().generation;
        if told > record.generation() || !trunk.is_live() && trunk.generation() >= record.generation() {
            return Some(Why::SeriesGone);
        }
        let whole = groups.iter().find(|group| group.members.iter().any(|(member, _)| *member == index))?;
        is_overruled(trunk, records, whole, policy).then_some(Why::Overruled)
    };
    let members = group.members.iter().filter_map(|(index, _)| records.get(*index));
    members.filter_map(|record| Some((record.source.clone(), why(record)?))).collect()
}

/// Whether another copy of the series `trunk`, which `group` is, comes before it: a better one, or the organiser's, which is gone
/// (rule 8).
fn is_overruled(trunk: &SourceRecord, records: &[&SourceRecord], group: &Group, policy: &Policy) -> bool {
    let born = born(&group.key);
    let own = precedence(trunk, born);
    let is_there = |copy: &SourceRecord| copy.is_live() && copy.content.status != Some(Status::Cancelled);
    let is_copy =
        |other: &SourceRecord| matches!(other.content.part, None | Some(Part::Event)) && other.kind() == Kind::Calendar;
    let members = group.members.iter().filter_map(|(index, _)| records.get(*index).copied());
    let copies: Vec<&SourceRecord> = members.filter(|other| is_copy(other)).collect();
    let organisers = || copies.iter().filter(|copy| copy.content.role == Some(Role::Organiser));
    let is_deleted = policy.delete == DeletePolicy::Organiser
        && organisers().next().is_some()
        && !organisers().any(|copy| is_there(copy));
    is_deleted || copies.iter().any(|copy| is_there(copy) && is_complete(copy) && precedence(copy, born) < own)
}

/// The provider that made the UID of the meeting with this key: the organiser's.
fn born(key: &str) -> Option<Provider> {
    let uid = key.strip_prefix("uid:")?;
    match () {
        () if is_exchange(uid) => Some(Provider::Microsoft),
        () if uid.ends_with("@google.com") => Some(Provider::Google),
        () => None,
    }
}

/// What a meeting is computed from.
pub(super) struct View<'a> {
    pub key: &'a str,
    pub members: Vec<&'a SourceRecord>,
    pub policy: &'a Policy,
    pub explanation: Explanation,
    /// Join ids of calls that are deleted.
    dead_joins: BTreeSet<String>,
}

impl<'a> View<'a> {
    fn meeting(&mut self) -> Option<Meeting> {
        let masters = self.masters();
        if let Some(why) = self.gone(&masters) {
            self.explanation.gone = Some(why.to_owned());
            return None;
        }
        let mut meeting = match masters.first() {
            Some(_) => self.with_master(&masters)?,
            None => self.alone()?,
        };
        self.annotate(&mut meeting);
        Some(meeting)
    }

    pub(super) fn leave_out(&mut self, record: &SourceRecord, why: Why) {
        self.explanation.left_out.push(LeftOut { source: record.source.clone(), why });
    }

    fn of_kind(&self, kinds: &[Kind]) -> Vec<&'a SourceRecord> {
        self.members.iter().filter(|record| kinds.contains(&record.kind())).copied().collect()
    }

    /// The live and complete events, the best copy first; the others are noted as left out.
    fn masters(&mut self) -> Vec<&'a SourceRecord> {
        let mut masters = Vec::new();
        for record in self.of_kind(&[Kind::Calendar, Kind::Chat, Kind::Call]) {
            if matches!(record.content.part, Some(Part::Instance { .. })) {
                continue;
            }
            if !record.is_live() {
                self.leave_out(record, Why::Gone);
            } else if !is_complete(record) {
                // An upstream resource without a master is nothing that waits.
                if record.content.started.is_none() && record.source.provider != Provider::Caldav {
                    self.leave_out(record, Why::Incomplete);
                }
            } else {
                masters.push(record);
            }
        }
        let born = self.born();
        masters.sort_by_key(|record| precedence(record, born));
        masters
    }

    /// The provider that made the UID: the organiser's.
    pub(super) fn born(&self) -> Option<Provider> {
        born(self.key)
    }

    /// Rule 8: why there is no meeting (any more), if so.
    fn gone(&self, masters: &[&SourceRecord]) -> Option<&'static str> {
        let calendar = self.of_kind(&[Kind::Calendar]);
        let events = || calendar.iter().filter(|r| !matches!(r.content.part, Some(Part::Instance { .. })));
        let is_organisers = |record: &&&SourceRecord| record.content.role == Some(Role::Organiser);
        let is_there = |record: &SourceRecord| record.is_live() && record.content.status != Some(Status::Cancelled);
        let by_organiser = self.policy.delete == DeletePolicy::Organiser;
        let mut own = events().filter(is_organisers).peekable();
        if by_organiser && own.peek().is_some() && !own.any(|record| is_there(record)) {
            return Some("the organiser's copy is gone or cancelled (8)");
        }
        if events().next().is_some() && !events().any(|record| is_there(record)) {
            return Some("no calendar copy is left (8)");
        }
        let best = masters.first()?;
        let is_cancelled = |record: &SourceRecord| record.content.status == Some(Status::Cancelled);
        let all_cancelled = masters.iter().all(|record| is_cancelled(record));
        if is_cancelled(best) && (by_organiser || all_cancelled) {
            return Some("the copy that decides is cancelled (5, 8)");
        }
        None
    }

    fn with_master(&mut self, masters: &[&'a SourceRecord]) -> Option<Meeting> {
        let usable: Vec<&SourceRecord> =
            masters.iter().filter(|record| record.content.status != Some(Status::Cancelled)).copied().collect();
        let best = usable.first()?;
        let contents: Vec<&SourceRecord> = usable.clone();
        let mut event = self.event(&contents, None)?;
        let answers = self.answers(None);
        self.answer(&mut event, &answers, &contents, None);
        let mut recurrence = best.content.recurrence.clone().unwrap_or_default();
        let exdates = std::mem::take(&mut recurrence.exdates);
        recurrence.rdates.sort();
        recurrence.rdates.dedup();
        if recurrence.is_empty() {
            recurrence = Recurrence::default();
        }
        self.decide(Field::Recurrence, None, best, "the best copy's (5)");
        let mut meeting = self.empty(event, recurrence);
        if meeting.is_series() {
            instances::add(self, &mut meeting, best, &exdates, &answers);
        }
        self.note_instances(&usable, &meeting);
        Some(meeting)
    }

    fn empty(&self, event: Event, recurrence: Recurrence) -> Meeting {
        Meeting {
            key: self.key.to_owned(),
            uid: write::uid_of(self.key),
            event,
            recurrence,
            alone: None,
            instances: BTreeMap::new(),
            started: None,
            ended: None,
            sources: Vec::new(),
            mentions: BTreeSet::new(),
        }
    }

    /// Nobody knows the series: the instances that stand on their own.
    fn alone(&mut self) -> Option<Meeting> {
        let mut standing: BTreeMap<Utc, (&'a SourceRecord, DateOrTime)> = BTreeMap::new();
        let born = self.born();
        let mut instances: Vec<&SourceRecord> = self.of_kind(&[Kind::Calendar]);
        instances.sort_by_key(|record| precedence(record, born));
        for record in instances {
            let Some(Part::Instance { original_start, orphan, .. }) = &record.content.part else { continue };
            let series = self.members.iter().find(|other| other.source == record.series());
            let is_gone = series.is_some_and(|series| {
                !series.is_live() || is_complete(series) || series.generation() > record.generation()
            });
            if is_gone {
                self.leave_out(record, Why::SeriesGone);
            } else if *orphan == Orphan::Waits {
                self.leave_out(record, Why::Parked);
            } else if record.is_live() && is_complete(record) && record.content.status != Some(Status::Cancelled) {
                let key = time::key_of(original_start, &Zone::utc());
                standing.entry(key).or_insert((record, original_start.clone()));
            }
        }
        let mut meeting: Option<Meeting> = None;
        for (key, (record, original)) in standing {
            let own = [record];
            let mut event = self.event(&own, Some(key))?;
            let answers = self.answers(Some(key));
            self.answer(&mut event, &answers, &own, Some(key));
            let original = time::in_zone(&original, record.content.zone.as_deref());
            match &mut meeting {
                None => {
                    let mut first = self.empty(event, Recurrence::default());
                    first.alone = Some(original);
                    meeting = Some(first);
                }
                Some(meeting) => {
                    meeting.instances.insert(key, Instance::Changed(original, Box::new(event)));
                }
            }
        }
        meeting
    }

    /// Notes what became of the instances of all copies but the best.
    fn note_instances(&mut self, masters: &[&SourceRecord], meeting: &Meeting) {
        let best = masters.first().map(|record| record.source.clone());
        for record in self.members.clone() {
            let Some(Part::Instance { .. }) = &record.content.part else { continue };
            let series = record.series();
            if best.as_ref() == Some(&series) && meeting.is_series() {
                continue;
            }
            let own = self.members.iter().find(|other| other.source == series);
            match own {
                _ if record.kind() == Kind::Local => {}
                None => self.leave_out(record, Why::Parked),
                Some(own) if !own.is_live() => self.leave_out(record, Why::SeriesGone),
                Some(_) => {}
            }
        }
    }

    pub(super) fn decide(&mut self, field: Field, instance: Option<Utc>, record: &SourceRecord, rule: &str) {
        let decided = Decided { field, instance, source: record.source.clone(), rule: rule.to_owned() };
        self.explanation.decided.push(decided);
    }

    /// The first record that says something of `field`, in order of precedence.
    fn first<'r>(
        &mut self,
        field: Field,
        instance: Option<Utc>,
        records: &[&'r SourceRecord],
    ) -> Option<&'r SourceRecord> {
        for (place, record) in records.iter().enumerate() {
            if record.content.says(field) {
                let rule = if place == 0 { "the best copy's (5)" } else { "better copies do not say it (5)" };
                self.decide(field, instance, record, rule);
                return Some(record);
            }
            if says_empty(record, field) {
                return None;
            }
        }
        None
    }

    /// The event that `records` describe, the best first.
    pub(super) fn event(&mut self, records: &[&SourceRecord], instance: Option<Utc>) -> Option<Event> {
        let timed = records.iter().copied().find(|record| record.content.start.is_some())?;
        self.decide(Field::Start, instance, timed, "the best copy's (5)");
        let (start, end) = when(&timed.content, records)?;
        macro_rules! pick {
            ($field:ident, $name:ident) => {
                self.first(Field::$field, instance, records).and_then(|record| record.content.$name.clone())
            };
        }
        let mut event = Event {
            title: pick!(Title, title).map(clean).unwrap_or_default(),
            description: pick!(Description, description).map(clean).unwrap_or_default(),
            location: pick!(Location, location).map(clean).unwrap_or_default(),
            start,
            end,
            status: pick!(Status, status).unwrap_or(Status::Confirmed),
            transparency: pick!(Transparency, transparency).unwrap_or(Transparency::Opaque),
            visibility: pick!(Visibility, visibility).unwrap_or(Visibility::Public),
            organizer: pick!(Organizer, organizer).filter(|person| !person.email.is_empty()),
            attendees: pick!(Attendees, attendees).unwrap_or_default(),
            response: None,
            join_url: self.join_url(instance, records),
            reminders: pick!(Reminders, reminders).map(in_order).unwrap_or_default(),
            url: pick!(Url, url).filter(|url| !url.is_empty()),
            categories: pick!(Categories, categories).unwrap_or_default(),
            conferences: pick!(Conferences, conferences).unwrap_or_default(),
            attachments: pick!(Attachments, attachments).unwrap_or_default(),
            geo: pick!(Geo, geo),
            priority: pick!(Priority, priority),
            color: pick!(Color, color),
            further: String::new(),
        };
        if let Some(told) = self.first(Field::Further, instance, records) {
            event.further = beside(&told.content, &event);
        }
        Some(event)
    }

    /// Where to join: the best copy's link, but a call's own word for its link (its password changes), and none to a call that
    /// is deleted. An instance that is an event of its own and names none has none, whatever its series has.
    fn join_url(&mut self, instance: Option<Utc>, records: &[&SourceRecord]) -> Option<String> {
        let calls: Vec<&SourceRecord> =
            self.of_kind(&[Kind::Chat, Kind::Call]).into_iter().filter(|record| record.is_live()).collect();
        let all: Vec<&SourceRecord> = records.iter().copied().chain(calls.iter().copied()).collect();
        for (place, record) in all.into_iter().enumerate() {
            let Some((id, url)) = self.link_of(&record.content) else {
                if place + 1 < records.len() && says_empty(record, Field::JoinUrl) {
                    return None;
                }
                continue;
            };
            let own = calls
                .iter()
                .find(|call| call.kind() == Kind::Call && id.as_deref() == Some(&format!("zoom:{}", call.series().id)));
            let theirs = own.and_then(|call| call.content.join_url.clone()).filter(|url| !url.is_empty());
            let (decider, rule) = match &theirs {
                Some(_) => (own.copied().unwrap_or(record), "the call's own link"),
                None => (record, "the best copy that has a link"),
            };
            self.decide(Field::JoinUrl, instance, decider, rule);
            return Some(theirs.unwrap_or(url));
        }
        None
    }

    fn link_of(&self, content: &Content) -> Option<(Option<String>, String)> {
        if let Some(url) = content.join_url.as_ref().filter(|url| !url.is_empty()) {
            let id = join_links(url).into_iter().next().map(|(id, _)| id);
            if id.as_ref().is_none_or(|id| !self.dead_joins.contains(id)) {
                return Some((id, url.clone()));
            }
        }
        let texts = [&content.location, &content.description].into_iter().flatten();
        let mut links = texts.flat_map(|text| join_links(text));
        links.find(|(id, _)| !self.dead_joins.contains(id)).map(|(id, url)| (Some(id), url))
    }

    fn dead_joins(&self) -> BTreeSet<String> {
        let calls = self.of_kind(&[Kind::Call]);
        let (live, dead): (Vec<&SourceRecord>, Vec<&SourceRecord>) = calls
            .into_iter()
            .filter(|call| !matches!(call.content.part, Some(Part::Instance { .. })))
            .partition(|call| call.is_live());
        let ids = |calls: Vec<&SourceRecord>| -> BTreeSet<String> {
            calls.iter().map(|call| format!("zoom:{}", call.source.id)).collect()
        };
        ids(dead).difference(&ids(live)).cloned().collect()
    }

    /// The answers of the person's addresses, each as that address's own copies say: of the instance if they know it, else of
    /// the event.
    pub(super) fn answers(&self, instance: Option<Utc>) -> BTreeMap<String, Response> {
        let mut answers: BTreeMap<String, Response> = BTreeMap::new();
        for record in self.of_kind(&[Kind::Calendar]).into_iter().filter(|record| record.is_live()) {
            let key = match &record.content.part {
                Some(Part::Instance { original_start, .. }) => Some(time::key_of(original_start, &Zone::utc())),
                _ => None,
            };
            let Some(Answer { address, response }) = record.content.answer.as_ref().filter(|_| key == instance) else {
                continue;
            };
            let address = address.to_lowercase();
            let answer = answers.entry(address).or_default();
            *answer = (*answer).max(*response);
        }
        answers
    }

    /// Rule 6: the greatest answer over all of the person's addresses.
    pub(super) fn answer(
        &mut self,
        event: &mut Event,
        answers: &BTreeMap<String, Response>,
        records: &[&SourceRecord],
        instance: Option<Utc>,
    ) {
        let mine = |address: &str| {
            let address = address.to_lowercase();
            self.policy.addresses.contains(&address) || answers.contains_key(&address)
        };
        let organises = event.organizer.as_ref().is_some_and(|person| mine(&person.email));
        let listed = event.attendees.iter().filter(|one| mine(&one.person.email));
        let said = listed
            .map(|one| answers.get(&one.person.email.to_lowercase()).copied().unwrap_or(one.response))
            .chain(answers.values().copied())
            .chain(organises.then_some(Response::Accepted));
        event.response = said.max();
        let Some(response) = event.response else { return };
        for attendee in &mut event.attendees {
            if self.policy.addresses.contains(&attendee.person.email.to_lowercase())
                || answers.contains_key(&attendee.person.email.to_lowercase())
            {
                attendee.response = response;
            }
        }
        let decider = self
            .members
            .iter()
            .find(|record| record.content.answer.as_ref().is_some_and(|answer| answer.response == response))
            .or(records.first())
            .copied();
        if let Some(decider) = decider {
            self.decide(Field::Answer, instance, decider, "the greatest answer over all addresses (6)");
        }
    }

    /// What the call was in truth, where it was mentioned, and what it all came from.
    fn annotate(&mut self, meeting: &mut Meeting) {
        let calls = self.of_kind(&[Kind::Call]);
        let last = calls.iter().filter(|call| call.content.started.is_some());
        if let Some(call) = last.max_by_key(|call| (call.content.started, Reverse(&call.source))) {
            // An end before the start is that of an earlier run.
            let ended = call.content.ended.filter(|ended| Some(*ended) >= call.content.started);
            (meeting.started, meeting.ended) = (call.content.started, ended);
            self.decide(Field::Started, None, call, "what the call was in truth");
        }
        for record in self.members.iter().filter(|record| record.is_live()) {
            if let Some(mention) = record.content.mention.as_ref().filter(|mention| mention.kind == MentionKind::Link) {
                meeting.mentions.insert(format!("slack:mention:{}", mention.channel));
            }
        }
        let waiting: BTreeSet<SourceId> = self.explanation.left_out.iter().map(|one| one.source.clone()).collect();
        let counts = |record: &&&SourceRecord| {
            let is_cancelled_instance =
                matches!(record.content.part, Some(Part::Instance { .. })) && record.presence() == Presence::Deleted;
            !matches!(record.kind(), Kind::Mention | Kind::Local)
                && (record.is_live() || is_cancelled_instance)
                && !waiting.contains(&record.source)
        };
        meeting.sources = self.members.iter().filter(counts).map(|record| record.source.clone()).collect();
        meeting.sources.sort();
    }
}

/// Whether enough is known to show it: a start, and a title, which may only be missing where the source says so.
fn is_complete(record: &SourceRecord) -> bool {
    record.content.start.is_some() && (record.content.title.is_some() || record.whole.is_some())
}

/// Whether a copy that is whole, and that may see the title, says by its silence that there is none. An override that comes as an event
/// of its own is complete (RFC 5545 §3.8.4.4).
fn says_empty(record: &SourceRecord, field: Field) -> bool {
    let is_own_event = matches!(record.content.part, Some(Part::Instance { orphan: Orphan::Stands, .. }));
    if record.whole.is_some() && is_own_event && is_left_out(field) {
        return true;
    }
    let can_see = record.whole.is_some() && record.content.title.is_some();
    let by_silence = matches!(field, Field::Description | Field::Location);
    can_see && by_silence && matches!(record.content.role, Some(Role::Organiser | Role::Attendee | Role::Caldav))
}

/// Whether an event that has none of it does not have the property at all.
fn is_left_out(field: Field) -> bool {
    use Field::{Attachments, Color, Conferences, Further, Geo, JoinUrl, Priority, Url};
    matches!(field, Attachments | Color | Conferences | Further | Geo | JoinUrl | Priority | Url)
}

/// What `content` says further, beside an `event` whose place, people and reminders may be those of another copy.
fn beside(content: &Content, event: &Event) -> String {
    let mut said = content.further.clone().unwrap_or_default();
    if content.location.as_deref().unwrap_or_default() != event.location {
        said = further::without_place(&said);
    }
    if content.attendees.as_deref().unwrap_or_default() != event.attendees {
        said = further::without_people(&said);
    }
    if in_order(content.reminders.clone().unwrap_or_default()) != event.reminders {
        said = further::without_alarms(&said);
    }
    said
}

/// Rule 5, the best first.
pub(super) fn precedence(
    record: &SourceRecord,
    born: Option<Provider>,
) -> (Role, bool, Provider, Reverse<i64>, SourceId) {
    let role = record.content.role.unwrap_or(match record.source.provider {
        Provider::Google | Provider::Microsoft => Role::Attendee,
        Provider::Caldav => Role::Caldav,
        Provider::Generic => Role::Generic,
        Provider::Ics => Role::Feed,
        Provider::Zoom => Role::Zoom,
        Provider::Slack => Role::Slack,
        Provider::Local => Role::Local,
    });
    let is_foreign = born.is_some_and(|born| born != record.source.provider);
    let stamp = record.version_of(Field::Start).unwrap_or_default().stamp;
    (role, is_foreign, record.source.provider, Reverse(stamp), record.source.clone())
}

/// Start and end in the best zone known: the record's own, else that of the next copy that names one.
fn when(content: &Content, records: &[&SourceRecord]) -> Option<(DateOrTime, DateOrTime)> {
    let named = |content: &Content| {
        let zone = content.zone.clone().filter(|zone| Zone::named(zone).is_some());
        zone.or_else(|| content.start.as_ref()?.tzid().map(str::to_owned))
    };
    let zone = named(content).or_else(|| records.iter().find_map(|record| named(&record.content)));
    let start = time::in_zone(content.start.as_ref()?, zone.as_deref());
    let end = time::end_of(&start, content.end.as_ref());
    Some((start, end))
}

/// A text as it survives being written and read: one kind of line end, no other control characters.
fn clean(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// Reminders as they survive being written and read.
fn in_order(mut minutes: Vec<i64>) -> Vec<i64> {
    minutes.retain(|minutes| (0..=525_600).contains(minutes));
    minutes.sort_unstable();
    minutes.dedup();
    minutes
}
