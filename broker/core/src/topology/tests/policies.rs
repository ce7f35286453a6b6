//! Policies and operator policies: what RabbitMQ takes, which one counts, and what they bring about.

use super::*;
use crate::settings::{Overflow, Settings};

const QUEUES: &str = "queues";

fn terms(pattern: &str, apply_to: &str, priority: i64, definition: Table) -> Table {
    table([
        ("pattern", text(pattern)),
        ("apply-to", text(apply_to)),
        ("priority", Value::from(priority)),
        ("definition", Value::from(definition)),
    ])
}

fn length(max: i64) -> Table {
    table([("max-length", Value::from(max))])
}

impl Site {
    pub(super) fn put_policy(&mut self, kind: PolicyKind, name: &str, terms: &Table) -> Result<Reconfigured, String> {
        let set = self.topology.set_policy(kind, self.vhost, name, terms, &mut self.changes);
        self.topology.invariants();
        self.commit();
        set.map_err(|error| error.to_string())
    }

    pub(super) fn clear(&mut self, kind: PolicyKind, name: &str) -> Option<Reconfigured> {
        let cleared = self.topology.clear_policy(kind, self.vhost, name, &mut self.changes);
        self.topology.invariants();
        self.commit();
        cleared
    }

    fn policy(&mut self, name: &str, pattern: &str, priority: i64, definition: Table) -> Reconfigured {
        let terms = terms(pattern, QUEUES, priority, definition);
        self.put_policy(PolicyKind::User, name, &terms).unwrap()
    }

    fn operator(&mut self, name: &str, pattern: &str, definition: Table) -> Reconfigured {
        let terms = terms(pattern, QUEUES, 0, definition);
        self.put_policy(PolicyKind::Operator, name, &terms).unwrap()
    }

    fn id(&self, queue: &str) -> crate::ids::QueueId {
        self.topology.find_queue(self.vhost, queue.as_bytes()).unwrap().id
    }

    fn settings(&self, queue: &str) -> Settings {
        let settings = self.topology.settings(self.id(queue));
        settings.as_deref().cloned().unwrap_or_default()
    }

    fn policy_names(&self, queue: &str) -> [Option<String>; 2] {
        let Governing { policy, operator } = self.topology.governing_queue(self.id(queue));
        [policy, operator].map(|policy| policy.map(|policy| policy.name.to_string()))
    }

    fn queue_with(&mut self, name: &str, arguments: Table) -> Declared {
        let declare = QueueDeclare {
            name: name.as_bytes(),
            durable: true,
            arguments,
            ..QueueDeclare::default()
        };
        self.declare_queue(declare).unwrap()
    }
}

#[test]
fn the_highest_priority_counts_for_what_is_there_and_what_comes() {
    let mut site = Site::new();
    site.queue("a.1").unwrap();
    site.queue("b.1").unwrap();
    let changed = site.policy("low", "^a", 1, length(10));
    assert_eq!(
        changed.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [site.id("a.1")],
        "the others go on as before"
    );
    assert_eq!(changed[0].1.as_ref().unwrap().length_max, Some(10));
    assert_eq!(site.settings("a.1").length_max, Some(10));
    assert_eq!(site.policy_names("b.1"), [None, None]);

    // A higher priority takes its place, a lower one does not; what neither changes is not told to shards.
    site.policy("high", "1", 2, length(5));
    assert_eq!(site.policy_names("a.1"), [Some("high".into()), None]);
    assert_eq!(site.policy("lower", "1", 0, length(1)), []);
    assert_eq!(site.settings("b.1").length_max, Some(5));

    // A queue that is declared later, after a restart.
    let mut site = site.restarted();
    assert_eq!(site.settings("a.1").length_max, Some(5));
    let declared = site.queue_with("c.1", Table::new());
    assert_eq!(declared.settings.unwrap().length_max, Some(5));

    // The same name again replaces it. Without it the next one counts.
    site.policy("high", "^a", 2, length(7));
    assert_eq!(site.settings("a.1").length_max, Some(7));
    assert_eq!(site.settings("c.1").length_max, Some(1));
    let changed = site.clear(PolicyKind::User, "high").unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!(site.settings("a.1").length_max, Some(10));
    assert!(site.clear(PolicyKind::User, "high").is_none());
    assert!(
        site.clear(PolicyKind::Operator, "low").is_none(),
        "operator policies have names of their own"
    );
    let names: Vec<_> = site
        .topology
        .policies(PolicyKind::User, Some("/"))
        .map(|policy| policy.name.to_string())
        .collect();
    assert_eq!(names, ["low", "lower"]);
}

#[test]
fn equal_priorities_count_by_name() {
    let mut site = Site::new();
    site.policy("b", ".*", 0, length(2));
    site.policy("a", ".*", 0, length(1));
    site.queue("q").unwrap();
    assert_eq!(site.policy_names("q"), [Some("a".into()), None]);
}

#[test]
fn patterns_may_look_around() {
    let mut site = Site::new();
    site.queue("a").unwrap();
    let terms = terms("^(?!amq\\.).*", "all", 0, length(1));
    site.put_policy(PolicyKind::User, "p", &terms).unwrap();
    let of_exchange = |site: &Site, name: &[u8]| site.topology.governing_exchange("/", name).policy.is_some();
    site.exchange("x", "fanout").unwrap();
    for site in [&site, &site.restarted()] {
        assert!(site.policy_names("a")[0].is_some() && of_exchange(site, b"x"));
        assert!(!of_exchange(site, b"amq.topic"));
    }
}

#[test]
fn policies_apply_to_kinds_of_things() {
    let kinds = ["all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"];
    let expected = [
        (true, true, true),
        (true, true, false),
        (true, false, false),
        (false, true, false),
        (false, false, false),
        (false, false, true),
    ];
    for (apply_to, expected) in kinds.into_iter().zip(expected) {
        let mut site = Site::new();
        site.queue("classic").unwrap();
        site.queue_with("quorum", table([("x-queue-type", text("quorum"))]));
        site.put_policy(PolicyKind::User, "p", &terms(".*", apply_to, 0, length(1)))
            .unwrap();
        let of_exchange = site.topology.governing_exchange("/", b"amq.topic").policy.is_some();
        let found = (
            site.policy_names("classic")[0].is_some(),
            site.policy_names("quorum")[0].is_some(),
            of_exchange,
        );
        assert_eq!(found, expected, "{apply_to}");
    }
}

#[test]
fn a_policy_that_a_queue_type_cannot_follow_does_not_apply_to_it() {
    let mut site = Site::new();
    site.queue("classic").unwrap();
    site.queue_with("quorum", table([("x-queue-type", text("quorum"))]));
    let definition = |key: &str, value| table([(key, value), ("max-length", Value::from(1))]);
    site.policy("p", ".*", 0, definition("queue-mode", text("lazy")));
    assert_eq!(
        (site.settings("classic").length_max, site.settings("quorum").length_max),
        (Some(1), None)
    );
    site.policy("p", ".*", 0, definition("max-age", text("7D")));
    assert_eq!(
        (site.settings("classic").length_max, site.settings("quorum").length_max),
        (None, None)
    );
    site.policy("p", ".*", 0, definition("delivery-limit", Value::from(3)));
    assert_eq!(
        (site.settings("classic").length_max, site.settings("quorum").length_max),
        (Some(1), Some(1))
    );
}

#[test]
fn arguments_policies_and_operator_policies_are_merged_as_rabbitmq_does() {
    let n = |value: i64| Value::from(value);
    // Key, argument, policy, operator policy, what comes of it.
    let numbers = [
        ("max-length", None, None, Some(3), 3),
        ("max-length", Some(5), Some(3), None, 3),
        ("max-length", Some(2), Some(3), None, 2),
        ("max-length", None, Some(3), Some(9), 3),
        ("max-length", None, Some(9), Some(3), 3),
        ("max-length", Some(1), Some(9), Some(3), 1),
        ("delivery-limit", Some(-1), Some(5), None, 5),
        ("delivery-limit", None, Some(7), Some(5), 5),
        ("delivery-limit", None, Some(-1), Some(5), 5),
    ];
    for (key, argument, policy, operator, expected) in numbers {
        let mut site = Site::new();
        let argument = argument.map(|value| (format!("x-{key}"), n(value)));
        let arguments = argument.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        site.queue_with("q", arguments);
        for (kind, value) in [(PolicyKind::User, policy), (PolicyKind::Operator, operator)] {
            if let Some(value) = value {
                site.put_policy(kind, "p", &terms("q", QUEUES, 0, table([(key, n(value))])))
                    .unwrap();
            }
        }
        let settings = site.settings("q");
        let found = match key {
            "max-length" => settings.length_max,
            _ => settings.delivery_limit.map(u64::from),
        };
        assert_eq!(found, Some(expected), "{key} {argument:?} {policy:?} {operator:?}");
        assert_eq!(site.restarted().settings("q"), settings);
    }
}

#[test]
fn texts_come_from_the_argument_first_but_a_quorum_queues_overflow_from_its_policy() {
    let mut site = Site::new();
    let rejects = ("x-overflow", text("reject-publish"));
    let dead = |name: &str| ("x-dead-letter-exchange", text(name));
    site.queue_with("classic", table([rejects.clone(), dead("own")]));
    site.queue_with("quorum", table([rejects, dead("own"), ("x-queue-type", text("quorum"))]));
    site.queue("plain").unwrap();
    let definition = table([("overflow", text("drop-head")), ("dead-letter-exchange", text("policy"))]);
    site.policy("p", ".*", 0, definition);
    let overflow = |queue| site.settings(queue).overflow;
    assert_eq!(
        (overflow("classic"), overflow("quorum")),
        (Overflow::RejectPublish, Overflow::DropHead)
    );
    let dead = |queue| site.settings(queue).dead_letter.unwrap().exchange.to_string();
    assert_eq!(
        (dead("classic"), dead("quorum"), dead("plain")),
        ("own".into(), "own".into(), "policy".into())
    );
}

#[test]
fn what_both_kinds_define_is_seen_together() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    assert_eq!(site.topology.governing_queue(site.id("q")).definition(), None);
    let own = table([
        ("max-length", Value::from(5)),
        ("overflow", text("reject-publish")),
        ("message-ttl", Value::from(9)),
    ]);
    site.policy("own", "q", 0, own);
    site.operator(
        "op",
        "q",
        table([
            ("max-length", Value::from(3)),
            ("overflow", text("drop-head")),
            ("expires", Value::from(7)),
        ]),
    );
    let expected = table([
        ("expires", Value::from(7)),
        ("max-length", Value::from(3)),
        ("message-ttl", Value::from(9)),
        ("overflow", text("drop-head")),
    ]);
    assert_eq!(site.topology.governing_queue(site.id("q")).definition(), Some(expected));
    assert_eq!(site.policy_names("q"), [Some("own".into()), Some("op".into())]);
}

#[test]
fn alternate_exchanges_come_from_policies_too() {
    let mut site = Site::new();
    for (exchange, queue) in [("by-policy", "p"), ("by-argument", "a")] {
        site.exchange(exchange, "fanout").unwrap();
        site.queue(queue).unwrap();
        site.bind(queue, exchange, "", &Table::new()).unwrap();
    }
    site.exchange("plain", "direct").unwrap();
    let arguments = table([("alternate-exchange", text("by-argument"))]);
    let declare = ExchangeDeclare {
        name: b"own",
        kind: b"direct",
        durable: true,
        arguments,
        ..ExchangeDeclare::default()
    };
    site.declare_exchange(declare).unwrap();
    let route = |site: &Site, exchange| site.route(exchange, "nowhere", &Table::new()).unwrap();
    assert_eq!(route(&site, "plain"), Vec::<String>::new());
    let definition = table([("alternate-exchange", text("by-policy"))]);
    site.put_policy(PolicyKind::User, "ae", &terms("^(plain|own|later)$", "exchanges", 0, definition))
        .unwrap();
    site.exchange("later", "direct").unwrap();
    for site in [&site, &site.restarted()] {
        assert_eq!(
            (route(site, "plain"), route(site, "own"), route(site, "later")),
            (vec!["p".into()], vec!["a".into()], vec!["p".into()])
        );
    }
    site.clear(PolicyKind::User, "ae").unwrap();
    assert_eq!(route(&site, "plain"), Vec::<String>::new());
}

#[test]
fn policies_go_with_their_virtual_host() {
    let mut site = Site::new();
    site.topology.add_vhost("other", &mut site.changes).unwrap();
    site.vhost = "other";
    site.policy("p", ".*", 0, length(1));
    site.operator("p", ".*", length(1));
    site.topology.delete_vhost("other", &mut site.changes).unwrap();
    site.commit();
    assert!(site.store.is_empty(), "{:?}", site.store);
    assert_eq!(
        site.put_policy(PolicyKind::User, "p", &Table::new()),
        Err("vhost other not found".into())
    );
}

#[test]
fn what_rabbitmq_refuses_of_policies_is_refused_in_its_words() {
    let check = |kind, terms: &Table, expected: &str| {
        let mut site = Site::new();
        let outcome = site.put_policy(kind, "p", terms);
        assert_eq!(outcome, Err(format!("Validation failed\n\n{expected}\n")));
        assert!(site.store.is_empty());
    };
    let user = |definition, expected| check(PolicyKind::User, &terms(".*", "all", 0, definition), expected);
    user(Table::new(), "no policy provided");
    user(table([("max-length", Value::from(-1))]), "-1 is not a valid maximum length");
    user(table([("max-length", text("x"))]), "<<\"x\">> is not a valid maximum length");
    user(table([("message-ttl", Value::F64(1.5))]), "1.5 is not a valid message TTL");
    user(table([("expires", Value::from(0))]), "0 is not a valid queue expiry");
    user(table([("overflow", text("spill"))]), "<<\"spill\">> is not a valid overflow value");
    user(
        table([("dead-letter-exchange", Value::from(true))]),
        "true is not a valid dead letter exchange name",
    );
    user(table([("delivery-limit", text("1"))]), "<<\"1\">> is not a valid delivery limit");
    user(
        table([("queue-mode", text("eager"))]),
        "<<\"eager\">> is not a valid queue-mode value",
    );
    user(table([("max-age", text("7W"))]), "<<\"7W\">> is not a valid max age");
    user(
        table([("zig", text("zag")), ("max-length", Value::from(1)), ("a", Value::from(1))]),
        "[{<<\"a\">>,1},{<<\"zig\">>,<<\"zag\">>}] are not recognised policy settings",
    );
    user(
        table([("delayed-retry-type", text("all"))]),
        "delayed-retry-min is required when delayed-retry-type is all",
    );
    user(
        table([("delayed-retry-min", Value::from(5)), ("delayed-retry-max", Value::from(4))]),
        "delayed-retry-max (4) must not be smaller than delayed-retry-min (5)",
    );
    check(
        PolicyKind::Operator,
        &terms(".*", "all", 0, table([("alternate-exchange", text("x"))])),
        "[{<<\"alternate-exchange\">>,<<\"x\">>}] are not recognised policy settings",
    );
    check(
        PolicyKind::User,
        &terms(".*", "everything", 0, length(1)),
        "apply-to 'everything' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'",
    );
    let mut wrong = terms(".*", "all", 0, length(1));
    wrong.insert("priority", text("high"));
    check(PolicyKind::User, &wrong, "priority should be a number, actually was <<\"high\">>");
    let mut wrong = terms(".*", "all", 0, length(1));
    wrong.insert("priority", Value::Void);
    check(PolicyKind::User, &wrong, "priority should be a number, actually was null");
    user(table([("ha-mode", text("x"))]), "<<\"x\">> is not a valid ha-mode value");
    let mut wrong = terms(".*", "all", 0, length(1));
    wrong.insert("pattern", Value::from(1));
    check(PolicyKind::User, &wrong, "pattern should be a binary but was 1");
    let outcome = Site::new().put_policy(PolicyKind::User, "p", &terms("(", "all", 0, length(1)));
    assert!(
        outcome
            .unwrap_err()
            .starts_with("Validation failed\n\npattern should be regular expression but is invalid: ")
    );
}

#[test]
fn arguments_that_no_record_could_hold_are_refused() {
    let mut nested = Table::new();
    for _ in 1..Table::DEPTH_MAX {
        nested = table([("t", Value::from(nested))]);
    }
    let mut site = Site::new();
    let declare = QueueDeclare {
        name: b"q",
        durable: true,
        arguments: nested.clone(),
        ..QueueDeclare::default()
    };
    let too_deep = |what| {
        refused(
            ReplyCode::PreconditionFailed,
            &format!("the arguments of {what} in vhost '/' are nested too deep"),
        )
    };
    assert_eq!(site.declare_queue(declare).map(drop), too_deep("queue 'q'"));
    let declare = ExchangeDeclare {
        name: b"x",
        kind: b"fanout",
        durable: true,
        arguments: nested,
        ..ExchangeDeclare::default()
    };
    assert_eq!(site.declare_exchange(declare), too_deep("exchange 'x'"));
}
