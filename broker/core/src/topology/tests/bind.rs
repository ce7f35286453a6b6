//! Bindings: identity, errors, and what goes with what.

use super::*;

#[test]
fn a_binding_is_made_once_and_all_of_it_is_its_identity() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    let none = Table::new();
    let one = table([("a", Value::from(1)), ("b", Value::from(2))]);
    let same = table([("b", Value::from(2)), ("a", Value::from(1))]);
    let other = table([("a", Value::from(1_i64)), ("b", Value::from(2))]);
    for arguments in [&none, &none, &one, &same, &other] {
        site.bind("q", "amq.direct", "k", arguments).unwrap();
    }
    assert_eq!(site.list(), ["amq.direct -k-> q", "amq.direct -k-> q", "amq.direct -k-> q", "q"]);
    assert_eq!(
        site.route("amq.direct", "k", &none),
        Ok(vec!["q".to_owned()]),
        "once, however many bindings lead there"
    );
    for arguments in [&same, &same, &none] {
        site.unbind("q", "amq.direct", "k", arguments).unwrap();
        assert_eq!(site.route("amq.direct", "k", &none), Ok(vec!["q".to_owned()]));
    }
    site.unbind("q", "amq.direct", "k", &other).unwrap();
    assert_eq!(site.route("amq.direct", "k", &none), Ok(vec![]));
    assert_eq!(site.list(), ["q"]);
    assert_eq!(site.store.len(), 2, "the queue, and the ids given out");
}

#[test]
fn what_rabbitmq_refuses_of_bindings_is_refused_in_its_words() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    let none = Table::new();
    let not_default = refused(ReplyCode::AccessRefused, "operation not permitted on the default exchange");
    let no_exchange = refused(ReplyCode::NotFound, "no exchange 'x' in vhost '/'");
    assert_eq!(site.bind("q", "", "k", &none), not_default);
    assert_eq!(site.unbind("q", "", "k", &none), not_default);
    assert_eq!(site.bind_exchange("", "amq.topic", "k"), not_default);
    assert_eq!(site.bind_exchange("amq.topic", "", "k"), not_default);
    assert_eq!(site.bind("q", "x", "k", &none), no_exchange);
    assert_eq!(site.bind("nothing", "x", "k", &none), no_exchange, "the source is looked for first");
    assert_eq!(site.bind_exchange("x", "amq.topic", "k"), no_exchange);
    assert_eq!(
        site.bind("nothing", "amq.topic", "k", &none),
        refused(ReplyCode::NotFound, "no queue 'nothing' in vhost '/'")
    );
    assert_eq!(site.unbind("nothing", "nowhere", "k", &none), Ok(()));
    assert_eq!(site.unbind("q", "amq.topic", "k", &none), Ok(()));
    assert_eq!(site.unbind_exchange("amq.match", "amq.topic", "k"), Ok(()));
    let cases = [
        (text("all"), Ok(())),
        (text("any-with-x"), Ok(())),
        (
            text("some"),
            refused(
                ReplyCode::PreconditionFailed,
                "Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x",
            ),
        ),
        (
            Value::from(7_i64),
            refused(
                ReplyCode::PreconditionFailed,
                "Invalid x-match field type long (value 7); expected longstr",
            ),
        ),
    ];
    for (how, expected) in cases {
        let arguments = table([("x-match", how)]);
        assert_eq!(site.bind("q", "amq.headers", "", &arguments), expected);
        assert_eq!(site.bind("q", "amq.topic", "", &arguments), Ok(()), "it means nothing to others");
    }
}

#[test]
fn only_what_has_two_durable_ends_outlives_a_restart() {
    let mut site = Site::new();
    for durable in [true, false] {
        let kept = if durable { "kept" } else { "lost" };
        let declare = ExchangeDeclare {
            name: kept.as_bytes(),
            kind: b"fanout",
            durable,
            ..ExchangeDeclare::default()
        };
        site.declare_exchange(declare).unwrap();
        site.declare_queue(QueueDeclare {
            name: kept.as_bytes(),
            durable,
            ..QueueDeclare::default()
        })
        .unwrap();
    }
    for exchange in ["kept", "lost"] {
        for destination in ["kept", "lost"] {
            site.bind(destination, exchange, "k", &Table::new()).unwrap();
            site.bind_exchange(destination, exchange, "k").unwrap();
        }
    }
    assert_eq!(site.list().len(), 12);
    assert_eq!(site.restarted().list(), ["kept", "kept -k-> kept", "kept -k-> kept", "kept fanout"]);
    assert_eq!(site.restarted().route("kept", "", &Table::new()), Ok(vec!["kept".to_owned()]));
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding_and_takes_others_along() {
    let mut site = Site::new();
    // a -> b -> c -> q, all auto-delete; and spare -> c, which is not.
    for name in ["a", "b", "c", "spare"] {
        let auto_delete = name != "spare";
        let declare = ExchangeDeclare {
            name: name.as_bytes(),
            kind: b"fanout",
            durable: true,
            auto_delete,
            ..ExchangeDeclare::default()
        };
        site.declare_exchange(declare).unwrap();
    }
    site.queue("q").unwrap();
    site.queue("r").unwrap();
    let none = Table::new();
    site.bind("q", "c", "", &none).unwrap();
    site.bind("r", "c", "", &none).unwrap();
    for (destination, source) in [("b", "a"), ("c", "b"), ("c", "spare")] {
        site.bind_exchange(destination, source, "").unwrap();
    }
    site.unbind("r", "c", "", &none).unwrap();
    assert_eq!(site.list().len(), 10, "a binding is left");
    site.delete_queue("q").unwrap();
    assert_eq!(site.list(), ["r", "spare fanout"]);
    assert_eq!(site.restarted().list(), ["r", "spare fanout"]);
}

#[test]
fn an_auto_delete_exchange_that_is_bound_to_itself_can_go() {
    let mut site = Site::new();
    let declare = ExchangeDeclare {
        name: b"x",
        kind: b"fanout",
        auto_delete: true,
        ..ExchangeDeclare::default()
    };
    site.declare_exchange(declare).unwrap();
    site.bind_exchange("x", "x", "1").unwrap();
    site.bind_exchange("x", "x", "2").unwrap();
    site.unbind_exchange("x", "x", "1").unwrap();
    assert_eq!(site.list(), ["x -2-> x", "x fanout"]);
    site.unbind_exchange("x", "x", "2").unwrap();
    assert_eq!(site.list(), [""; 0]);
}

#[test]
fn a_long_chain_of_auto_delete_exchanges_goes_at_once() {
    let mut site = Site::new();
    let actor = Actor {
        vhost: "/",
        user: "guest",
        connection: ConnectionId(1),
    };
    let (topology, changes, none) = (&mut site.topology, &mut site.changes, Table::new());
    let name = |n: usize| format!("x{n}").into_bytes();
    for n in 0..50_000 {
        let name_n = name(n);
        let declare = ExchangeDeclare {
            name: &name_n,
            kind: b"fanout",
            auto_delete: true,
            ..ExchangeDeclare::default()
        };
        topology.declare_exchange(&actor, &declare, changes).unwrap();
        if n > 0 {
            topology.bind_exchange(&actor, &name_n, &name(n - 1), b"", &none, changes).unwrap();
        }
    }
    topology.delete_exchange(&actor, &name(49_999), false, changes).unwrap();
    topology.invariants();
    assert_eq!(site.list(), [""; 0]);
}

#[test]
fn bindings_are_listed_by_their_ends() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    site.exchange("x", "fanout").unwrap();
    let none = Table::new();
    site.bind("q", "amq.topic", "1", &none).unwrap();
    site.bind("q", "x", "2", &none).unwrap();
    site.bind_exchange("x", "amq.topic", "3").unwrap();
    fn keys<'a>(bindings: impl Iterator<Item = &'a Arc<Binding>>) -> Vec<String> {
        let mut keys: Vec<_> = bindings.map(|binding| binding.routing_key.to_string()).collect();
        keys.sort();
        keys
    }
    assert_eq!(keys(site.topology.bindings("/")), ["1", "2", "3"]);
    assert_eq!(keys(site.topology.bindings("nowhere")), [""; 0]);
    assert_eq!(keys(site.topology.bindings_of_source("/", b"amq.topic")), ["1", "3"]);
    assert_eq!(keys(site.topology.bindings_of_exchange("/", b"x")), ["3"]);
    assert_eq!(keys(site.topology.bindings_of_queue("/", b"q")), ["1", "2"]);
}
