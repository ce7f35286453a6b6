//! Exchanges that remember: keys of messages (`x-message-deduplication`), and messages (`x-recent-history`).

use super::*;
use crate::settings::Settings;
use hashbrown::HashMap;

/// Somebody who has messages routed, and remembers what exchanges ask it.
struct Publisher {
    headers: Table,
    seen: HashMap<(QueueId, [u8; 16]), MessageKey>,
}

impl Inquiry for Publisher {
    fn facts(&mut self) -> Facts {
        Facts::from(self.headers.clone())
    }

    fn is_new(&mut self, key: &MessageKey) -> bool {
        self.seen.insert((key.queue, key.hash), *key).is_none()
    }
}

impl Publisher {
    fn new() -> Self {
        Self {
            headers: Table::new(),
            seen: HashMap::new(),
        }
    }

    /// What a message with these headers reaches: queues by name, and queues of exchanges' own by what they are for.
    fn publish(&mut self, site: &Site, exchange: &str, headers: Table) -> Vec<String> {
        self.headers = headers;
        let mut out = Vec::new();
        site.topology.route("/", exchange.as_bytes(), &[b"k"], self, &mut out).unwrap();
        assert!(out.is_sorted(), "{out:?}");
        names(site, &out)
    }
}

fn names(site: &Site, targets: &[RouteTarget]) -> Vec<String> {
    let name = |target: &RouteTarget| match site.topology.queue_by_id(target.queue) {
        Some(queue) => queue.name.to_string(),
        None => {
            let purpose = |holding: Holding| (holding.queue == target.queue).then_some(holding.purpose);
            let purpose = site.topology.holdings().find_map(purpose).unwrap();
            assert_eq!(
                (target.keeps, target.delays),
                (purpose == Purpose::History, purpose == Purpose::Delays)
            );
            format!("{purpose:?}")
        }
    };
    targets.iter().map(name).collect()
}

/// A site where `q` is bound to an exchange `x` with this key.
fn site(kind: &str, arguments: Table, key: &str) -> Site {
    let mut site = Site::new();
    site.exchange_with("x", kind, arguments).unwrap();
    site.queue("q").unwrap();
    site.bind("q", "x", key, &Table::new()).unwrap();
    site
}

fn by(value: impl Into<Value>) -> Table {
    table([("x-deduplication-header", value.into())])
}

#[test]
fn a_message_is_routed_once_by_the_value_of_its_header() {
    let plugin = site("x-message-deduplication", table([("x-cache-size", Value::from(10))]), "another key");
    let on = table([("x-message-deduplication", Value::Bool(true))]);
    for site in [plugin.restarted(), plugin, site("direct", on.clone(), "k"), site("topic", on, "#")] {
        let mut publisher = Publisher::new();
        let mut reaches = |headers: Table| !publisher.publish(&site, "x", headers).is_empty();
        assert!(reaches(by(text("a"))) && !reaches(by(text("a"))) && reaches(by(text("b"))));
        // A number is the same in any type, and no text.
        assert!(reaches(by(1_i32)) && !reaches(by(Value::I8(1))) && !reaches(by(Value::I64(1))) && reaches(by(text("1"))));
        assert!(reaches(by(Value::Bool(true))) && !reaches(by(Value::Bool(true))) && reaches(by(Value::Bool(false))));
        assert!(reaches(by(Value::from(by(1_i32)))) && !reaches(by(Value::from(by(1_i32)))));
        for _ in 0..2 {
            assert!(
                reaches(Table::new()) && reaches(by(Value::Void)),
                "without a key it is not looked at"
            );
        }
    }
}

#[test]
fn an_exchange_says_what_it_looks_at_and_how_long_it_remembers() {
    let named = [
        ("x-message-deduplication", Value::Bool(true)),
        ("x-deduplication-header", text("id")),
    ];
    let ttl = |ms: Value| ("x-cache-ttl", ms);
    let [on, id] = named;
    let cases = [
        (
            vec![on.clone(), id.clone()],
            table([("id", text("a"))]),
            Some((None, 1_000_000, true)),
        ),
        (vec![on.clone(), id.clone()], by(text("a")), None),
        (
            vec![on.clone(), ttl(Value::from(500))],
            by(text("a")),
            Some((Some(500), 1_000_000, true)),
        ),
        (
            vec![on.clone(), ("x-cache-size", text("7"))],
            table([("x-deduplication-header", text("a")), ttl(text("20"))]),
            Some((Some(20), 7, true)),
        ),
        (
            vec![on.clone(), ttl(text("500")), ("x-cache-persistence", text("memory"))],
            table([("x-deduplication-header", text("a")), ttl(Value::from(-1))]),
            Some((Some(500), 1_000_000, false)),
        ),
        (
            vec![("x-message-deduplication", Value::Bool(false)), id],
            table([("id", text("a"))]),
            None,
        ),
    ];
    for (arguments, headers, expected) in cases {
        let site = site("fanout", arguments.iter().cloned().collect(), "");
        let mut publisher = Publisher::new();
        assert_eq!(publisher.publish(&site, "x", headers), ["q"]);
        let asked = publisher.seen.values().next().map(|key| (key.ttl_ms, key.size_max, key.durable));
        assert_eq!(asked, expected, "{arguments:?}");
    }
}

#[test]
fn a_duplicate_goes_to_the_alternate_exchange_and_each_exchange_remembers_for_itself() {
    let arguments = table([("x-cache-size", Value::from(10)), ("alternate-exchange", text("amq.fanout"))]);
    let mut site = site("x-message-deduplication", arguments, "");
    site.queue("rest").unwrap();
    site.bind("rest", "amq.fanout", "", &Table::new()).unwrap();
    let mut publisher = Publisher::new();
    let mut publish = |site: &Site, exchange: &str| publisher.publish(site, exchange, by(text("a")));
    assert_eq!(publish(&site, "x"), ["q"]);
    assert_eq!(publish(&site, "x"), ["rest"]);
    site.exchange_with("y", "direct", table([("x-message-deduplication", Value::Bool(true))]))
        .unwrap();
    site.bind("rest", "y", "k", &Table::new()).unwrap();
    site.bind_exchange("x", "y", "k").unwrap();
    assert_eq!(publish(&site, "y"), ["rest"], "x has had it");
    assert_eq!(publish(&site, "y"), Vec::<String>::new());
}

#[test]
fn a_delayed_message_is_looked_at_when_it_comes_and_not_when_it_is_due() {
    let arguments = table([("x-delayed-type", text("direct")), ("x-message-deduplication", Value::Bool(true))]);
    let site = site("x-delayed-message", arguments, "k");
    let mut publisher = Publisher::new();
    let later = || table([("x-delay", Value::from(9)), ("x-deduplication-header", text("a"))]);
    assert_eq!(publisher.publish(&site, "x", later()), ["Delays"]);
    assert_eq!(publisher.publish(&site, "x", later()), Vec::<String>::new());
    assert_eq!(publisher.publish(&site, "x", by(text("a"))), Vec::<String>::new());
    let delays = site.topology.holdings().find(|holding| holding.purpose == Purpose::Delays).unwrap();
    let mut out = Vec::new();
    site.topology.route_due(delays.queue, &[b"k"], &mut publisher, &mut out);
    assert_eq!(names(&site, &out), ["q"]);
}

#[test]
fn no_exchange_is_declared_that_would_keep_too_much() {
    let mut site = Site::new();
    let keeping = |length: i32| table([("x-recent-history-length", Value::from(length))]);
    site.exchange_with("before", "x-recent-history", keeping(30)).unwrap();
    site.topology.limit_histories(20);
    for (name, arguments, refused) in [
        ("at", keeping(20), None),
        ("default", Table::new(), None),
        ("before", keeping(30), None),
        (
            "above",
            keeping(21),
            Some("Invalid argument 21, 'x-recent-history-length' must not be above 20"),
        ),
    ] {
        let error = site.exchange_with(name, "x-recent-history", arguments).err();
        assert_eq!(error.map(|(_, text)| text), refused.map(str::to_owned), "{name}");
    }
    let mut delayed = keeping(21);
    delayed.insert("x-delayed-type", "x-recent-history");
    assert!(site.exchange_with("delayed", "x-delayed-message", delayed).is_err());
    site.exchange_with("fanout", "fanout", keeping(21)).unwrap();
}

#[test]
fn a_history_is_one_more_queue_that_keeps_the_last_messages() {
    let history = |site: &Site| site.topology.holdings().next().unwrap();
    for (arguments, length) in [(Table::new(), 20), (table([("x-recent-history-length", Value::from(3))]), 3)] {
        let site = site("x-recent-history", arguments, "another key");
        for site in [&site.restarted(), &site] {
            let expected = Settings {
                length_max: Some(length),
                ..Settings::default()
            };
            assert_eq!((history(site).purpose, &*history(site).settings), (Purpose::History, &expected));
            let mut publisher = Publisher::new();
            assert_eq!(publisher.publish(site, "x", Table::new()), ["History", "q"]);
            let no_store = |value| table([("x-recent-history-no-store", value)]);
            assert_eq!(publisher.publish(site, "x", no_store(Value::Bool(true))), ["q"]);
            assert_eq!(publisher.publish(site, "x", no_store(Value::Bool(false))), ["History", "q"]);
            assert_eq!(publisher.publish(site, "x", no_store(text("true"))), ["History", "q"]);
        }
    }
    // It is no destination: with nothing else, the message goes to the alternate exchange.
    let mut site = site("x-recent-history", table([("alternate-exchange", text("amq.fanout"))]), "");
    site.bind("q", "amq.fanout", "", &Table::new()).unwrap();
    site.unbind("q", "x", "", &Table::new()).unwrap();
    assert_eq!(Publisher::new().publish(&site, "x", Table::new()), ["History", "q"]);
}

#[test]
fn what_is_bound_gets_the_history_once_for_each_binding() {
    let mut site = Site::new();
    site.exchange("x", "x-recent-history").unwrap();
    site.queue("q").unwrap();
    let history = site.topology.holdings().next().unwrap().queue;
    let queue = ReplayTo::Queue(site.topology.find_queue("/", b"q").unwrap().target());
    let exchange = ReplayTo::Exchange("/".into(), "amq.topic".into());
    for (to, key, expected) in [
        ("q", "", Some(queue.clone())),
        ("q", "", None),
        ("q", "other", Some(queue)),
        ("amq.topic", "", Some(exchange)),
    ] {
        if to == "q" {
            site.bind(to, "x", key, &Table::new()).unwrap();
        } else {
            site.bind_exchange(to, "x", key).unwrap();
        }
        let expected: Vec<_> = expected.into_iter().map(|to| Replay { history, to }).collect();
        assert_eq!(site.topology.take_replays(), expected, "{to} {key}");
    }
    site.bind("q", "amq.fanout", "", &Table::new()).unwrap();
    assert_eq!(
        (site.topology.take_replays(), site.restarted().topology.take_replays()),
        (vec![], vec![])
    );
}

#[test]
fn the_plugins_refuse_in_these_words() {
    let size = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
    let ttl = "Invalid argument, 'x-cache-ttl' must be an integer greater than 0";
    let persistence = "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'";
    let length = |shown: &str| format!("Invalid argument {shown}, 'x-recent-history-length' must be a positive integer");
    let (plugin, ten) = ("x-message-deduplication", ("x-cache-size", Value::from(10)));
    let on = ("x-message-deduplication", Value::Bool(true));
    let cases = [
        (plugin, vec![], size.to_owned()),
        (plugin, vec![("x-cache-size", Value::from(0))], size.to_owned()),
        (plugin, vec![("x-cache-size", text("many"))], size.to_owned()),
        ("direct", vec![on.clone(), ("x-cache-size", Value::from(-1))], size.to_owned()),
        (plugin, vec![ten.clone(), ("x-cache-ttl", Value::from(0))], ttl.to_owned()),
        ("topic", vec![on.clone(), ("x-cache-ttl", Value::Bool(true))], ttl.to_owned()),
        (
            plugin,
            vec![ten.clone(), ("x-cache-persistence", text("tape"))],
            persistence.to_owned(),
        ),
        (plugin, vec![ten, ("x-cache-persistence", Value::from(1))], persistence.to_owned()),
        (
            "fanout",
            vec![on, ("x-deduplication-header", Value::from(1))],
            "Invalid argument, 'x-deduplication-header' must be the name of a header".to_owned(),
        ),
        ("x-recent-history", vec![("x-recent-history-length", Value::from(0))], length("0")),
        ("x-recent-history", vec![("x-recent-history-length", Value::from(-7))], length("-7")),
        (
            "x-recent-history",
            vec![("x-recent-history-length", text("3"))],
            length("<<\"3\">>"),
        ),
    ];
    for (kind, arguments, expected) in cases {
        let arguments: Table = arguments.into_iter().collect();
        let refusal = Site::new().exchange_with("x", kind, arguments.clone());
        assert_eq!(refusal, refused(ReplyCode::PreconditionFailed, &expected), "{kind} {arguments:?}");
        // So does a delayed-message exchange that is to route like this.
        let mut delayed = arguments;
        delayed.insert("x-delayed-type", kind);
        let refusal = Site::new().exchange_with("x", "x-delayed-message", delayed);
        assert_eq!(
            refusal,
            refused(ReplyCode::PreconditionFailed, &expected),
            "x-delayed-message, {kind}"
        );
    }
}

#[test]
fn all_queues_of_an_exchanges_own_go_with_it() {
    let mut site = Site::new();
    let arguments = table([
        ("x-delayed-type", text("x-recent-history")),
        ("x-message-deduplication", Value::Bool(true)),
    ]);
    let holdings = site.exchange_with("x", "x-delayed-message", arguments).unwrap();
    let purposes: Vec<_> = holdings.iter().map(|holding| holding.purpose).collect();
    assert_eq!(purposes, Purpose::ALL);
    assert_eq!(site.restarted().topology.holdings().count(), 3);
    site.delete_exchange("x", false).unwrap();
    assert_eq!(
        site.topology.take_released(),
        holdings.iter().map(|holding| holding.queue).collect::<Vec<_>>()
    );
    assert_eq!(
        (site.topology.holdings().count(), site.restarted().topology.holdings().count()),
        (0, 0)
    );
}
