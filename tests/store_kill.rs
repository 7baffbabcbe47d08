//! A process is killed while it writes; what it was told is committed must be there, and nothing in halves.
//! The process is this test binary itself, started again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "store/support.rs"]
#[allow(dead_code)]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use kalends::base::{CollectionId, Revision};
use kalends::model::{ChangeKind, SyncToken};
use kalends::store::{Engine, Options, Store};
use support::{OWNER, Place, all_changes, commit, found, put, runtime};

const WRITERS: u64 = 4;
const ROUNDS: u64 = 4;
const DIR: &str = "KALENDS_TEST_KILL_DIR";
const ENGINE: &str = "KALENDS_TEST_KILL_ENGINE";

/// How large the values are: small ones, and some that engines keep apart.
fn content(number: u64) -> String {
    format!("{number} ").repeat(if number % 9 == 8 { 20_000 } else { 200 })
}

/// One writer: each batch has an object of its own and says in another one how far it got.
async fn write(store: Store, id: CollectionId, writer: u64, from: u64) {
    for number in from.. {
        let own = put(id, &format!("{writer}-{number}"), &content(number));
        let latest = put(id, &format!("{writer}-latest"), &number.to_string());
        commit(&store, vec![own, latest]).await.unwrap();
        let token = store.collection(id).await.unwrap().unwrap().sync_token();
        // A line is one write to the pipe, so that lines of two writers do not mix.
        std::io::stdout().write_all(format!("\nacknowledged {writer} {number} {token}\n").as_bytes()).unwrap();
    }
}

async fn latest(store: &Store, id: CollectionId, writer: u64) -> Option<u64> {
    let (_, bytes) = store.content(id, &format!("{writer}-latest")).await.unwrap()?;
    std::str::from_utf8(&bytes).unwrap().parse().ok()
}

/// The part of the process that is killed. It does nothing when the tests are run as such.
#[test]
fn writing_child() {
    let (Ok(dir), Ok(engine)) = (std::env::var(DIR), std::env::var(ENGINE)) else { return };
    let engine = Engine::named(&engine).unwrap();
    runtime().block_on(async {
        let store = Store::open(&Options { engine, ..support::options(dir.as_ref(), engine) }).unwrap();
        let home = store.principal(OWNER).await.unwrap().unwrap().home;
        let id = store.child(home, "default").await.unwrap().unwrap().id;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let from = latest(&store, id, writer).await.map_or(0, |number| number + 1);
            writers.spawn(write(store.clone(), id, writer, from));
        }
        writers.join_all().await;
    });
}

fn spawn(place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writing_child", "--nocapture", "--test-threads=1"])
        .env(DIR, place.path())
        .env(ENGINE, place.engine.name())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a child write until it was told so many things, kills it, and returns all that it was told.
fn killed(place: &Place, after: usize) -> (BTreeMap<u64, u64>, Vec<SyncToken>) {
    let mut child = spawn(place);
    let mut told = BTreeMap::new();
    let mut tokens = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    for line in lines.filter(|line| line.starts_with("acknowledged")) {
        let mut words = line.split(' ').skip(1);
        // The last line may be cut off by the kill.
        let (Some(writer), Some(number), Some(token)) = (words.next(), words.next(), words.next()) else { continue };
        let Some(token) = SyncToken::parse(token) else { continue };
        told.insert(writer.parse().unwrap(), number.parse().unwrap());
        tokens.push(token);
        if tokens.len() == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(tokens.len() >= after, "the child ended by itself");
    (told, tokens)
}

async fn verify(store: &Store, id: CollectionId, told: &BTreeMap<u64, u64>, tokens: &[SyncToken]) {
    for (writer, number) in told {
        let latest = latest(store, id, *writer).await.expect("it was acknowledged");
        assert!(latest >= *number, "writer {writer} was told {number} and the store has {latest}");
        for number in 0..=latest {
            let found = store.content(id, &format!("{writer}-{number}")).await.unwrap();
            assert_eq!(found.expect("its batch is there").1, content(number));
        }
        assert!(store.object(id, &format!("{writer}-{}", latest + 1)).await.unwrap().is_none());
    }
    let collection = store.collection(id).await.unwrap().unwrap();
    // The bytes were all read back, so what a token named before the kill is still so.
    assert!(tokens.iter().all(|token| token.revision > collection.revision || collection.accepts(*token)));
    let changes = all_changes(store, id, Revision(0)).await;
    assert!(changes.iter().all(|change| change.kind == ChangeKind::Object));
    assert_eq!(changes.len() as u64, collection.objects);
    assert_eq!(store.check().await.unwrap(), []);
}

fn kills_lose_nothing(engine: Engine) {
    let place = Place::new(engine);
    let id = runtime().block_on(async { found(&place.open()).await.1 });
    for round in 0..ROUNDS {
        let after = 20 + usize::try_from(round * 37 % 90).unwrap();
        let (told, tokens) = killed(&place, after);
        runtime().block_on(async { verify(&place.open(), id, &told, &tokens).await });
    }
}

#[test]
fn killing_a_writer_on_sled_loses_nothing() {
    kills_lose_nothing(Engine::Sled);
}

#[test]
fn killing_a_writer_on_fjall_loses_nothing() {
    kills_lose_nothing(Engine::Fjall);
}
