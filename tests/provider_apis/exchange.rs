//! An adapter driven by hand against a fake: what the runner does, without a store, so that each step can be looked at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use kalends::base::{PrincipalId, Secret, Utc};
use kalends::merge::{Generation, SourceId, SourceRecord};
use kalends::outbound::{Answer, Client, Policy, Reach, Request};
use kalends::provider::{
    Account, AccountKey, AccountSecrets, AccountState, Adapter, Channel, Delivered, Delivery, Next, Provider,
    PullState, Task, TaskDone, adapter,
};

use crate::fakes::{Api, Asked, Fake, Record, Reply};

/// The secret that proves bells.
pub const HOOK: &str = "kalends-hook-secret-1";

/// One account, and all that a runner would keep of it.
pub struct Exchange {
    client: Client,
    adapter: &'static dyn Adapter,
    pub account: Account,
    pub secrets: AccountSecrets,
    pub channels: Vec<Channel>,
    pub cursor: Option<String>,
    pub generation: u64,
    pub records: BTreeMap<SourceId, SourceRecord>,
    pub problems: Vec<String>,
    pub hook_url: Option<String>,
    pub now: Utc,
    ids: u32,
}

/// How a pull or a round of housekeeping ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Done,
    Wait(Option<u64>, String),
    Broken(String),
}

impl Exchange {
    pub fn new(provider: Provider, name: &str, base_url: &str) -> Self {
        let policy = Policy { reach: Reach::Private, response_bytes_max: 1 << 24, ..Policy::default() };
        let account = Account {
            key: AccountKey::new(provider, name).expect("a key"),
            owner: PrincipalId(1),
            calendar: "default".to_owned(),
            addresses: vec![name.to_owned()],
            calendars: Vec::new(),
            base_url: Some(base_url.to_owned()),
            token_url: Some(format!("{base_url}/token")),
            client_id: Some("kalends-client".to_owned()),
            options: BTreeMap::new(),
            poll_seconds: 300,
            state: AccountState::Active,
            created: Utc(0),
            collection: None,
        };
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let secrets = AccountSecrets {
            hook: secret(HOOK),
            refresh_token: secret("refresh-0"),
            client_secret: secret("kalends-client-secret"),
            ..AccountSecrets::default()
        };
        Self {
            client: Client::new(policy).expect("a client"),
            adapter: adapter(provider).expect("an adapter"),
            account,
            secrets,
            channels: Vec::new(),
            cursor: None,
            generation: 0,
            records: BTreeMap::new(),
            problems: Vec::new(),
            hook_url: None,
            now: Utc(1_795_348_800),
            ids: 0,
        }
    }

    /// The ids of what is there.
    pub fn live(&self) -> Vec<&str> {
        self.records.values().filter(|record| record.is_live()).map(|record| record.source.id.as_str()).collect()
    }

    pub fn record(&self, id: &str) -> &SourceRecord {
        self.records.values().find(|record| record.source.id == id).unwrap_or_else(|| panic!("no record of {id}"))
    }

    async fn send(&self, request: Request) -> Result<Answer, Ended> {
        self.client.send(request).await.map_err(|failure| Ended::Wait(None, failure.to_string()))
    }

    /// One pull, begun anew when its cursor is not taken.
    pub async fn pull(&mut self) -> Ended {
        for _ in 0..2 {
            self.generation += 1;
            let state = PullState {
                generation: Generation(self.generation),
                calendar: self.adapter.calendars(&self.account).remove(0),
                page: 1,
                cursor: self.cursor.clone(),
                next: None,
                started: self.now,
                dates_max: 1_000,
                series_max: 1_000,
                items_max: 1_000,
                further_bytes_max: 65_536,
            };
            match self.pages(state).await {
                Ok(()) => return Ended::Done,
                Err(Some(ended)) => return ended,
                Err(None) => self.cursor = None,
            }
        }
        panic!("a fresh listing was answered with 410");
    }

    async fn pages(&mut self, mut state: PullState) -> Result<(), Option<Ended>> {
        let mut refreshed = false;
        for _ in 0..1_000 {
            let request = self.adapter.request(&self.account, &self.secrets, &state).expect("a request");
            let answer = self.send(request).await?;
            let pulled = self.adapter.answer(&self.account, &state, &answer, self.now);
            self.problems.extend(pulled.problems);
            for record in pulled.records {
                self.take(record);
            }
            match pulled.next {
                Next::Page(next) => (state, refreshed) = (next, false),
                Next::Done { cursor, .. } => {
                    for record in self.records.clone().into_values() {
                        pulled
                            .sweep
                            .as_ref()
                            .and_then(|sweep| record.swept(sweep))
                            .into_iter()
                            .for_each(|r| self.take(r));
                    }
                    self.cursor = cursor;
                    return Ok(());
                }
                Next::Resync => return Err(None),
                Next::Refresh if !refreshed => {
                    refreshed = true;
                    self.task(&Task::RefreshToken).await?;
                }
                Next::Refresh => return Err(Some(Ended::Broken("401".to_owned()))),
                Next::Wait { seconds, reason } => return Err(Some(Ended::Wait(seconds, reason))),
                Next::Broken(reason) => return Err(Some(Ended::Broken(reason))),
            }
        }
        panic!("the pull finds no end");
    }

    fn take(&mut self, record: SourceRecord) {
        match self.records.get_mut(&record.source) {
            Some(known) => drop(known.absorb(&record)),
            None => drop(self.records.insert(record.source.clone(), record)),
        }
    }

    /// All housekeeping that is due.
    pub async fn upkeep(&mut self) -> Ended {
        for _ in 0..20 {
            let hook_url = self.hook_url.as_deref();
            let due = self.adapter.due(&self.account, &self.secrets, &self.channels, hook_url, self.now);
            let Some(task) = due else { return Ended::Done };
            if let Err(ended) = self.task(&task).await {
                return ended;
            }
        }
        panic!("the housekeeping finds no end");
    }

    async fn task(&mut self, task: &Task) -> Result<(), Ended> {
        self.ids += 1;
        let id = format!("0d7d0000-0000-4000-8000-{:012}", self.ids);
        let (account, secrets, hook_url) = (&self.account, &self.secrets, self.hook_url.as_deref());
        let request = self.adapter.task_request(account, secrets, task, hook_url, &id, self.now).expect("a request");
        let answer = self.send(request).await?;
        let gone = |channels: &mut Vec<Channel>| match task {
            Task::Renew(old) | Task::Close(old) => channels.retain(|channel| channel.id != old.id),
            _ => {}
        };
        match self.adapter.task_answer(&self.account, task, &answer, &id, self.now) {
            TaskDone::Done | TaskDone::Gone => gone(&mut self.channels),
            TaskDone::Tokens { access, expires, refresh } => {
                self.secrets.access_token = Some((access, expires));
                if refresh.is_some() {
                    self.secrets.refresh_token = refresh;
                }
            }
            TaskDone::Channel(channel) => {
                gone(&mut self.channels);
                self.channels.push(channel);
            }
            TaskDone::Refresh => self.secrets.access_token = None,
            TaskDone::Wait { seconds, reason } => return Err(Ended::Wait(seconds, reason)),
            TaskDone::Broken(reason) => return Err(Ended::Broken(reason)),
        }
        Ok(())
    }

    /// A server for the account's hook; what it made of each delivery is in the list.
    pub fn hook(&mut self) -> Arc<Mutex<Vec<Delivered>>> {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let hook = Hook {
            adapter: self.adapter,
            account: self.account.clone(),
            secrets: self.secrets.clone(),
            delivered: Arc::clone(&delivered),
            record: Record::default(),
        };
        let fake = Fake::start(|_: SocketAddr| hook);
        self.hook_url = Some(format!("{}/hooks/{}", fake.url(), self.account.key));
        delivered
    }
}

struct Hook {
    adapter: &'static dyn Adapter,
    account: Account,
    secrets: AccountSecrets,
    delivered: Arc<Mutex<Vec<Delivered>>>,
    record: Record,
}

impl Api for Hook {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, _: &Asked) -> &'static str {
        "hook"
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        let delivery = Delivery {
            method: asked.method.clone(),
            query: Some(asked.raw_query.clone()).filter(|query| !query.is_empty()),
            headers: asked.headers.clone(),
            body: asked.body.clone().into(),
            at: Utc(1_795_348_800),
        };
        let delivered = self.adapter.deliver(&self.account, &self.secrets, &delivery);
        let body = String::from_utf8(delivered.body.to_vec()).expect("a text");
        let reply = Reply { body, ..Reply::empty(delivered.status) }.header("content-type", delivered.content_type);
        self.delivered.lock().expect("nobody panics").push(delivered);
        reply
    }
}
