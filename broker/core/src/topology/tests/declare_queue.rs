//! Declarations and deletions of queues: what is done, and what is refused in which words.

use super::*;

#[test]
fn a_queue_can_be_declared_again_if_nothing_differs() {
    let first = QueueDeclare {
        name: b"q",
        durable: true,
        arguments: table([("x-message-ttl", Value::from(60_000_i32)), ("x-unknown", text("a"))]),
        ..QueueDeclare::default()
    };
    let with = |arguments| QueueDeclare {
        arguments,
        ..first.clone()
    };
    let ttl = |n: i64| ("x-message-ttl", Value::from(n));
    let differs = |what: &str| Err((406, format!("inequivalent arg '{what}")));
    let cases = [
        (first.clone(), Ok(())),
        (with(table([ttl(60_000), ("x-queue-type", text("classic"))])), Ok(())),
        (
            QueueDeclare {
                durable: false,
                ..first.clone()
            },
            differs("durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"),
        ),
        (
            QueueDeclare {
                auto_delete: true,
                ..first.clone()
            },
            differs("auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'"),
        ),
        (
            with(table([ttl(5)])),
            differs("x-message-ttl' for queue 'q' in vhost '/': received '5' but current is '60000'"),
        ),
        (
            with(Table::new()),
            differs("x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '60000' of type 'signedint'"),
        ),
        (
            with(table([ttl(60_000), ("x-expires", Value::from(9_i64))])),
            differs("x-expires' for queue 'q' in vhost '/': received the value '9' of type 'long' but current is none"),
        ),
        (
            with(table([ttl(60_000), ("x-queue-type", text("quorum"))])),
            differs("x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is 'classic'"),
        ),
        (
            QueueDeclare {
                exclusive: true,
                ..first.clone()
            },
            refused(
                ReplyCode::ResourceLocked,
                "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another connection or the \
                 exclusive property value does not match that of the original declaration.",
            ),
        ),
        (
            QueueDeclare {
                name: b"q",
                passive: true,
                ..QueueDeclare::default()
            },
            Ok(()),
        ),
    ];
    let mut site = Site::new();
    let id = site
        .declare_queue(first.clone())
        .map(|declared| (declared.created, declared.queue.id))
        .unwrap()
        .1;
    for (declare, expected) in cases {
        let outcome = site.declare_queue(declare.clone());
        let outcome = outcome.map(|declared| assert_eq!((declared.created, declared.queue.id), (false, id)));
        assert_eq!(outcome, expected, "{declare:?}");
    }
}

#[test]
fn what_rabbitmq_refuses_of_queues_is_refused_in_its_words() {
    let q = |name: &'static str| QueueDeclare {
        name: name.as_bytes(),
        ..QueueDeclare::default()
    };
    let quorum = |name| QueueDeclare {
        arguments: table([("x-queue-type", text("quorum"))]),
        ..q(name)
    };
    let cases = [
        (
            QueueDeclare { passive: true, ..q("q") },
            refused(ReplyCode::NotFound, "no queue 'q' in vhost '/'"),
        ),
        (
            q("amq.x"),
            refused(ReplyCode::AccessRefused, "queue name 'amq.x' contains reserved prefix 'amq.*'"),
        ),
        (
            QueueDeclare { name: &[0xFF; 3], ..q("") },
            refused(
                ReplyCode::PreconditionFailed,
                "queue name '\u{fffd}\u{fffd}\u{fffd}' is not valid: a name is UTF-8 of at most 255 octets",
            ),
        ),
        (
            QueueDeclare {
                arguments: table([("x-dead-letter-exchange", Value::from(true))]),
                ..q("q")
            },
            refused(
                ReplyCode::PreconditionFailed,
                "invalid type 'bool' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
            ),
        ),
        (
            quorum(""),
            refused(
                ReplyCode::PreconditionFailed,
                "Cannot declare a server-named queue for type rabbit_quorum_queue",
            ),
        ),
        (
            quorum("q"),
            refused(
                ReplyCode::PreconditionFailed,
                "invalid property 'non-durable' for queue 'q' in vhost '/'",
            ),
        ),
        (
            QueueDeclare {
                exclusive: true,
                durable: true,
                ..quorum("q")
            },
            refused(
                ReplyCode::PreconditionFailed,
                "invalid property 'exclusive-owner' for queue 'q' in vhost '/'",
            ),
        ),
        (
            QueueDeclare {
                auto_delete: true,
                durable: true,
                ..quorum("q")
            },
            refused(
                ReplyCode::PreconditionFailed,
                "invalid property 'auto-delete' for queue 'q' in vhost '/'",
            ),
        ),
        (
            QueueDeclare {
                durable: true,
                ..quorum("q")
            },
            Ok(()),
        ),
    ];
    for (declare, expected) in cases {
        let outcome = Site::new().declare_queue(declare.clone()).map(drop);
        assert_eq!(outcome, expected, "{declare:?}");
    }
    let long = [b'q'; 256];
    let outcome = Site::new().declare_queue(QueueDeclare { name: &long, ..q("") });
    assert_eq!(outcome.map(drop).map_err(|(code, _)| code), Err(406));
}

#[test]
fn the_broker_names_queues_that_come_without_a_name() {
    let unnamed = |arguments| QueueDeclare {
        generated: "R4nd0m",
        exclusive: true,
        arguments,
        ..QueueDeclare::default()
    };
    let cases = [
        (Table::new(), Ok("amq.gen-R4nd0m".to_owned())),
        (table([("x-name-prefix", text("mine"))]), Ok("mine-R4nd0m".to_owned())),
        (
            table([("x-name-prefix", text(&"p".repeat(65)))]),
            Err((406, format!("Queue name prefix '{}' exceeds the 64-byte limit", "p".repeat(65)))),
        ),
    ];
    for (arguments, expected) in cases {
        let outcome = Site::new().declare_queue(unnamed(arguments));
        let outcome = outcome.map(|declared| {
            assert!(declared.created && declared.queue.arguments.is_empty());
            declared.queue.name.to_string()
        });
        assert_eq!(outcome, expected);
    }
}

#[test]
fn an_exclusive_queue_is_its_connections_own() {
    let mut site = Site::new();
    let own = QueueDeclare {
        name: b"own",
        durable: true,
        exclusive: true,
        ..QueueDeclare::default()
    };
    let declared = site.declare_queue(own.clone()).unwrap();
    assert!(!declared.queue.durable, "it would not outlive a restart");
    site.declare_queue(own.clone()).unwrap();
    site.connection = ConnectionId(2);
    let locked = refused(
        ReplyCode::ResourceLocked,
        "cannot obtain exclusive access to locked queue 'own' in vhost '/'. It could be originally declared on another connection or the exclusive \
         property value does not match that of the original declaration.",
    );
    assert_eq!(site.declare_queue(own.clone()).map(drop), locked);
    assert_eq!(
        site.declare_queue(QueueDeclare {
            passive: true,
            ..own.clone()
        })
        .map(drop),
        locked
    );
    assert_eq!(site.act(|topology, actor, _| topology.queue(actor, b"own")).map(drop), locked);
    assert_eq!(site.bind("own", "amq.fanout", "", &Table::new()), locked);
    assert_eq!(site.topology.exclusive_queues(ConnectionId(2)), []);
    assert_eq!(
        site.topology.exclusive_queues(ConnectionId(1)),
        std::slice::from_ref(&declared.queue)
    );
    assert_eq!(site.delete_queue("own"), Some(declared.queue));
    assert_eq!(site.topology.exclusive_queues(ConnectionId(1)), []);
    assert_eq!(site.restarted().list(), [""; 0]);
}

#[test]
fn ids_of_queues_are_never_given_out_again() {
    let mut site = Site::new();
    let mut highest = QueueId(0);
    for restart in 0..3 {
        for n in 0..1500 {
            // Transient queues as well: what they had on disk may still be there.
            let name = format!("{restart} {n}");
            let durable = n % 2 == 0;
            let declare = QueueDeclare {
                name: name.as_bytes(),
                durable,
                ..QueueDeclare::default()
            };
            let declared = site.topology.declare_queue(
                &Actor {
                    vhost: "/",
                    user: "guest",
                    connection: ConnectionId(1),
                },
                &declare,
                &mut site.changes,
            );
            let id = declared.unwrap().queue.id;
            assert!(id > highest, "{id} after {highest}");
            highest = id;
            site.topology.delete_queue("/", name.as_bytes(), &mut site.changes);
        }
        site.commit();
        site = site.restarted();
    }
}

#[test]
fn nothing_can_be_done_in_a_virtual_host_that_is_gone() {
    let mut site = Site::new();
    site.vhost = "gone";
    let gone = refused(ReplyCode::NotAllowed, "vhost gone not found");
    assert_eq!(site.exchange("x", "direct"), gone);
    assert_eq!(site.queue("q"), gone);
    assert_eq!(site.bind("q", "x", "", &Table::new()), gone);
    assert_eq!(site.route("x", "", &Table::new()).map(drop), gone);
    assert_eq!(site.delete_queue("q"), None);
}
