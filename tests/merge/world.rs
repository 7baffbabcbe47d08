//! The smallest thing that keeps records: newest of each field, sweeps kept, everything resolved at the end.

use std::collections::{BTreeMap, BTreeSet};

use kalends::ical::DateOrTime;
use kalends::merge::{
    Absorbed, Content, End, Generation, Meeting, Part, Person, Policy, Provider, Resolved, Role, Scope, SourceId,
    SourceRecord, Sweep, Version, join, resolve, to_ical,
};

/// What arrives.
#[derive(Debug, Clone)]
pub enum Arrival {
    Record(Box<SourceRecord>),
    Sweep(Sweep),
}

impl From<SourceRecord> for Arrival {
    fn from(record: SourceRecord) -> Self {
        Self::Record(Box::new(record))
    }
}

#[derive(Debug, Clone, Default)]
pub struct World {
    pub records: BTreeMap<SourceId, SourceRecord>,
    pub sweeps: BTreeMap<Scope, Sweep>,
    pub policy: Policy,
}

impl World {
    pub fn of(addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect::<BTreeSet<_>>();
        Self { policy: Policy { addresses, ..Policy::default() }, ..Self::default() }
    }

    pub fn take(&mut self, arrival: impl Into<Arrival>) -> Option<Absorbed> {
        match arrival.into() {
            Arrival::Record(record) => Some(self.take_record(*record)),
            Arrival::Sweep(sweep) => {
                let kept = self.sweeps.entry(sweep.scope.clone()).or_insert_with(|| sweep.clone());
                if kept.generation < sweep.generation {
                    *kept = sweep;
                }
                let kept = kept.clone();
                self.records.values_mut().for_each(|record| apply(record, &kept));
                None
            }
        }
    }

    fn take_record(&mut self, record: SourceRecord) -> Absorbed {
        let sweep = self.sweeps.get(&record.source.scope()).cloned();
        let source = record.source.clone();
        let done = match self.records.get_mut(&source) {
            Some(known) => known.absorb(&record),
            None => {
                self.records.insert(source.clone(), record);
                Absorbed::Applied
            }
        };
        if let (Some(sweep), Some(known)) = (sweep, self.records.get_mut(&source)) {
            apply(known, &sweep);
        }
        done
    }

    pub fn all(&self) -> Vec<Resolved> {
        let records: Vec<&SourceRecord> = self.records.values().collect();
        let groups = join(&records);
        groups.iter().map(|group| resolve(&records, &groups, group, &self.policy)).collect()
    }

    pub fn meetings(&self) -> Vec<Meeting> {
        self.all().into_iter().filter_map(|one| one.meeting).collect()
    }

    /// All there is to see, as bytes.
    pub fn seen(&self) -> BTreeMap<String, String> {
        self.meetings().iter().map(|meeting| (meeting.uid.clone(), to_ical(meeting))).collect()
    }

    pub fn only(&self) -> Meeting {
        let mut meetings = self.meetings();
        assert_eq!(meetings.len(), 1, "{:#?}", self.all());
        meetings.remove(0)
    }
}

fn apply(record: &mut SourceRecord, sweep: &Sweep) {
    if let Some(gone) = record.swept(sweep) {
        record.absorb(&gone);
    }
}

pub const BERLIN: &str = "Europe/Berlin";

/// A UTC time, `20261110T130000Z`.
pub fn utc(text: &str) -> DateOrTime {
    DateOrTime::parse(text, None).expect(text)
}

/// A local time in Berlin, `20261110T140000`.
pub fn berlin(text: &str) -> DateOrTime {
    DateOrTime::parse(text, Some(BERLIN)).expect(text)
}

pub fn google(id: &str) -> SourceId {
    SourceId::new(Provider::Google, "mara@northwind.example", id).in_calendar("primary")
}

pub fn microsoft(id: &str) -> SourceId {
    SourceId::new(Provider::Microsoft, "mara.lindqvist@contoso.example", id)
}

pub fn zoom(id: &str) -> SourceId {
    SourceId::new(Provider::Zoom, "AcctInvented01", id)
}

pub fn slack(id: &str) -> SourceId {
    SourceId::new(Provider::Slack, "T0NORTHW1", id)
}

pub fn feed(id: &str) -> SourceId {
    SourceId::new(Provider::Ics, "club", id)
}

pub fn version(generation: u64, stamp: i64) -> Version {
    Version::new(Generation(generation), stamp, 0)
}

/// An event with the fields that all have.
pub fn event(role: Role, uid: &str, title: &str, start: DateOrTime, seconds: i64) -> Content {
    Content {
        role: Some(role),
        part: Some(Part::Event),
        uid: Some(uid.to_owned()),
        title: Some(title.to_owned()),
        start: Some(start),
        end: Some(End::After(seconds)),
        zone: Some(BERLIN.to_owned()),
        organizer: Some(Person::of("jonas@northwind.example")),
        ..Content::default()
    }
}
