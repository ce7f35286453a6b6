//! Queues that an operator has paused.

use super::*;
use crate::topology::queue::QueueDeclare;

#[test]
fn a_durable_queue_stays_paused_over_a_restart_and_under_policies() {
    let mut site = Site::new();
    for (name, durable) in [("durable", true), ("transient", false)] {
        let declare = QueueDeclare {
            name: name.as_bytes(),
            durable,
            ..QueueDeclare::default()
        };
        site.declare_queue(declare).unwrap();
    }
    let pause = |site: &mut Site, name: &str, paused: bool| {
        let mut changes = Vec::new();
        let told = site.topology.pause_queue("/", name.as_bytes(), paused, &mut changes);
        for Change { key, value } in &changes {
            site.store.insert(key.clone(), value.clone().unwrap());
        }
        site.topology.invariants();
        told.map(|told| {
            told.iter()
                .map(|(_, settings)| settings.as_ref().is_some_and(|settings| settings.paused))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(pause(&mut site, "none", true), None);
    assert_eq!(pause(&mut site, "durable", true), Some(vec![true]));
    assert_eq!(pause(&mut site, "durable", true), Some(vec![]), "it is already");
    assert_eq!(pause(&mut site, "transient", true), Some(vec![true]));
    let is_paused = |site: &Site, name: &str| {
        let queue = site.topology.find_queue("/", name.as_bytes()).unwrap();
        let settings = site.topology.settings(queue.id);
        settings.is_some_and(|settings| settings.paused) && site.topology.is_paused(queue.id)
    };
    let terms = table([
        ("pattern", text(".*")),
        ("definition", Value::from(table([("max-length", Value::from(5))]))),
    ]);
    let mut changes = Vec::new();
    site.topology.set_policy(PolicyKind::User, "/", "p", &terms, &mut changes).unwrap();
    assert!(
        is_paused(&site, "durable") && is_paused(&site, "transient"),
        "a policy changes other things"
    );
    let mut again = site.restarted();
    assert!(is_paused(&again, "durable"));
    assert_eq!(pause(&mut again, "durable", false), Some(vec![false]));
    assert!(!is_paused(&again.restarted(), "durable"));
}
