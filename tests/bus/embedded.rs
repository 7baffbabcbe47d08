//! The contract on the embedded bus: no other process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalends::base::CollectionId;
use kalends::bus::Consumer;
use kalends::bus::embedded::{Group, Member};
use kalends::service::{Context, outbox};

use crate::contract::{self, Bench};
use crate::support;

struct Embedded {
    context: Arc<Context>,
    calendars: Vec<CollectionId>,
    groups: BTreeMap<String, Group>,
    published: usize,
}

impl Bench for Embedded {
    type Consumer = Member;

    async fn publish(&mut self, count: usize) {
        support::change(&self.context, &self.calendars, count).await;
        self.published += count;
    }

    async fn join(&mut self, group: &str) -> Member {
        if !self.groups.contains_key(group) {
            let opened = Group::open(Arc::clone(&self.context), group).await.expect("it opens");
            self.groups.insert(group.to_owned(), opened);
        }
        self.groups[group].member()
    }

    async fn leave(&mut self, member: Member) {
        drop(member);
    }

    async fn dead_letters(&mut self, group: &str, _: usize) -> Vec<String> {
        let buried = outbox::buried(&self.context, Some(group), 100).await.expect("they are read");
        buried.into_iter().map(|one| one.reason).collect()
    }

    fn published(&self) -> usize {
        self.published
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_bus_keeps_the_contract() {
    let (context, calendars) = support::context(20).await;
    let mut bench = Embedded { context, calendars, groups: BTreeMap::new(), published: 0 };
    contract::all(&mut bench).await;
}

/// A process that ends without a word loses nothing: the group begins again behind what was acknowledged in a row.
#[tokio::test]
async fn a_group_that_is_opened_anew_begins_where_all_was_done() {
    let (context, calendars) = support::context(3).await;
    support::change(&context, &calendars, 10).await;
    let group = Group::open(Arc::clone(&context), "g").await.expect("it opens");
    let mut member = group.member();
    let taken = member.next(10, Duration::from_secs(1)).await.expect("they come");
    let but_the_fourth: Vec<_> = taken.iter().map(|one| one.position).filter(|position| position.offset != 4).collect();
    member.ack(&but_the_fourth).await.expect("acknowledged");
    let group = Group::open(Arc::clone(&context), "g").await.expect("it opens");
    let again = group.member().next(10, Duration::from_secs(1)).await.expect("they come");
    let seqs: Vec<i64> = again.iter().map(|one| one.position.offset).collect();
    assert_eq!(seqs, [4, 5, 6, 7, 8, 9, 10]);
}
