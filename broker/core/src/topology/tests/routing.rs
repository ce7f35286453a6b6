//! Where messages go.

use super::*;

/// Binds queues `q0`, `q1` ... to an exchange by these keys and arguments.
fn bound(exchange: &str, bindings: &[(&str, Table)]) -> Site {
    let mut site = Site::new();
    for (n, (key, arguments)) in bindings.iter().enumerate() {
        let queue = format!("q{n}");
        site.queue(&queue).unwrap();
        site.bind(&queue, exchange, key, arguments).unwrap();
    }
    site
}

fn check(site: &Site, exchange: &str, key: &str, headers: &Table, expected: &[&str]) {
    let routed = site.route(exchange, key, headers).unwrap();
    assert_eq!(routed, expected, "{exchange} {key:?} {headers:?}");
}

#[test]
fn the_default_exchange_knows_every_queue_by_its_name() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    let none = Table::new();
    check(&site, "", "q", &none, &["q"]);
    check(&site, "", "nothing", &none, &[]);
    site.delete_queue("q").unwrap();
    check(&site, "", "q", &none, &[]);
}

#[test]
fn what_cannot_be_published_to_is_refused() {
    let mut site = Site::new();
    let declare = ExchangeDeclare {
        name: b"inner",
        kind: b"fanout",
        internal: true,
        ..ExchangeDeclare::default()
    };
    site.declare_exchange(declare).unwrap();
    let none = Table::new();
    assert_eq!(
        site.route("x", "", &none),
        refused(ReplyCode::NotFound, "no exchange 'x' in vhost '/'")
    );
    assert_eq!(
        site.route("inner", "", &none),
        refused(ReplyCode::AccessRefused, "cannot publish to internal exchange 'inner' in vhost '/'")
    );
    // But what comes from another exchange goes through.
    site.queue("q").unwrap();
    site.bind("q", "inner", "", &none).unwrap();
    site.bind_exchange("inner", "amq.direct", "k").unwrap();
    check(&site, "amq.direct", "k", &none, &["q"]);
}

#[test]
fn direct_and_fanout() {
    let none = Table::new;
    let keys = [("a", none()), ("b", none()), ("a", none()), ("", none())];
    let site = bound("amq.direct", &keys);
    check(&site, "amq.direct", "a", &none(), &["q0", "q2"]);
    check(&site, "amq.direct", "b", &none(), &["q1"]);
    check(&site, "amq.direct", "", &none(), &["q3"]);
    check(&site, "amq.direct", "A", &none(), &[]);
    check(
        &bound("amq.fanout", &keys),
        "amq.fanout",
        "whatever",
        &none(),
        &["q0", "q1", "q2", "q3"],
    );
}

#[test]
fn topics() {
    let patterns = [
        "a.b", "a.*", "*.b", "#", "a.#", "#.b", "a.#.b", "*", "", "*.*.#", "#.#", "a..b", "*.#.*",
    ];
    let patterns: Vec<_> = patterns.into_iter().map(|pattern| (pattern, Table::new())).collect();
    let site = bound("amq.topic", &patterns);
    let cases: [(&str, &[&str]); 7] = [
        ("a.b", &["a.b", "a.*", "*.b", "#", "a.#", "#.b", "a.#.b", "*.*.#", "#.#", "*.#.*"]),
        ("", &["#", "", "#.#"]),
        ("a", &["#", "a.#", "*", "#.#"]),
        ("b", &["#", "#.b", "*", "#.#"]),
        ("a.x.y.b", &["#", "a.#", "#.b", "a.#.b", "*.*.#", "#.#", "*.#.*"]),
        ("a..b", &["#", "a.#", "#.b", "a.#.b", "*.*.#", "#.#", "a..b", "*.#.*"]),
        ("x.", &["#", "*.*.#", "#.#", "*.#.*"]),
    ];
    for (key, expected) in cases {
        let names: Vec<_> = (0..patterns.len())
            .filter(|n| expected.contains(&patterns[*n].0))
            .map(|n| format!("q{n}"))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        check(&site, "amq.topic", key, &Table::new(), &names);
    }
}

#[test]
fn many_wildcards_do_not_multiply() {
    let pattern = format!("{}z", "#.a.".repeat(60));
    let site = bound("amq.topic", &[(&pattern, Table::new()), ("#.#.#.#.#.#.#.#.#.#", Table::new())]);
    // Each of the ways to lay sixty words into a hundred and twenty would be walked otherwise.
    check(&site, "amq.topic", &"a.".repeat(120), &Table::new(), &["q1"]);
    check(&site, "amq.topic", &format!("{}z", "a.".repeat(120)), &Table::new(), &["q0", "q1"]);
}

#[test]
fn headers() {
    let how = |how: &str, fields: &[(&str, Value)]| {
        let mut arguments = table([("x-match", text(how))]);
        fields.iter().for_each(|(name, value)| arguments.insert(*name, value.clone()));
        ("", arguments)
    };
    let (a1, b2, x3) = (("a", Value::from(1)), ("b", text("2")), ("x-c", Value::from(3)));
    let site = bound(
        "amq.headers",
        &[
            how("all", &[a1.clone(), b2.clone()]),                // q0
            how("any", &[a1.clone(), b2.clone()]),                // q1
            how("all", &[a1.clone(), x3.clone()]),                // q2: asks for a alone
            how("all-with-x", &[a1.clone(), x3.clone()]),         // q3
            how("any-with-x", &[b2.clone(), x3.clone()]),         // q4
            ("", table([("a", Value::Void)])),                    // q5: has an a
            ("", Table::new()),                                   // q6: asks for nothing
            how("any", &[]),                                      // q7: nothing will do
            how("all", &[("f", Value::from(1.0))]),               // q8
            how("all", &[("d", Value::Timestamp(5))]),            // q9
            how("any", &[a1.clone(), ("a", Value::from(1_i64))]), // q10
        ],
    );
    let cases = [
        (table([]), vec!["q6"]),
        (table([a1.clone()]), vec!["q1", "q2", "q5", "q6", "q10"]),
        (table([a1.clone(), b2.clone()]), vec!["q0", "q1", "q2", "q4", "q5", "q6", "q10"]),
        (
            table([("a", Value::from(1_i64)), ("b", Value::ByteArray("2".into()))]),
            vec!["q0", "q1", "q2", "q4", "q5", "q6", "q10"],
        ),
        (table([("a", text("1"))]), vec!["q5", "q6"]),
        (table([a1.clone(), x3.clone()]), vec!["q1", "q2", "q3", "q4", "q5", "q6", "q10"]),
        (table([x3.clone()]), vec!["q4", "q6"]),
        (table([("f", Value::from(1.0_f32))]), vec!["q6", "q8"]),
        (table([("f", Value::from(1))]), vec!["q6"]),
        (table([("d", Value::Timestamp(5))]), vec!["q6", "q9"]),
        (table([("b", text("3")), ("c", text("2"))]), vec!["q6"]),
    ];
    for (headers, expected) in &cases {
        check(&site, "amq.headers", "ignored", headers, expected);
    }
    let mut site = site;
    for (n, (_, arguments)) in [how("all", &[a1.clone(), b2.clone()]), how("any", &[a1, b2])].iter().enumerate() {
        site.unbind(&format!("q{n}"), "amq.headers", "", arguments).unwrap();
    }
    check(&site, "amq.headers", "", &cases[2].0, &["q2", "q4", "q5", "q6", "q10"]);
}

#[test]
fn headers_are_decoded_only_for_a_headers_exchange_and_once() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    site.exchange("second", "headers").unwrap();
    let none = Table::new();
    site.bind("q", "amq.headers", "", &none).unwrap();
    site.bind("q", "second", "", &none).unwrap();
    site.bind_exchange("second", "amq.headers", "").unwrap();
    for (exchange, expected) in [("", 0), ("amq.topic", 0), ("amq.headers", 1), ("amq.match", 0)] {
        let mut calls = 0;
        let mut headers = || {
            calls += 1;
            Facts::default()
        };
        site.topology
            .route("/", exchange.as_bytes(), &[b"q"], &mut headers, &mut Vec::new())
            .unwrap();
        assert_eq!(calls, expected, "{exchange}");
    }
}

#[test]
fn exchanges_bound_in_circles_are_asked_once() {
    let mut site = Site::new();
    let none = Table::new();
    for n in 0..100 {
        site.exchange(&format!("x{n}"), "fanout").unwrap();
        site.queue(&format!("q{n:02}")).unwrap();
        site.bind(&format!("q{n:02}"), &format!("x{n}"), "", &none).unwrap();
    }
    for n in 0..100 {
        site.bind_exchange(&format!("x{}", (n + 1) % 100), &format!("x{n}"), "").unwrap();
        site.bind_exchange("x0", &format!("x{n}"), "").unwrap();
    }
    let all: Vec<_> = (0..100).map(|n| format!("q{n:02}")).collect();
    assert_eq!(site.route("x0", "", &none), Ok(all.clone()));
    assert_eq!(site.route("x42", "", &none), Ok(all));
}

#[test]
fn what_finds_no_destination_goes_to_the_alternate_exchange() {
    let mut site = Site::new();
    let with_alternate = |name: &'static str, alternate: &str| ExchangeDeclare {
        name: name.as_bytes(),
        kind: b"direct",
        durable: true,
        arguments: table([("alternate-exchange", text(alternate))]),
        ..ExchangeDeclare::default()
    };
    site.declare_exchange(with_alternate("first", "second")).unwrap();
    let none = Table::new();
    check(&site, "first", "k", &none, &[]);
    site.declare_exchange(with_alternate("second", "spare")).unwrap();
    site.declare_exchange(ExchangeDeclare {
        name: b"spare",
        kind: b"fanout",
        internal: true,
        ..ExchangeDeclare::default()
    })
    .unwrap();
    for queue in ["a", "b", "c"] {
        site.queue(queue).unwrap();
    }
    site.bind("a", "first", "1", &none).unwrap();
    site.bind("b", "second", "2", &none).unwrap();
    site.bind("c", "spare", "", &none).unwrap();
    check(&site, "first", "1", &none, &["a"]);
    check(&site, "first", "2", &none, &["b"]);
    check(&site, "first", "3", &none, &["c"]);
    assert_eq!(site.restarted().route("first", "2", &none), Ok(vec!["b".to_owned()]));
    // An exchange that is a destination is one, whatever it does with the message.
    site.exchange("dead end", "direct").unwrap();
    site.bind_exchange("dead end", "first", "4").unwrap();
    check(&site, "first", "4", &none, &[]);
    // In a circle.
    site.delete_exchange("second", false).unwrap();
    site.declare_exchange(with_alternate("second", "first")).unwrap();
    check(&site, "first", "5", &none, &[]);
}

#[test]
fn a_route_is_appended() {
    let site = bound("amq.fanout", &[("", Table::new())]);
    let before = RouteTarget {
        queue: QueueId(9),
        durable: false,
        delays: false,
        keeps: false,
    };
    let mut out = vec![before, before];
    site.topology
        .route("/", b"amq.fanout", &[b""], &mut Facts::default, &mut out)
        .unwrap();
    let id = site.topology.find_queue("/", b"q0").unwrap().id;
    assert_eq!(
        out,
        [
            before,
            before,
            RouteTarget {
                queue: id,
                durable: true,
                delays: false,
                keeps: false
            }
        ]
    );
}

#[test]
fn the_keys_of_a_message_stay_together_on_their_way() {
    let mut site = Site::new();
    let none = Table::new();
    for queue in ["a", "b", "c"] {
        site.queue(queue).unwrap();
    }
    for (exchange, kind, queue, key) in [
        ("one", "direct", "a", "1"),
        ("other", "topic", "b", "2.#"),
        ("any", "x-random", "c", ""),
    ] {
        site.exchange(exchange, kind).unwrap();
        site.bind(queue, exchange, key, &none).unwrap();
    }
    site.bind_exchange("other", "one", "1").unwrap();
    site.bind_exchange("any", "other", "2.x").unwrap();
    for (exchange, keys, reached) in [
        ("", &[&b"c"[..], b"a", b"c", b"nowhere"][..], &["a", "c"][..]),
        ("one", &[b"1"], &["a"]),
        ("one", &[b"", b"1", b"2"], &["a", "b"]),
        ("one", &[b"2.x", b"1"], &["a", "b", "c"]),
        ("one", &[b"2.x", b"2"], &[]),
        ("any", &[b"1", b"2"], &["c"]),
    ] {
        assert_eq!(site.route_copies(exchange, keys, &none).unwrap(), reached, "{exchange} {keys:?}");
    }
}

#[test]
fn a_message_of_several_keys_goes_to_one_destination_where_one_is_chosen() {
    let mut site = Site::new();
    let none = Table::new();
    site.exchange("x", "x-random").unwrap();
    for queue in ["a", "b"] {
        site.queue(queue).unwrap();
        site.bind(queue, "x", "", &none).unwrap();
    }
    for _ in 0..8 {
        assert_eq!(site.route_copies("x", &[b"1", b"2", b"3"], &none).unwrap().len(), 1);
    }
}
