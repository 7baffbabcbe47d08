//! Does what an adapter asks for, over the network, and keeps what it says.

use std::collections::BTreeMap;

use kalends::base::{PrincipalId, Secret, Utc};
use kalends::merge::{Generation, Provider};
use kalends::outbound::{Answer, Client, Policy, Ports, Reach};
use kalends::provider::{Account, AccountKey, AccountSecrets, AccountState, Next, PullState, Pulled, adapter};

use crate::world::{Arrival, World};

/// 22 November 2026, noon.
pub const NOW: Utc = Utc(1_795_348_800);

pub struct Puller {
    pub account: Account,
    pub secrets: AccountSecrets,
    pub cursor: Option<String>,
    pub generation: u64,
    pub world: World,
    /// Records that the last pull brought.
    pub brought: usize,
    /// Requests that the last pull took.
    pub asked: usize,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

/// How a pull ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Done(Option<u64>),
    Waits(Option<u64>, String),
    Refresh,
    Broken(String),
    Lost,
}

impl Puller {
    pub fn new(provider: Provider, base_url: Option<String>, calendars: Vec<String>) -> Self {
        let account = Account {
            key: AccountKey::new(provider, "mara").expect("a key"),
            owner: PrincipalId(1),
            calendar: "default".to_owned(),
            addresses: vec!["mara@northwind.example".to_owned()],
            calendars,
            base_url,
            token_url: None,
            client_id: None,
            options: BTreeMap::new(),
            poll_seconds: 3_600,
            state: AccountState::Active,
            created: NOW,
            collection: None,
        };
        let policy = Policy {
            reach: Reach::Private,
            https_only: false,
            ports: Ports::Any,
            response_bytes_max: 1 << 24,
            ..Policy::default()
        };
        Self {
            account,
            secrets: AccountSecrets::default(),
            cursor: None,
            generation: 0,
            world: World::of(&["mara@northwind.example"]),
            brought: 0,
            asked: 0,
            client: Client::new(policy).expect("a client"),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        }
    }

    pub fn password(mut self, name: &str, password: &str) -> Self {
        self.account.client_id = Some(name.to_owned());
        self.secrets.password = Some(Secret::new(password.to_owned()));
        self
    }

    /// Pulls the account's first calendar to the end.
    pub fn pull(&mut self) -> Ended {
        let adapter = adapter(self.account.key.provider).expect("it has an adapter");
        let calendar = adapter.calendars(&self.account).remove(0);
        self.generation += 1;
        (self.brought, self.asked) = (0, 0);
        let mut pull = PullState {
            generation: Generation(self.generation),
            calendar,
            page: 1,
            cursor: self.cursor.clone(),
            next: None,
            started: NOW,
            dates_max: 1_000,
            series_max: 1_000,
            items_max: 1_000,
            further_bytes_max: 65_536,
        };
        for _ in 0..200 {
            let request = adapter.request(&self.account, &self.secrets, &pull).expect("a request");
            self.asked += 1;
            let answer: Answer = match self.runtime.block_on(self.client.send(request)) {
                Ok(answer) => answer,
                Err(_) => return Ended::Lost,
            };
            let Pulled { records, sweep, next, .. } = adapter.answer(&self.account, &pull, &answer, NOW);
            self.brought += records.len();
            for record in records {
                self.world.take(record);
            }
            if let Some(sweep) = sweep {
                self.world.take(Arrival::Sweep(sweep));
            }
            match next {
                Next::Page(state) => pull = state,
                Next::Done { cursor, poll_seconds } => {
                    self.cursor = cursor.or(self.cursor.take());
                    return Ended::Done(poll_seconds);
                }
                Next::Resync => self.cursor = None,
                Next::Refresh => return Ended::Refresh,
                Next::Wait { seconds, reason } => return Ended::Waits(seconds, reason),
                Next::Broken(reason) => return Ended::Broken(reason),
            }
        }
        panic!("the pull never ends");
    }

    pub fn titles(&self) -> Vec<String> {
        let mut titles: Vec<String> = self.world.meetings().into_iter().map(|meeting| meeting.event.title).collect();
        titles.sort();
        titles
    }
}

/// A stream of events, each of them a UID, a start in UTC and a title.
pub fn stream(events: &[(&str, &str, &str)]) -> String {
    let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n".to_owned();
    for (uid, start, title) in events {
        text.push_str(&format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nSUMMARY:{title}\r\nEND:VEVENT\r\n"
        ));
    }
    text + "END:VCALENDAR\r\n"
}

pub fn sample(path: &str) -> String {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
