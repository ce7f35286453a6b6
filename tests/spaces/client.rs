//! The same by the Rust client.

use std::time::Duration;

use stoa_client::pattern::{any, ge, int};
use stoa_client::{Connection, Space, Template, Tuple, template, tuple};

use super::{unique, within};
use crate::support::Broker;

async fn connect(broker: &Broker) -> Connection {
    within("the connection", Connection::open(&broker.uri())).await.unwrap()
}

fn job(n: i64) -> Tuple {
    tuple!["job", n]
}

fn jobs() -> Template {
    template!["job", int()]
}

async fn count(space: &Space<'_>, template: &Template) -> u32 {
    within("a count", space.count(template)).await.unwrap()
}

#[tokio::test]
async fn lindas_operations() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let space = connection.space(&unique("linda")).await.unwrap();
    for n in 0..5 {
        within("out", space.out(&job(n))).await.unwrap();
    }
    within("out", space.out(&tuple! { "kind": "config", "limit": 7 })).await.unwrap();
    assert_eq!(
        (count(&space, &jobs()).await, count(&space, &template! { "kind": any() }).await),
        (5, 1)
    );
    let first = within("in", space.take(&jobs())).await.unwrap();
    assert_eq!(first.tuple(), job(0));
    assert_eq!(count(&space, &jobs()).await, 4);
    let copy = within("rd", space.read(&template!["job", ge(3)])).await.unwrap();
    assert!(!copy.is_redelivered());
    // Dropped, it is back.
    drop(first);
    let again = within("in", space.take(&template!["job", 0])).await.unwrap();
    assert!(again.is_redelivered());
    within("done", again.done()).await.unwrap();
    assert!(within("inp", space.try_take(&template!["job", 0])).await.unwrap().is_none());
    assert!(within("rdp", space.try_read(&template!["nothing"])).await.unwrap().is_none());
    assert_eq!(within("rd all", space.read_all(&jobs())).await.unwrap().len(), 4);
    let many = within("take many", space.take_many(&jobs(), 3)).await.unwrap();
    assert_eq!(many.deliveries().len(), 3);
    within("done", many.done()).await.unwrap();
    assert_eq!(count(&space, &jobs()).await, 1);
    let waited = within("in", space.take_within(&template!["never"], Duration::from_millis(10)))
        .await
        .unwrap();
    assert!(waited.is_none());
}

#[tokio::test]
async fn takers_wait_and_watchers_follow() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let (connection, other) = (connect(&broker).await, connect(&broker).await);
    let name = unique("linda");
    let (space, there) = (connection.space(&name).await.unwrap(), other.space(&name).await.unwrap());
    within("out", space.out(&job(1))).await.unwrap();
    let mut watcher = within("watch", there.watch(&jobs())).await.unwrap();
    within("what is there", watcher.next()).await.unwrap().unwrap();
    let template = template!["result", 1];
    let (taken, ()) = tokio::join!(within("a result", there.take(&template)), async {
        let job = within("a job", space.take(&jobs())).await.unwrap();
        let transaction = within("a transaction", space.transaction()).await.unwrap();
        within("out", transaction.out(&tuple!["result", 1])).await.unwrap();
        assert!(within("rdp", space.try_read(&template!["result", any()])).await.unwrap().is_none());
        within("commit", transaction.commit()).await.unwrap();
        within("done", job.done()).await.unwrap();
    });
    within("done", taken.unwrap().done()).await.unwrap();
    within("out", space.out(&job(2))).await.unwrap();
    within("what comes", watcher.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn leases_end_unless_they_are_renewed() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let space = connection.space(&unique("linda")).await.unwrap();
    let (member, members) = (tuple! { "member": "a" }, template! { "member": "a" });
    within("out", space.out_for(&member, Duration::from_secs(1))).await.unwrap();
    assert!(within("renew", space.renew(&members, Duration::from_millis(30))).await.unwrap());
    crate::support::eventually("the end of the lease", async || {
        let gone = within("rdp", space.try_read(&members)).await.unwrap().is_none();
        gone.then_some(())
    })
    .await;
    assert!(!within("renew", space.renew(&members, Duration::from_secs(1))).await.unwrap());
    let transaction = within("a transaction", space.transaction()).await.unwrap();
    within("out", space.out(&member)).await.unwrap();
    within("in", transaction.take(&members)).await.unwrap();
    assert_eq!(count(&space, &members).await, 0);
    within("rollback", transaction.rollback()).await.unwrap();
    assert_eq!(count(&space, &members).await, 1);
}
