//! The exchange types beyond AMQP's four: hashes, chance, delays.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

impl Site {
    /// The one queue that a message reaches.
    fn reached(&self, exchange: &str, key: &str, facts: &Facts) -> String {
        let mut out = Vec::new();
        let mut look_up = || facts.clone();
        let topology = &self.topology;
        topology
            .route(self.vhost, exchange.as_bytes(), &[key.as_bytes()], &mut look_up, &mut out)
            .unwrap();
        assert_eq!(out.len(), 1, "{exchange} {key}");
        topology.queue_by_id(out[0].queue).unwrap().name.to_string()
    }

    /// How many of the messages with keys 0, 1, 2 ... each queue gets.
    fn shares(&self, exchange: &str, messages: u64) -> HashMap<String, u64> {
        let mut shares = HashMap::new();
        for n in 0..messages {
            let facts = Facts {
                draw: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                ..Facts::default()
            };
            *shares.entry(self.reached(exchange, &n.to_string(), &facts)).or_default() += 1;
        }
        shares
    }

    fn with_queues(kind: &str, weights: &[&str]) -> Self {
        let mut site = Self::new();
        site.exchange("x", kind).unwrap();
        for (n, weight) in weights.iter().enumerate() {
            site.queue(&format!("q{n}")).unwrap();
            site.bind(&format!("q{n}"), "x", weight, &Table::new()).unwrap();
        }
        site
    }
}

#[test]
fn one_queue_gets_the_message_and_all_get_their_share() {
    for (kind, weights, expected) in [
        ("x-consistent-hash", ["1", "1", "1", "1"], [2500, 2500, 2500, 2500]),
        ("x-consistent-hash", ["1", "2", "3", "4"], [1000, 2000, 3000, 4000]),
        ("x-modulus-hash", ["", "any", "#", "1"], [2500, 2500, 2500, 2500]),
        ("x-random", ["", "any", "#", "1"], [2500, 2500, 2500, 2500]),
        ("x-local-random", ["", "", "", ""], [2500, 2500, 2500, 2500]),
    ] {
        let site = Site::with_queues(kind, &weights);
        let shares = site.shares("x", 10_000);
        for (n, expected) in expected.into_iter().enumerate() {
            let share = shares[&format!("q{n}")];
            assert!(share.abs_diff(expected) < 200, "{kind} {weights:?}: q{n} got {share} of {expected}");
        }
    }
}

#[test]
fn keys_go_the_same_way_after_a_restart_and_mostly_where_queues_come() {
    for kind in ["x-consistent-hash", "x-modulus-hash"] {
        let mut site = Site::with_queues(kind, &["5"; 9]);
        let ways = |site: &Site| -> Vec<_> { (0..1000).map(|n| site.reached("x", &n.to_string(), &Facts::default())).collect() };
        let before = ways(&site);
        assert_eq!(ways(&site.restarted()), before, "{kind}");
        if kind == "x-consistent-hash" {
            site.queue("new").unwrap();
            site.bind("new", "x", "5", &Table::new()).unwrap();
            let after = ways(&site);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            let count = moved.inspect(|(_, after)| assert_eq!(*after, "new")).count();
            assert!((50..150).contains(&count), "{count} of 1000 keys moved to a tenth of the queues");
            site.unbind("new", "x", "5", &Table::new()).unwrap();
            assert_eq!(ways(&site), before);
        }
    }
}

#[test]
fn a_destination_that_is_bound_twice_has_its_greatest_weight() {
    let mut site = Site::with_queues("x-consistent-hash", &["1", "1"]);
    site.bind("q0", "x", "3", &Table::new()).unwrap();
    let share = |site: &Site| site.shares("x", 4000)["q0"];
    assert!(share(&site).abs_diff(3000) < 150);
    site.unbind("q0", "x", "3", &Table::new()).unwrap();
    assert!(share(&site).abs_diff(2000) < 150);
}

#[test]
fn hashes_are_of_headers_and_properties_where_the_exchange_says_so() {
    let by = |argument: &str, value: &str| {
        let mut site = Site::new();
        site.exchange_with("x", "x-consistent-hash", table([(argument, text(value))]))
            .unwrap();
        for n in 0..50 {
            site.queue(&format!("q{n}")).unwrap();
            site.bind(&format!("q{n}"), "x", "1", &Table::new()).unwrap();
        }
        site
    };
    let facts = |n: u64| Facts {
        headers: table([("user", text(&n.to_string()))]),
        message_id: Some(format!("m{n}").as_str().into()),
        correlation_id: Some(format!("c{n}").as_str().into()),
        timestamp: Some(n),
        draw: n,
    };
    for (argument, value) in [
        ("hash-header", "user"),
        ("hash-property", "message_id"),
        ("hash-property", "correlation_id"),
        ("hash-property", "timestamp"),
    ] {
        let site = by(argument, value);
        let ways: std::collections::BTreeSet<_> = (0..200).map(|n| site.reached("x", "same", &facts(n))).collect();
        assert!(ways.len() > 40, "{value}: {} queues of 50", ways.len());
        let again = |n| site.reached("x", "another", &facts(n)) == site.reached("x", "same", &facts(n));
        assert!((0..20).all(again), "{value}: the routing key does not matter");
        site.reached("x", "none of it", &Facts::default());
    }
    // A header's number counts by its value.
    let site = by("hash-header", "user");
    let number = |value| site.reached("x", "", &Facts::from(table([("user", value)])));
    assert_eq!(number(Value::from(7_u8)), number(Value::from(7_i64)));
}

#[test]
fn what_rabbitmqs_plugins_refuse_is_refused_in_their_words() {
    let check = |kind, arguments, expected: &str| {
        let outcome = Site::new().exchange_with("x", kind, arguments);
        assert_eq!(outcome, refused(ReplyCode::PreconditionFailed, expected));
    };
    let both = table([("hash-header", text("h")), ("hash-property", text("message_id"))]);
    check("x-consistent-hash", both, "hash-header and hash-property are mutually exclusive");
    check(
        "x-consistent-hash",
        table([("hash-property", text("priority"))]),
        "Unsupported property: priority",
    );
    let no_type = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
    check("x-delayed-message", Table::new(), no_type);
    check("x-delayed-message", table([("x-delayed-type", Value::from(1))]), no_type);
    check(
        "x-delayed-message",
        table([("x-delayed-type", text("x-delayed-message"))]),
        "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
    );
    let unknown = Site::new().exchange_with("x", "x-delayed-message", table([("x-delayed-type", text("magic"))]));
    assert_eq!(unknown, refused(ReplyCode::CommandInvalid, "unknown exchange type 'magic'"));
    let hash = table([("x-delayed-type", text("x-consistent-hash")), ("hash-property", text("zig"))]);
    check("x-delayed-message", hash, "Unsupported property: zig");
    let mut site = Site::with_queues("x-consistent-hash", &["1"]);
    for (key, expected) in [
        ("", "The binding key must be an integer: <<\"\">>"),
        ("one", "The binding key must be an integer: <<\"one\">>"),
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("10001", "The binding key must not exceed 10000"),
    ] {
        assert_eq!(
            site.bind("q0", "x", key, &Table::new()),
            refused(ReplyCode::PreconditionFailed, expected)
        );
    }
}

#[test]
fn a_local_random_exchange_takes_classic_queues_without_keys() {
    let mut site = Site::with_queues("x-local-random", &[""]);
    let check = |outcome, text: &str| assert_eq!(outcome, refused(ReplyCode::PreconditionFailed, text));
    check(site.bind("q0", "x", "k", &Table::new()), "Non empty binding 'k' key not permitted");
    let declare = QueueDeclare {
        name: b"quorum",
        durable: true,
        arguments: table([("x-queue-type", text("quorum"))]),
        ..QueueDeclare::default()
    };
    site.declare_queue(declare).unwrap();
    let wrong_type = "Queue type rabbit_quorum_queue not valid for this exchange type";
    check(site.bind("quorum", "x", "", &Table::new()), wrong_type);
    check(site.bind_exchange("amq.fanout", "x", ""), "Destination not found");
}

/// A delayed-message exchange that routes as a topic exchange to `q`, and its queue.
fn delayed() -> (Site, Holding) {
    let mut site = Site::new();
    let arguments = table([("x-delayed-type", text("topic"))]);
    let holding = site.exchange_with("x", "x-delayed-message", arguments).unwrap().pop().unwrap();
    site.queue("q").unwrap();
    site.bind("q", "x", "a.*", &Table::new()).unwrap();
    (site, holding)
}

fn targets(site: &Site, exchange: &str, headers: Table) -> Vec<RouteTarget> {
    let mut out = Vec::new();
    let mut look_up = || Facts::from(headers.clone());
    site.topology
        .route("/", exchange.as_bytes(), &[b"a.b"], &mut look_up, &mut out)
        .unwrap();
    out
}

#[test]
fn a_delayed_message_is_held_back_and_then_goes_on() {
    let (mut site, holding) = delayed();
    assert!(holding.durable && holding.settings.delays);
    let held = RouteTarget {
        queue: holding.queue,
        durable: true,
        delays: true,
        keeps: false,
    };
    let direct = |site: &Site| site.topology.find_queue("/", b"q").unwrap().target();
    for site in [&site, &site.restarted()] {
        for delay in [Value::from(1), text("5"), Value::F64(7.9), Value::from(i64::from(u32::MAX))] {
            assert_eq!(targets(site, "x", table([("x-delay", delay.clone())])), [held], "{delay:?}");
        }
        for delay in [
            Value::from(0),
            Value::from(-5),
            text("soon"),
            Value::from(1_i64 << 32),
            Value::F64(0.5),
            Value::Void,
        ] {
            assert_eq!(targets(site, "x", table([("x-delay", delay.clone())])), [direct(site)], "{delay:?}");
        }
        assert_eq!(targets(site, "x", Table::new()), [direct(site)]);
        let due = |key: &[u8]| {
            let mut out = Vec::new();
            let mut look_up = || Facts::from(table([("x-delay", Value::from(5))]));
            site.topology.route_due(holding.queue, &[key], &mut look_up, &mut out);
            out
        };
        assert_eq!((due(b"a.c"), due(b"b.c")), (vec![direct(site)], vec![]));
        assert_eq!(site.topology.holdings().collect::<Vec<_>>(), std::slice::from_ref(&holding));
        assert_eq!(site.topology.queues("/").count(), 1, "no client sees it");
    }
    // Behind another exchange it delays as well.
    site.exchange("front", "fanout").unwrap();
    site.bind_exchange("x", "front", "").unwrap();
    assert_eq!(targets(&site, "front", table([("x-delay", Value::from(1))])), [held]);
    // An equivalent declaration changes nothing.
    let again = site.exchange_with("x", "x-delayed-message", table([("x-delayed-type", text("topic"))]));
    assert_eq!(again, Ok(vec![]));
}

#[test]
fn what_was_held_back_is_not_held_back_again_behind_another_exchange() {
    let (mut site, first) = delayed();
    let arguments = table([("x-delayed-type", text("fanout"))]);
    site.exchange_with("second", "x-delayed-message", arguments).unwrap();
    site.queue("end").unwrap();
    site.bind("end", "second", "", &Table::new()).unwrap();
    site.bind_exchange("second", "x", "a.#").unwrap();
    let mut out = Vec::new();
    let mut look_up = || Facts::from(table([("x-delay", Value::from(5))]));
    site.topology.route_due(first.queue, &[b"a.b"], &mut look_up, &mut out);
    let names: Vec<_> = out
        .iter()
        .map(|target| site.topology.queue_by_id(target.queue).unwrap().name.to_string())
        .collect();
    assert_eq!(names, ["q", "end"]);
}

#[test]
fn the_queue_of_a_delayed_message_exchange_goes_with_it() {
    // Deleted by name, with its last binding, with the queue of its last binding, with its virtual host.
    let end: [fn(&mut Site); 4] = [
        |site| site.delete_exchange("x", false).unwrap(),
        |site| site.unbind("q", "x", "a", &Table::new()).unwrap(),
        |site| drop(site.delete_queue("q")),
        |site| {
            site.topology.delete_vhost("/", &mut site.changes).unwrap();
            site.commit();
        },
    ];
    for (at, end) in end.into_iter().enumerate() {
        let mut site = Site::new();
        let declare = ExchangeDeclare {
            name: b"x",
            kind: b"x-delayed-message",
            durable: true,
            auto_delete: true,
            arguments: table([("x-delayed-type", text("direct"))]),
            ..ExchangeDeclare::default()
        };
        let holding = site.act(|topology, actor, changes| topology.declare_exchange(actor, &declare, changes));
        let holding = holding.unwrap().pop().unwrap();
        site.queue("q").unwrap();
        site.bind("q", "x", "a", &Table::new()).unwrap();
        assert_eq!(site.topology.take_released(), []);
        end(&mut site);
        site.topology.invariants();
        assert_eq!(site.topology.take_released(), [holding.queue], "{at}");
        assert_eq!(site.topology.holdings().count(), 0);
        assert_eq!(site.restarted().topology.holdings().count(), 0);
        let mut out = Vec::new();
        site.topology.route_due(holding.queue, &[b"a"], &mut Facts::default, &mut out);
        assert_eq!(out, []);
    }
}

#[test]
fn what_finds_no_queue_goes_to_the_alternate_exchange() {
    for kind in ["x-consistent-hash", "x-modulus-hash", "x-random", "x-delayed-message"] {
        let mut site = Site::new();
        let arguments = table([("alternate-exchange", text("amq.fanout")), ("x-delayed-type", text("direct"))]);
        site.exchange_with("x", kind, arguments).unwrap();
        site.queue("rest").unwrap();
        site.bind("rest", "amq.fanout", "", &Table::new()).unwrap();
        assert_eq!(site.route("x", "k", &Table::new()), Ok(vec!["rest".to_owned()]), "{kind}");
    }
}

proptest! {
    #[test]
    fn no_header_panics(delay in any::<f64>(), text in ".*") {
        let _ = delay_ms(&table([("x-delay", Value::F64(delay))]));
        let _ = delay_ms(&table([("x-delay", super::text(&text))]));
    }
}
