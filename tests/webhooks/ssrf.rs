//! Where the client does not go, over real sockets: a listener on loopback that must not hear a thing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use kalends::outbound::{Client, Failure, Policy, Ports, Reach, Request, Resolve, Resolved, Target};
use kalends::service::webhooks::{Class, NewEndpoint};
use tokio::net::TcpListener;

use crate::house::{House, quick};
use crate::receiver::Receiver;

/// As open as the public internet can be: any port, plain HTTP.
fn open(time: Duration) -> Policy {
    Policy { https_only: false, ports: Ports::Any, ..crate::house::patience(time) }
}

/// For addresses that nobody is expected to answer at.
const SHORT: Duration = Duration::from_millis(700);

async fn get(client: &Client, url: &str) -> Result<u16, Failure> {
    let answer = client.send(Request::new(Method::POST, Target::parse(url)?, Bytes::from_static(b"{}"))).await?;
    Ok(answer.status.as_u16())
}

#[tokio::test]
async fn no_spelling_leads_to_this_machine() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heard);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let client = Client::new(open(SHORT)).expect("a client");
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "localhost",
        "LOCALHOST",
        "%6cocalhost",
        "%31%32%37.0.0.1",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let failure = get(&client, &format!("http://{host}:{port}/")).await.expect_err(host);
        assert!(matches!(failure, Failure::Blocked { .. } | Failure::BadUrl(_)), "{host}: {failure:?}");
    }
    for url in
        [format!("http://user@127.0.0.1:{port}/"), format!("http://a:b@localhost:{port}/"), "file:///etc/passwd".into()]
    {
        assert!(matches!(get(&client, &url).await, Err(Failure::BadUrl(_))), "{url}");
    }
    assert_eq!(heard.load(Ordering::SeqCst), 0, "nobody knocked");
}

/// Says one thing the first time and another thing afterwards.
struct Rebinding {
    asked: AtomicUsize,
    answers: Vec<Vec<IpAddr>>,
}

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolved<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[asked.min(self.answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    }
}

fn rebinding(answers: &[&[&str]]) -> Arc<Rebinding> {
    let read = |list: &&[&str]| list.iter().map(|text| text.parse().expect("an address")).collect();
    Arc::new(Rebinding { asked: AtomicUsize::new(0), answers: answers.iter().map(read).collect() })
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let receiver = Receiver::good().await;
    let url = format!("http://rebind.example:{}/", receiver.address.port());
    // 192.0.2.1 would be public, were it not for documentation; nobody answers at 1.0.0.0 here.
    for answers in [
        &[&["127.0.0.1"] as &[&str]] as &[&[&str]],
        &[&["1.1.1.1", "127.0.0.1"]],
        &[&["127.0.0.1", "1.1.1.1"]],
        &[&["2606:4700::1111", "::1"]],
        &[&["::ffff:127.0.0.1"]],
    ] {
        let client = Client::with_resolver(open(SHORT), rebinding(answers)).expect("a client");
        assert!(matches!(get(&client, &url).await, Err(Failure::Blocked { .. })), "{answers:?}");
    }
    // One lookup for a connection: what was looked at is what is connected to, so the second answer is never asked for.
    let resolver = rebinding(&[&["240.0.0.1"], &["127.0.0.1"]]);
    let client = Client::with_resolver(open(SHORT), resolver.clone()).expect("a client");
    assert!(get(&client, &url).await.is_err());
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn one_lookup_serves_a_connection_and_a_kept_connection_none() {
    let receiver = Receiver::good().await;
    let url = format!("http://inside.example:{}/", receiver.address.port());
    let resolver = rebinding(&[&["127.0.0.1"], &["8.8.8.8"]]);
    let policy = Policy { reach: Reach::Private, ..open(Duration::from_secs(60)) };
    let client = Client::with_resolver(policy, resolver.clone()).expect("a client");
    for _ in 0..5 {
        assert_eq!(get(&client, &url).await.expect("answered"), 204);
    }
    assert_eq!((resolver.asked.load(Ordering::SeqCst), receiver.count()), (1, 5));
    let host = format!("inside.example:{}", receiver.address.port());
    assert!(receiver.seen()[0].headers.contains(&("host".into(), host)));
}

#[tokio::test]
async fn a_blocked_endpoint_is_not_tried_again() {
    let house = House::new(quick(&[0, 10, 10, 10])).await;
    let new = house.new_endpoint("https://127.0.0.1/").await;
    let id = house.add(NewEndpoint { allow_private: false, ..new }).await.0.id;
    house.put("u1", "x").await;
    let attempt = house.wait_for_attempts(id, 1).await.remove(0);
    assert_eq!((attempt.class, attempt.next), (Class::Blocked, None));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(house.attempts(id).await.len(), 1);
}
