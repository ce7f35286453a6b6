//! Much of everything: what is found is right, and nothing is left over. How long it takes is for the benches to say.

use super::*;
use std::collections::BTreeSet;

const PATTERNS: usize = 100_000;

/// A sequence of numbers that looks like chance.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn word(&mut self) -> String {
        let bound = [3, 30, 3000][self.below(3)];
        format!("w{}", self.below(bound))
    }

    fn pattern(&mut self) -> String {
        let words = 1 + self.below(4);
        let words: Vec<_> = (0..words)
            .map(|_| match self.below(12) {
                0 => "#".to_owned(),
                1 | 2 => "*".to_owned(),
                _ => self.word(),
            })
            .collect();
        words.join(".")
    }

    fn key(&mut self) -> String {
        let words = 1 + self.below(4);
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(".")
    }
}

#[test]
fn a_hundred_thousand_patterns_match_as_the_linear_matcher_does_while_they_come_and_go() {
    const QUEUES: usize = 500;
    let (mut site, none, mut numbers) = (Site::new(), Table::new(), Numbers(7));
    for n in 0..QUEUES {
        site.queue(&format!("q{n}")).unwrap();
    }
    let actor = Actor {
        vhost: "/",
        user: "guest",
        connection: ConnectionId(1),
    };
    let Site { topology, changes, .. } = &mut site;
    let mut bound: BTreeSet<(String, usize)> = BTreeSet::new();
    let mut list: Vec<(String, usize)> = Vec::new();
    let mut churn = |topology: &mut Topology, list: &mut Vec<(String, usize)>, bind: usize, unbind: usize| {
        for _ in 0..bind {
            let (pattern, queue) = (numbers.pattern(), numbers.below(QUEUES));
            let name = format!("q{queue}");
            topology
                .bind_queue(&actor, name.as_bytes(), b"amq.topic", pattern.as_bytes(), &none, changes)
                .unwrap();
            if bound.insert((pattern.clone(), queue)) {
                list.push((pattern, queue));
            }
        }
        for _ in 0..unbind {
            let (pattern, queue) = list.swap_remove(numbers.below(list.len()));
            let name = format!("q{queue}");
            topology
                .unbind_queue(&actor, name.as_bytes(), b"amq.topic", pattern.as_bytes(), &none, changes)
                .unwrap();
            bound.remove(&(pattern, queue));
        }
        changes.clear();
        numbers.key()
    };
    churn(topology, &mut list, PATTERNS, 0);
    for _ in 0..4 {
        let key = churn(topology, &mut list, 2000, 2000);
        let mut out = Vec::new();
        topology
            .route("/", b"amq.topic", &[key.as_bytes()], &mut Facts::default, &mut out)
            .unwrap();
        let reached: BTreeSet<_> = out.iter().map(|target| target.queue).collect();
        let matching = list.iter().filter(|(pattern, _)| model::topic_matches(pattern, &key));
        let id = |queue: &usize| topology.find_queue("/", format!("q{queue}").as_bytes()).unwrap().id;
        let expected: BTreeSet<_> = matching.map(|(_, queue)| id(queue)).collect();
        assert_eq!(reached, expected, "{key}");
    }
    let all = list.len();
    churn(topology, &mut list, 0, all);
    topology.invariants();
    assert_eq!(topology.bindings("/").count(), 0);
}

#[test]
fn many_queues_with_bindings_of_every_kind_leave_nothing_behind() {
    const QUEUES: usize = 5_000;
    let (mut topology, mut changes, none) = (Topology::new(), Vec::new(), Table::new());
    let actor = Actor {
        vhost: "/",
        user: "guest",
        connection: ConnectionId(1),
    };
    let exchanges = ["amq.direct", "amq.fanout", "amq.topic", "amq.headers"];
    for n in 0..QUEUES {
        let name = format!("q{n}").into_bytes();
        let declare = QueueDeclare {
            name: &name,
            durable: true,
            ..QueueDeclare::default()
        };
        topology.declare_queue(&actor, &declare, &mut changes).unwrap();
        for exchange in exchanges {
            let key = format!("all.{}", n % 7);
            topology
                .bind_queue(&actor, &name, exchange.as_bytes(), key.as_bytes(), &none, &mut changes)
                .unwrap();
        }
    }
    let mut out = Vec::new();
    topology
        .route("/", b"amq.topic", &[b"all.3"], &mut Facts::default, &mut out)
        .unwrap();
    assert_eq!(out.len(), QUEUES / 7);
    for n in (0..QUEUES).rev() {
        topology.delete_queue("/", format!("q{n}").as_bytes(), &mut changes).unwrap();
    }
    topology.invariants();
    assert_eq!(topology.bindings("/").count(), 0);
    let ids = topology.records();
    assert_eq!(ids.len(), 1, "only which ids were given out stays");
}
