//! Users, passwords and permissions.

use super::*;

/// A site with a user `ann` who may configure, write and read what matches.
fn site(configure: &str, write: &str, read: &str) -> Site {
    let mut site = Site::new();
    let ann = User::new("ann", Some(PasswordHash::new([1; 4], "secret")), Vec::new());
    site.topology.put_user(ann, &mut site.changes).unwrap();
    let permissions = Permissions::new(configure, write, read).unwrap();
    site.topology.set_permissions("ann", "/", permissions, &mut site.changes).unwrap();
    site.commit();
    site
}

#[test]
fn a_user_is_known_by_the_password() {
    let mut site = site("", "", "");
    let nobody = User::new("tokenless", None, Vec::new());
    site.topology.put_user(nobody, &mut site.changes).unwrap();
    site.commit();
    for topology in [&site.topology, &site.restarted().topology] {
        let cases = [
            ("guest", "guest", true, true),
            ("guest", "guest", false, false),
            ("guest", "guess", true, false),
            ("ann", "secret", false, true),
            ("ann", "", false, false),
            ("tokenless", "", true, false),
            ("nobody", "", true, false),
        ];
        for (user, password, loopback, expected) in cases {
            assert_eq!(topology.authenticate(user, password, loopback), expected, "{user} {password}");
        }
    }
}

#[test]
fn users_may_enter_virtual_hosts_where_they_have_permissions() {
    let mut site = site("", "", "");
    site.topology.add_vhost("other", &mut site.changes).unwrap();
    let cases = [
        ("guest", "/", true),
        ("ann", "/", true),
        ("ann", "other", false),
        ("ann", "none", false),
        ("nobody", "/", false),
    ];
    for (user, vhost, expected) in cases {
        assert_eq!(site.topology.may_access_vhost(user, vhost), expected, "{user} {vhost}");
    }
}

#[test]
fn what_a_user_may_not_do_is_refused_in_rabbitmqs_words() {
    let mut plain = site("", "", "");
    plain.exchange("x", "direct").unwrap();
    plain.queue("q").unwrap();
    plain.user = "ann";
    let refused = |permission: &str, what: &str| {
        let text = format!("{permission} access to {what} in vhost '/' refused for user 'ann'");
        refused(ReplyCode::AccessRefused, &text)
    };
    let none = Table::new();
    assert_eq!(plain.exchange("x", "direct"), refused("configure", "exchange 'x'"));
    assert_eq!(plain.exchange("new", "direct"), refused("configure", "exchange 'new'"));
    assert_eq!(plain.delete_exchange("x", false), refused("configure", "exchange 'x'"));
    assert_eq!(plain.queue("q"), refused("configure", "queue 'q'"));
    let passive = QueueDeclare {
        name: b"q",
        passive: true,
        ..QueueDeclare::default()
    };
    assert_eq!(plain.declare_queue(passive.clone()).map(drop), refused("configure", "queue 'q'"));
    assert_eq!(plain.bind("q", "x", "", &none), refused("write", "queue 'q'"));
    assert_eq!(plain.bind_exchange("x", "amq.topic", ""), refused("write", "exchange 'x'"));
    assert_eq!(
        plain.act(|t, actor, _| t.check_write(actor, b"")),
        refused("write", "exchange 'amq.default'")
    );
    assert_eq!(
        plain.act(|t, actor, _| t.check_write(actor, b"x")),
        refused("write", "exchange 'x'")
    );
    assert_eq!(plain.act(|t, actor, _| t.check_read(actor, b"q")), refused("read", "queue 'q'"));
    assert_eq!(
        plain.act(|t, actor, _| t.check_configure(actor, b"q")),
        refused("configure", "queue 'q'")
    );

    let mut writer = site("^new", "^q|amq\\.default", "^new");
    writer.user = "ann";
    assert_eq!(writer.bind("q", "amq.topic", "", &none), refused("read", "exchange 'amq.topic'"));
    assert_eq!(writer.act(|t, actor, _| t.check_write(actor, b"")), Ok(()));
    assert_eq!(
        writer.declare_queue(passive).map(drop),
        super::refused(ReplyCode::NotFound, "no queue 'q' in vhost '/'"),
        "any permission will do"
    );
    let with = |argument: &str, value: &str| table([(argument, text(value))]);
    let declare = QueueDeclare {
        name: b"new",
        arguments: with("x-dead-letter-exchange", "dead"),
        ..QueueDeclare::default()
    };
    assert_eq!(writer.declare_queue(declare).map(drop), refused("write", "exchange 'dead'"));
    let declare = ExchangeDeclare {
        name: b"new",
        kind: b"direct",
        arguments: with("alternate-exchange", "spare"),
        ..ExchangeDeclare::default()
    };
    assert_eq!(writer.declare_exchange(declare), refused("write", "exchange 'spare'"));
    assert_eq!(writer.queue("new"), Ok(()));
}

#[test]
fn patterns_are_held_against_names_as_rabbitmq_does() {
    let cases = [
        ("", "q", false),
        ("^$", "q", false),
        (".*", "q", true),
        ("q", "a queue", true),
        ("^q$", "qq", false),
        ("^(a|b)-", "b-1", true),
        ("^\u{e4}", "\u{e4}pfel", true),
    ];
    for (pattern, name, expected) in cases {
        let mut site = site("", "", pattern);
        site.user = "ann";
        let outcome = site.act(|topology, actor, _| topology.check_read(actor, name.as_bytes()));
        assert_eq!(outcome.is_ok(), expected, "{pattern} {name}");
    }
    let error = Permissions::new("(", "", "").unwrap_err();
    assert!(error.to_string().starts_with("'(' is not a regular expression: "), "{error}");
}

#[test]
fn users_and_virtual_hosts_can_be_changed_and_deleted() {
    let mut site = site(".*", "", "");
    let changes = &mut Vec::new();
    let topology = &mut site.topology;
    let all = || Permissions::new(".*", ".*", ".*").unwrap();
    assert_eq!(
        topology.set_permissions("nobody", "/", all(), changes),
        Err(AccessError::NoUser("nobody".into()))
    );
    assert_eq!(
        topology.set_permissions("ann", "none", all(), changes),
        Err(AccessError::NoVhost("none".into()))
    );
    assert_eq!(
        topology.put_user(User::new("", None, Vec::new()), changes),
        Err(AccessError::Name("".into()))
    );
    assert_eq!(topology.add_vhost("", changes), Err(TopologyError::VhostName("".into())));
    assert_eq!(topology.add_vhost("/", changes), Ok(false));
    assert!(!topology.delete_user("nobody", changes) && !topology.clear_permissions("ann", "none", changes));
    assert_eq!(topology.delete_vhost("none", changes), None);
    assert_eq!(*changes, []);

    topology
        .put_user(
            User::new("ann", Some(PasswordHash::new([2; 4], "new")), vec!["monitoring".into()]),
            changes,
        )
        .unwrap();
    assert!(
        topology.authenticate("ann", "new", false) && topology.may_access_vhost("ann", "/"),
        "permissions stay"
    );
    assert_eq!(topology.add_vhost("v", changes), Ok(true));
    topology.set_permissions("ann", "v", all(), changes).unwrap();
    assert_eq!(topology.user("ann").unwrap().all_permissions().count(), 2);
    assert!(topology.clear_permissions("ann", "/", changes));
    site.changes.append(changes);
    site.commit();
    site.vhost = "v";
    site.user = "ann";
    site.exchange("x", "topic").unwrap();
    site.queue("q").unwrap();
    site.bind("q", "x", "#", &Table::new()).unwrap();
    let restarted = site.restarted();
    assert_eq!(restarted.list(), site.list());
    assert_eq!(restarted.topology.records(), site.topology.records());

    let queues = site.topology.delete_vhost("v", &mut site.changes).unwrap();
    assert_eq!(queues.len(), 1);
    assert_eq!(site.topology.queue_by_id(queues[0].id), None);
    assert!(site.topology.delete_user("ann", &mut site.changes));
    site.topology.invariants();
    site.commit();
    assert_eq!(site.store.len(), 1, "the ids given out");
    assert!(!site.restarted().topology.has_vhost("v"));
}

#[test]
fn what_is_predeclared_can_go_and_come_back() {
    let mut site = Site::new();
    let fresh = Topology::new().records();
    assert_eq!(fresh, []);
    assert_eq!(site.topology.delete_vhost("/", &mut site.changes), Some(vec![]));
    assert!(site.topology.delete_user("guest", &mut site.changes));
    site.commit();
    let mut site = site.restarted();
    assert!(!site.topology.has_vhost("/") && site.topology.user("guest").is_none());

    site.topology.add_vhost("/", &mut site.changes).unwrap();
    let mut guest = User::new("guest", Some(PasswordHash::new([7; 4], "guest")), Vec::new());
    guest.loopback_only = true;
    site.topology.put_user(guest, &mut site.changes).unwrap();
    site.commit();
    let mut site = site.restarted();
    assert!(site.topology.authenticate("guest", "guest", true) && !site.topology.may_access_vhost("guest", "/"));
    let all = Permissions::new(".*", ".*", ".*").unwrap();
    site.topology.set_permissions("guest", "/", all, &mut site.changes).unwrap();
    site.commit();
    assert_eq!(site.store.len(), 1, "another salt");
    assert!(site.restarted().topology.may_access_vhost("guest", "/"));
}
