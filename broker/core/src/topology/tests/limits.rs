//! What virtual hosts and users may have at most, and the routing keys that users may use.

use super::*;

impl Site {
    pub(super) fn limit(&mut self, of: LimitOf, owner: &str, name: &str, value: impl Into<Value>) -> Result<(), String> {
        let set = self.topology.set_limit(of, owner, name, &value.into(), &mut self.changes);
        self.topology.invariants();
        self.commit();
        set.map_err(|error| error.to_string())
    }

    pub(super) fn unlimit(&mut self, of: LimitOf, owner: &str, name: &str) -> bool {
        let cleared = self.topology.clear_limit(of, owner, name, &mut self.changes);
        self.commit();
        cleared
    }

    pub(super) fn topics(&mut self, user: &str, exchange: &str, write: &str, read: &str) -> Result<(), String> {
        let changes = &mut self.changes;
        let set = self
            .topology
            .set_topic_permissions(user, self.vhost, &exchange.into(), (write, read), changes);
        self.topology.invariants();
        self.commit();
        set.map_err(|error| error.to_string())
    }
}

#[test]
fn a_virtual_host_has_as_many_queues_as_it_may() {
    let mut site = Site::new();
    site.queue("a").unwrap();
    site.limit(LimitOf::Vhost, "/", MAX_QUEUES, 2).unwrap();
    site.queue("b").unwrap();
    let mut site = site.restarted();
    let full = |queue, limit| {
        let text = format!("cannot declare queue '{queue}': queue limit in vhost '/' ({limit}) is reached");
        refused(ReplyCode::PreconditionFailed, &text)
    };
    assert_eq!(site.queue("c"), full("c", 2));
    assert_eq!(site.queue("a"), Ok(()), "what is there can be declared again");
    site.delete_queue("a").unwrap();
    site.queue("c").unwrap();
    site.limit(LimitOf::Vhost, "/", MAX_QUEUES, 0).unwrap();
    assert_eq!(site.queue("d"), full("d", 0));
    site.limit(LimitOf::Vhost, "/", MAX_QUEUES, -1).unwrap();
    site.queue("d").unwrap();
    assert!(site.unlimit(LimitOf::Vhost, "/", MAX_QUEUES));
    assert!(!site.unlimit(LimitOf::Vhost, "/", MAX_QUEUES));
    let limits: Vec<_> = site.store.keys().filter(|key| key[1] == 10).collect();
    assert!(limits.is_empty(), "{limits:?}");
}

#[test]
fn limits_are_kept_by_owner_and_go_with_it() {
    let mut site = Site::new();
    site.topology.add_vhost("v", &mut site.changes).unwrap();
    site.topology.put_user(User::new("ann", None, vec![]), &mut site.changes).unwrap();
    site.limit(LimitOf::Vhost, "v", MAX_CONNECTIONS, 3).unwrap();
    site.limit(LimitOf::User, "ann", MAX_CONNECTIONS, 1).unwrap();
    site.limit(LimitOf::User, "ann", MAX_CHANNELS, -7).unwrap();
    // A user who is put again keeps them, as it keeps permissions.
    site.topology
        .put_user(User::new("ann", None, vec!["management".into()]), &mut site.changes)
        .unwrap();
    site.commit();
    let mut site = site.restarted();
    let limits = |site: &Site, of, owner| site.topology.limits(of, owner).map(|limits| limits.iter().collect::<Vec<_>>());
    assert_eq!(limits(&site, LimitOf::Vhost, "v"), Some(vec![(MAX_CONNECTIONS, 3)]));
    assert_eq!(
        limits(&site, LimitOf::User, "ann"),
        Some(vec![(MAX_CHANNELS, -7), (MAX_CONNECTIONS, 1)])
    );
    assert_eq!(
        site.topology.limits(LimitOf::User, "ann").unwrap().get(MAX_CHANNELS),
        None,
        "negative: no limit"
    );
    assert_eq!(limits(&site, LimitOf::User, "nobody"), None);
    let owners: Vec<_> = site
        .topology
        .all_limits(LimitOf::Vhost)
        .map(|(owner, _)| owner.to_string())
        .collect();
    assert_eq!(owners, ["v"]);
    site.topology.delete_user("ann", &mut site.changes);
    site.topology.delete_vhost("v", &mut site.changes).unwrap();
    site.commit();
    assert!(site.store.is_empty(), "{:?}", site.store);
}

#[test]
fn what_rabbitmq_refuses_of_limits_is_refused_in_its_words() {
    let mut site = Site::new();
    let unknown = "Validation failed\n\nUnrecognised terms [{<<\"max-channels\">>,1}] in limits\n";
    assert_eq!(site.limit(LimitOf::Vhost, "/", MAX_CHANNELS, 1), Err(unknown.into()));
    let unknown = "Unrecognised terms [{<<\"max-queues\">>,1}] in user-limits";
    assert_eq!(site.limit(LimitOf::User, "guest", MAX_QUEUES, 1), Err(unknown.into()));
    let no_number = "Validation failed\n\nmax-queues should be a number, actually was <<\"1\">>\n";
    assert_eq!(site.limit(LimitOf::Vhost, "/", MAX_QUEUES, text("1")), Err(no_number.into()));
    assert_eq!(site.limit(LimitOf::Vhost, "v", MAX_QUEUES, 1), Err("there is no such vhost".into()));
    assert!(site.store.is_empty());
}

#[test]
fn topic_permissions_say_with_which_keys_a_user_publishes_and_binds() {
    let mut site = Site::new();
    site.queue("q").unwrap();
    site.topics("guest", "amq.topic", "^{username}\\.", "^{vhost}{client_id}$").unwrap();
    let site = &mut site.restarted();
    let publish = |site: &Site, exchange: &str, key: &str| {
        let actor = Actor {
            vhost: "/",
            user: "guest",
            connection: ConnectionId(1),
        };
        let checked = site
            .topology
            .check_topic(&actor, Permission::Write, exchange.as_bytes(), key.as_bytes());
        checked.map_err(|error| (error.code().code(), error.to_string()))
    };
    let text = |permission, key| {
        let text = format!("{permission} access to topic '{key}' in exchange topic 'amq.topic' in vhost '/' refused for user 'guest'");
        refused(ReplyCode::AccessRefused, &text)
    };
    assert_eq!(publish(site, "amq.topic", "guest.a"), Ok(()));
    assert_eq!(publish(site, "amq.topic", "ann.a"), text("write", "ann.a"));
    assert_eq!(publish(site, "amq.direct", "ann.a"), Ok(()), "only topic exchanges ask");
    assert_eq!(publish(site, "nowhere", "ann.a"), Ok(()));
    assert_eq!(site.bind("q", "amq.topic", "a", &Table::new()), text("read", "a"));
    assert_eq!(site.unbind("q", "amq.topic", "a", &Table::new()), text("read", "a"));
    assert_eq!(site.bind("q", "amq.topic", "/{client_id}", &Table::new()), Ok(()));
    site.exchange("x", "fanout").unwrap();
    assert_eq!(site.bind_exchange("x", "amq.topic", "a"), text("read", "a"));
    assert!(
        site.topics("guest", "amq.topic", "(", "")
            .unwrap_err()
            .contains("is not a regular expression")
    );
    assert_eq!(
        site.topics("nobody", "amq.topic", "", ""),
        Err("user 'nobody' does not exist".into())
    );
    // The empty pattern allows the empty key.
    site.topics("guest", "amq.topic", "", "").unwrap();
    assert_eq!(publish(site, "amq.topic", ""), Ok(()));
    assert_eq!(publish(site, "amq.topic", "a"), text("write", "a"));
    let all: Vec<_> = site
        .topology
        .topic_permissions("guest")
        .map(|(vhost, exchange, _)| format!("{vhost} {exchange}"))
        .collect();
    assert_eq!(all, ["/ amq.topic"]);
    assert!(site.topology.clear_topic_permissions("guest", "/", None, &mut site.changes));
    assert!(!site.topology.clear_topic_permissions("guest", "/", None, &mut site.changes));
    site.commit();
    assert_eq!(publish(site, "amq.topic", "ann.a"), Ok(()));
    assert_eq!(site.restarted().topology.topic_permissions("guest").count(), 0);
}
