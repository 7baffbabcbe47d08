//! The same histories through the ingestion and the store: what clients see is what merging says, in every order, and a repetition
//! changes nothing that anybody could see.

use std::collections::BTreeMap;

use kalends::base::{Limits, Secret};
use kalends::merge::{Provider, SourceId};
use kalends::model::UserName;
use kalends::provider::{Account, AccountKey, AccountSecrets};
use kalends::service::accounts::{self, NewUser};
use kalends::service::providers::{self, Entry, ProviderSettings, Providers, Vault};
use kalends::service::{Context, ingest};
use kalends::store::{Engine, Options, Store};

use crate::world::Arrival;

/// A server with the accounts of the histories.
pub struct Server {
    context: Context,
    accounts: BTreeMap<Provider, Account>,
}

impl Server {
    pub async fn new() -> Self {
        let options = Options {
            dir: std::path::PathBuf::new(),
            engine: Engine::Memory,
            cache_bytes: 1 << 20,
            tombstones_max: 1_000,
        };
        let mut context = Context::new(Store::open(&options).expect("a store in memory"), Limits::default());
        let key = Secret::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
        let vault = Some(Vault::new(&key).expect("a key"));
        context.providers = Providers::new(ProviderSettings { vault, ..ProviderSettings::default() });
        let user = UserName::new("mara").expect("a name");
        let emails = vec!["mara@northwind.example".to_owned()];
        let new = NewUser { name: user.clone(), display_name: None, emails, password: None, admin: false };
        accounts::create(&context, new).await.expect("a user");
        let mut server = Self { context, accounts: BTreeMap::new() };
        let sources: [SourceId; 5] = [
            crate::world::google(""),
            crate::world::microsoft(""),
            crate::world::zoom(""),
            crate::world::slack(""),
            crate::world::feed(""),
        ];
        for source in sources {
            server.add(&user, &source).await;
        }
        server
    }

    async fn add(&mut self, user: &UserName, source: &SourceId) {
        let key = AccountKey::new(source.provider, &source.account).expect("a key");
        let entry = Entry {
            calendars: vec!["https://club.example/feed.ics".to_owned()],
            secrets: AccountSecrets {
                hook: Some(Secret::new("hook".to_owned())),
                refresh_token: Some(Secret::new("refresh".to_owned())),
                ..AccountSecrets::default()
            },
            ..Entry::new(key.clone(), user.clone(), "default")
        };
        providers::add(&self.context, entry).await.expect("the account is added");
        let account = providers::account(&self.context, &key).await.expect("it is there");
        self.accounts.insert(source.provider, account);
    }

    pub async fn take(&self, arrival: &Arrival) {
        match arrival {
            Arrival::Record(record) => {
                let account = &self.accounts[&record.source.provider];
                ingest::apply(&self.context, account, vec![(**record).clone()]).await.expect("applied");
            }
            Arrival::Sweep(sweep) => {
                let account = &self.accounts[&sweep.scope.provider];
                ingest::sweep(&self.context, account, sweep).await.expect("swept");
            }
        }
    }

    /// The objects that clients see, by UID.
    pub async fn seen(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        for view in ingest::show(&self.context, None).await.expect("the meetings") {
            let uid = view.summary["uid"].as_str().expect("a UID").to_owned();
            let bytes = ingest::object_bytes(&self.context, &view).await.expect("the store reads");
            let text = String::from_utf8(bytes.expect("each is shown").to_vec()).expect("UTF-8");
            assert!(seen.insert(uid, text).is_none(), "a meeting twice");
        }
        seen
    }

    /// Where the store's log of changes stands.
    pub async fn revision(&self) -> u64 {
        let user = UserName::new("mara").expect("a name");
        let store = &self.context.store;
        let principal = store.principal_named(&user).await.expect("it reads").expect("the user");
        let calendar = store.child(principal.home, "default").await.expect("it reads").expect("the calendar");
        calendar.revision.0
    }
}
