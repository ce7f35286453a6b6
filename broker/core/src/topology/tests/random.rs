//! Random histories: the topology routes as the model does, and comes back from the store as it was.

use super::*;
use proptest::prelude::*;

/// One request. Names are drawn from a few, so that requests meet.
#[derive(Clone, Debug)]
enum Step {
    DeclareExchange {
        name: usize,
        kind: usize,
        durable: bool,
        auto_delete: bool,
        alternate: Option<usize>,
    },
    DeleteExchange {
        name: usize,
        if_unused: bool,
    },
    DeclareQueue {
        name: usize,
        durable: bool,
        exclusive: bool,
    },
    DeleteQueue {
        name: usize,
    },
    Bind {
        queue: usize,
        exchange: usize,
        key: usize,
        arguments: usize,
    },
    Unbind {
        queue: usize,
        exchange: usize,
        key: usize,
        arguments: usize,
    },
    BindExchange {
        destination: usize,
        source: usize,
        key: usize,
    },
    UnbindExchange {
        destination: usize,
        source: usize,
        key: usize,
    },
    ChangeVhost {
        add: bool,
    },
    ChangeUser {
        add: bool,
    },
    Permit {
        give: bool,
    },
    SetPolicy {
        operator: bool,
        name: usize,
        pattern: usize,
        priority: i64,
        definition: usize,
    },
    ClearPolicy {
        operator: bool,
        name: usize,
    },
    Limit {
        user: bool,
        connections: bool,
        limit: Option<i64>,
    },
    Topics {
        give: bool,
    },
    Restart,
}

const EXCHANGES: [&str; 7] = ["x0", "x1", "x2", "x3", "amq.topic", "amq.direct", "amq.headers"];
const QUEUES: [&str; 5] = ["q0", "q1", "q2", "q3", "q4"];
const KINDS: [&str; 9] = [
    "direct",
    "fanout",
    "topic",
    "headers",
    "x-consistent-hash",
    "x-modulus-hash",
    "x-random",
    "x-local-random",
    "x-delayed-message",
];
const KEYS: [&str; 9] = ["", "a", "b", "a.b", "a.*", "#", "#.b", "a.#.b", "3"];

fn arguments(n: usize) -> Table {
    match n {
        0 | 1 => Table::new(),
        2 => table([("h", Value::from(1))]),
        3 => table([("x-match", text("any")), ("h", Value::from(2_i64)), ("g", Value::Void)]),
        4 => table([("x-match", text("all-with-x")), ("x-h", text("v"))]),
        _ => table([("x-match", text("nonsense"))]),
    }
}

/// What a policy says, valid or not.
const POLICIES: [&str; 3] = ["p0", "p1", "p2"];
const PATTERNS: [&str; 5] = ["^x", "[02]$", ".*", "^q", "("];

fn definition(n: usize) -> Table {
    match n {
        0 => table([("alternate-exchange", text("x1")), ("max-length", Value::from(5))]),
        1 => table([("alternate-exchange", text("amq.topic"))]),
        2 => table([("max-length", Value::from(3)), ("queue-mode", text("lazy"))]),
        _ => table([("max-length", Value::from(-3))]),
    }
}

fn messages() -> [Table; 5] {
    [
        table([("x-delay", Value::from(5)), ("h", Value::from(1))]),
        Table::new(),
        table([("h", Value::from(1_u8)), ("x-h", text("v"))]),
        table([("h", Value::from(2))]),
        table([("g", text("")), ("x-h", text("w"))]),
    ]
}

fn kind(operator: bool) -> PolicyKind {
    if operator { PolicyKind::Operator } else { PolicyKind::User }
}

fn step() -> impl Strategy<Value = Step> {
    let (x, q, k) = (0..EXCHANGES.len(), 0..QUEUES.len(), 0..KEYS.len());
    let (a, b) = (0_usize..6, any::<bool>);
    prop_oneof![
        6 => (0_usize..4, 0..KINDS.len(), b(), prop::bool::weighted(0.3), prop::option::weighted(0.3, x.clone()))
            .prop_map(|(name, kind, durable, auto_delete, alternate)| Step::DeclareExchange { name, kind, durable, auto_delete, alternate }),
        1 => (x.clone(), b()).prop_map(|(name, if_unused)| Step::DeleteExchange { name, if_unused }),
        6 => (q.clone(), b(), prop::bool::weighted(0.2)).prop_map(|(name, durable, exclusive)| Step::DeclareQueue { name, durable, exclusive }),
        2 => q.clone().prop_map(|name| Step::DeleteQueue { name }),
        12 => (q.clone(), x.clone(), k.clone(), a.clone()).prop_map(|(queue, exchange, key, arguments)| Step::Bind { queue, exchange, key, arguments }),
        6 => (q, x.clone(), k.clone(), a).prop_map(|(queue, exchange, key, arguments)| Step::Unbind { queue, exchange, key, arguments }),
        6 => (x.clone(), x.clone(), k.clone()).prop_map(|(destination, source, key)| Step::BindExchange { destination, source, key }),
        3 => (x.clone(), x, k).prop_map(|(destination, source, key)| Step::UnbindExchange { destination, source, key }),
        1 => prop::bool::weighted(0.7).prop_map(|add| Step::ChangeVhost { add }),
        1 => prop::bool::weighted(0.7).prop_map(|add| Step::ChangeUser { add }),
        1 => prop::bool::weighted(0.7).prop_map(|give| Step::Permit { give }),
        1 => (b(), 0..POLICIES.len(), 0..PATTERNS.len(), 0_i64..3, 0_usize..4)
            .prop_map(|(operator, name, pattern, priority, definition)| Step::SetPolicy { operator, name, pattern, priority, definition }),
        1 => (b(), 0..POLICIES.len()).prop_map(|(operator, name)| Step::ClearPolicy { operator, name }),
        2 => (b(), b(), prop::option::weighted(0.6, -1_i64..4))
            .prop_map(|(user, connections, limit)| Step::Limit { user, connections, limit }),
        1 => b().prop_map(|give| Step::Topics { give }),
        1 => Just(Step::Restart),
    ]
}

impl Site {
    /// Does one step. Many are refused; that they are is as good a step as any.
    fn take(&mut self, step: &Step) {
        let refused = match *step {
            Step::DeclareExchange {
                name,
                kind,
                durable,
                auto_delete,
                alternate,
            } => {
                let alternate = alternate.map(|at| ("alternate-exchange", text(EXCHANGES[at])));
                let declare = ExchangeDeclare {
                    name: EXCHANGES[name].as_bytes(),
                    kind: KINDS[kind].as_bytes(),
                    durable,
                    auto_delete,
                    arguments: alternate.into_iter().chain([("x-delayed-type", text("topic"))]).collect(),
                    ..ExchangeDeclare::default()
                };
                self.declare_exchange(declare)
            }
            Step::DeleteExchange { name, if_unused } => self.delete_exchange(EXCHANGES[name], if_unused),
            Step::DeclareQueue { name, durable, exclusive } => {
                let declare = QueueDeclare {
                    name: QUEUES[name].as_bytes(),
                    durable,
                    exclusive,
                    ..QueueDeclare::default()
                };
                self.declare_queue(declare).map(drop)
            }
            Step::DeleteQueue { name } => {
                self.delete_queue(QUEUES[name]);
                Ok(())
            }
            Step::Bind {
                queue,
                exchange,
                key,
                arguments: at,
            } => self.bind(QUEUES[queue], EXCHANGES[exchange], KEYS[key], &arguments(at)),
            Step::Unbind {
                queue,
                exchange,
                key,
                arguments: at,
            } => self.unbind(QUEUES[queue], EXCHANGES[exchange], KEYS[key], &arguments(at)),
            Step::BindExchange { destination, source, key } => self.bind_exchange(EXCHANGES[destination], EXCHANGES[source], KEYS[key]),
            Step::UnbindExchange { destination, source, key } => self.unbind_exchange(EXCHANGES[destination], EXCHANGES[source], KEYS[key]),
            Step::ChangeVhost { .. } | Step::ChangeUser { .. } | Step::Permit { .. } => {
                self.administer(step);
                Ok(())
            }
            Step::SetPolicy {
                operator,
                name,
                pattern,
                priority,
                definition: at,
            } => {
                let terms = table([
                    ("pattern", text(PATTERNS[pattern])),
                    ("priority", Value::from(priority)),
                    ("definition", Value::from(definition(at))),
                ]);
                drop(self.put_policy(kind(operator), POLICIES[name], &terms));
                Ok(())
            }
            Step::ClearPolicy { operator, name } => {
                drop(self.clear(kind(operator), POLICIES[name]));
                Ok(())
            }
            Step::Limit { user, connections, limit } => {
                let (of, owner, other) = if user {
                    (LimitOf::User, "ann", MAX_CHANNELS)
                } else {
                    (LimitOf::Vhost, self.vhost, MAX_QUEUES)
                };
                let name = if connections { MAX_CONNECTIONS } else { other };
                match limit {
                    Some(limit) => drop(self.limit(of, owner, name, limit)),
                    None => drop(self.unlimit(of, owner, name)),
                }
                Ok(())
            }
            Step::Topics { give: true } => {
                drop(self.topics("ann", "amq.topic", "^a", "b"));
                Ok(())
            }
            Step::Topics { give: false } => {
                self.topology.clear_topic_permissions("ann", self.vhost, None, &mut self.changes);
                self.commit();
                Ok(())
            }
            Step::Restart => {
                *self = self.restarted();
                Ok(())
            }
        };
        drop(refused);
    }

    /// The other virtual host, and the other user: they come and go.
    fn administer(&mut self, step: &Step) {
        let (topology, changes) = (&mut self.topology, &mut self.changes);
        match step {
            Step::ChangeVhost { add: true } => drop(topology.add_vhost("other", changes)),
            Step::ChangeVhost { add: false } => drop(topology.delete_vhost("other", changes)),
            Step::ChangeUser { add: true } => drop(topology.put_user(User::new("ann", None, vec!["management".into()]), changes)),
            Step::ChangeUser { add: false } => drop(topology.delete_user("ann", changes)),
            Step::Permit { give: true } => {
                drop(topology.set_permissions("ann", "other", Permissions::new("^a", "", ".*").unwrap(), changes))
            }
            _ => drop(topology.clear_permissions("ann", "other", changes)),
        }
        topology.invariants();
        self.commit();
    }

    /// It routes as the model does, whatever the message.
    fn routes_as_the_model(&self) {
        for exchange in EXCHANGES {
            for key in KEYS {
                for headers in &messages() {
                    let mut out = Vec::new();
                    let mut decode = || Facts::from(headers.clone());
                    let routed = self
                        .topology
                        .route(self.vhost, exchange.as_bytes(), &[key.as_bytes()], &mut decode, &mut out);
                    let expected = model::route(&self.topology, self.vhost, exchange, key, headers);
                    assert_eq!(routed.is_ok(), self.topology.exchange(self.vhost, exchange.as_bytes()).is_some());
                    let ids: BTreeSet<_> = out.iter().map(|target| target.queue).collect();
                    assert_eq!(ids.len(), out.len(), "each once");
                    assert!(out.is_sorted(), "in order");
                    assert!(expected.allows(&ids), "{exchange} {key:?} {headers:?}: {ids:?} of {expected:?}");
                }
            }
        }
    }

    /// The store has what it must have, and from it comes the same topology without what was not to stay.
    fn comes_back(&self) {
        let records: BTreeMap<_, _> = self
            .topology
            .records()
            .into_iter()
            .map(|record| (record.key, record.value.unwrap()))
            .collect();
        assert_eq!(records, self.store);
        let restarted = self.restarted();
        assert_eq!(restarted.topology.records(), self.topology.records());
        let durable = self.topology.queues("/").filter(|queue| queue.durable);
        let mut durable: Vec<_> = durable.map(|queue| (**queue).clone()).collect();
        let mut restored: Vec<_> = restarted.topology.queues("/").map(|queue| (**queue).clone()).collect();
        durable.sort_by_key(|queue| queue.id);
        restored.sort_by_key(|queue| queue.id);
        assert_eq!(durable, restored);
        for queue in &durable {
            assert_eq!(restarted.topology.settings(queue.id), self.topology.settings(queue.id), "{queue:?}");
        }
        restarted.routes_as_the_model();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn routing_follows_the_model_and_recovery_the_store(steps in prop::collection::vec(step(), 0..120)) {
        let mut site = Site::new();
        for (at, step) in steps.iter().enumerate() {
            // Every third step comes from another connection: exclusive queues are in its way.
            site.connection = ConnectionId(1 + u64::from(at % 3 == 2));
            site.vhost = if at % 7 == 6 { "other" } else { "/" };
            site.take(step);
        }
        site.vhost = "/";
        site.routes_as_the_model();
        site.comes_back();
    }

    #[test]
    fn the_trie_matches_as_the_linear_matcher_does(
        patterns in prop::collection::vec("([ab*#](\\.[ab*#]){0,5})?", 1..40),
        keys in prop::collection::vec("([ab](\\.[ab]?){0,6})?", 1..20),
        unbound in any::<prop::sample::Index>(),
    ) {
        let mut site = Site::new();
        let none = Table::new();
        for (n, pattern) in patterns.iter().enumerate() {
            site.queue(&format!("q{n}")).unwrap();
            site.bind(&format!("q{n}"), "amq.topic", pattern, &none).unwrap();
        }
        let unbound = unbound.index(patterns.len() + 1);
        for (n, pattern) in patterns.iter().enumerate().take(unbound) {
            site.unbind(&format!("q{n}"), "amq.topic", pattern, &none).unwrap();
        }
        for key in &keys {
            let matching = patterns.iter().enumerate().skip(unbound).filter(|(_, pattern)| model::topic_matches(pattern, key));
            let expected: Vec<_> = matching.map(|(n, _)| format!("q{n}")).collect();
            prop_assert_eq!(site.route("amq.topic", key, &none).unwrap(), expected, "{}", key);
        }
    }

    #[test]
    fn no_octets_in_the_store_panic(
        key in prop::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..20),
        value in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..20),
    ) {
        let key = [&[KEY_PREFIX], &*key].concat();
        let _ = Topology::restore([(key, value)]);
    }
}

#[test]
fn records_that_cannot_be_understood_are_named() {
    let check = |key: &[u8], value: &[u8], expected: &str| {
        let error = Topology::restore([(key, value)]).map(drop).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("topology record {expected}; was this directory written by a newer Stoa?")
        );
    };
    check(b"T\x63", b"\x01", "Tc: is of an unknown kind");
    check(b"T\x02\x01v", b"\x02", "T\\x02\\x01v: is of an unknown version");
    check(b"T\x02\x01v", b"", "T\\x02\\x01v: is empty");
    check(b"T\x02\x05v", b"\x01", "T\\x02\\x05v: has a key that is cut short");
    check(
        b"T\x06\x01v\x01q",
        b"\x01",
        "T\\x06\\x01v\\x01q: is of a virtual host that is not there",
    );
    check(b"T\x06\x01/\x01q", b"\x01", "T\\x06\\x01/\\x01q: lacks a number");
    check(
        b"T\x06\x01/\x01q",
        b"\x01\x02idl\0\0\0\0\0\0\0\x05",
        "T\\x06\\x01/\\x01q: has an id that was never given out",
    );
    check(b"T\x05\x01/\x01x", b"\x01", "T\\x05\\x01/\\x01x: is of an unknown exchange type");
    check(
        b"T\x07\x01/\x01xq\x01q\0",
        b"\x01",
        "T\\x07\\x01/\\x01xq\\x01q\\x00: binds to an exchange that is not there",
    );
    check(
        b"T\x07\x01/\x09amq.topicq\x01q\0",
        b"\x01",
        "T\\x07\\x01/\\tamq.topicq\\x01q\\x00: binds a queue or exchange that is not there",
    );
    assert!(
        Topology::restore([(b"other".as_slice(), b"".as_slice())]).is_ok(),
        "keys of others are left alone"
    );
}
