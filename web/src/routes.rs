//! All routes, in one list: method, path, who may, what it is about, and the handler.

use crate::auth::Access::{Administrator, Monitoring, Policymaker, Public, User, Vhost, Visible};
use crate::route::{Route, delete, get, list, post, put};
use crate::{
    assets, attempts, attention, bindings, cluster, connections, contents, definitions, delayed, exchanges, health, limits, messages,
    nodes, openapi, overview, parameters, pause, policies, queues, sessions, topic_permissions, unacked, users, vhosts,
};

/// The list.
pub(crate) fn all() -> Vec<Route> {
    [
        pages(),
        logins(),
        server(),
        health(),
        connections(),
        vhosts(),
        queues(),
        exchanges(),
        bindings(),
        policies(),
        limits(),
        users(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pages() -> Vec<Route> {
    vec![
        get("/", Public, "The dashboard", assets::index),
        get("/icon.svg", Public, "Its icon", assets::icon),
        get("/css/{*file}", Public, "Its style sheets", assets::style),
        get("/js/{*file}", Public, "Its modules", assets::script),
        get("/vendor/{*file}", Public, "Libraries that it uses", assets::library),
        get("/cli", Public, "Where to get command line tools", assets::cli),
        get("/api/openapi.json", Public, "This document", openapi::get),
    ]
}

fn logins() -> Vec<Route> {
    vec![
        get("/api/login", Public, "Whose session this is", sessions::current),
        post("/api/login", Public, "Begin a session", sessions::log_in).takes(sessions::LOGIN),
        delete("/api/login", Public, "End the session", sessions::log_out),
    ]
}

fn server() -> Vec<Route> {
    vec![
        get("/api/overview", User, "The broker as a whole", overview::get),
        get("/api/attention", User, "What needs somebody now", attention::get),
        get("/api/cluster-name", User, "The name of the cluster", cluster::name),
        put("/api/cluster-name", Administrator, "Name the cluster", cluster::set_name).takes(cluster::NAME),
        get(
            "/api/definitions",
            Administrator,
            "Everything that is declared",
            definitions::export,
        ),
        post("/api/definitions", Administrator, "Declare all of this", definitions::import).takes(definitions::DEFINITIONS),
        get(
            "/api/definitions/{vhost}",
            Administrator,
            "What is declared in a virtual host",
            definitions::export_vhost,
        ),
        post(
            "/api/definitions/{vhost}",
            Administrator,
            "Declare all of this in a virtual host",
            definitions::import_vhost,
        )
        .takes(definitions::DEFINITIONS),
        list("/api/nodes", Monitoring, "All nodes", nodes::list),
        get("/api/nodes/{node}", Monitoring, "A node", nodes::get),
        get(
            "/api/nodes/{node}/memory",
            Monitoring,
            "What a node uses memory for",
            nodes::get_memory,
        ),
        get("/api/extensions", User, "Extensions of the pages", cluster::extensions),
        get("/api/auth", Public, "How to log in", cluster::auth),
        get("/api/auth/attempts/{node}", Monitoring, "How many logins there were", attempts::get),
        delete(
            "/api/auth/attempts/{node}",
            Administrator,
            "Count logins from zero again",
            attempts::reset,
        ),
        get(
            "/api/auth/attempts/{node}/source",
            Monitoring,
            "Logins by address",
            attempts::by_source,
        ),
        list("/api/federation-links", Monitoring, "Links of federation", cluster::no_links),
        list("/api/shovels", Monitoring, "Shovels", cluster::no_links),
        list("/api/feature-flags", User, "Feature flags", cluster::feature_flags),
        put(
            "/api/feature-flags/{flag}/enable",
            Administrator,
            "Turn a feature on",
            cluster::enable_feature_flag,
        )
        .takes(&[]),
        list(
            "/api/deprecated-features",
            User,
            "Deprecated features",
            cluster::deprecated_features,
        ),
        list(
            "/api/deprecated-features/used",
            User,
            "Deprecated features that are in use",
            cluster::deprecated_features_used,
        ),
        post(
            "/api/rebalance/queues",
            Administrator,
            "Spread queues over nodes",
            cluster::rebalance,
        )
        .takes(&[]),
    ]
}

fn health() -> Vec<Route> {
    vec![
        get("/api/health/checks/alarms", User, "There are no alarms", health::alarms),
        get(
            "/api/health/checks/local-alarms",
            User,
            "There are no alarms on this node",
            health::alarms,
        ),
        get(
            "/api/health/checks/certificate-expiration/{within}/{unit}",
            User,
            "Certificates last",
            health::certificate_expiration,
        ),
        get(
            "/api/health/checks/port-listener/{port}",
            User,
            "A port is listened on",
            health::port_listener,
        ),
        get(
            "/api/health/checks/protocol-listener/{protocol}",
            User,
            "A protocol is listened for",
            health::protocol_listener,
        ),
        get("/api/health/checks/virtual-hosts", User, "Virtual hosts run", health::virtual_hosts),
        get(
            "/api/health/checks/node-is-mirror-sync-critical",
            User,
            "Others do not need this node",
            health::single_node,
        ),
        get(
            "/api/health/checks/node-is-quorum-critical",
            User,
            "Others do not need this node",
            health::single_node,
        ),
        get(
            "/api/health/checks/is-in-service",
            User,
            "What is published is accepted",
            health::ready,
        ),
        get(
            "/api/health/checks/ready-to-serve-clients",
            User,
            "What is published is accepted",
            health::ready,
        ),
        get(
            "/api/health/checks/below-node-connection-limit",
            User,
            "There is room for connections",
            health::below_connection_limit,
        ),
        get(
            "/api/aliveness-test/{vhost}",
            Vhost,
            "A message goes through a queue",
            health::aliveness,
        ),
        get("/api/healthchecks/node", User, "The node is in order", health::alarms),
        get("/api/healthchecks/node/{node}", User, "A node is in order", health::alarms_of),
    ]
}

fn queues() -> Vec<Route> {
    vec![
        list("/api/queues", User, "All queues", queues::list),
        list(
            "/api/queues/{vhost}",
            Visible,
            "The queues of a virtual host",
            queues::list_in_vhost,
        ),
        get("/api/queues/{vhost}/{queue}", Visible, "A queue", queues::get),
        put("/api/queues/{vhost}/{queue}", Vhost, "Declare a queue", queues::declare).takes(queues::QUEUE),
        delete("/api/queues/{vhost}/{queue}", Vhost, "Delete a queue", queues::delete),
        list(
            "/api/queues/{vhost}/{queue}/bindings",
            Visible,
            "The bindings to a queue",
            bindings::to_queue,
        ),
        post("/api/queues/{vhost}/{queue}/get", Vhost, "Take messages", messages::get).takes(messages::GET),
        get("/api/queues/{vhost}/{queue}/contents", Vhost, "Look at messages", contents::list),
        delete(
            "/api/queues/{vhost}/{queue}/contents",
            Vhost,
            "Purge a queue, or remove what a filter finds",
            contents::remove_all,
        ),
        post(
            "/api/queues/{vhost}/{queue}/contents/move",
            Vhost,
            "Move messages",
            contents::move_all,
        )
        .takes(contents::MOVE),
        get(
            "/api/queues/{vhost}/{queue}/contents/{id}",
            Vhost,
            "Look at a message",
            contents::one,
        ),
        delete(
            "/api/queues/{vhost}/{queue}/contents/{id}",
            Vhost,
            "Remove a message",
            contents::remove,
        ),
        get(
            "/api/queues/{vhost}/{queue}/unacked",
            Vhost,
            "Who holds which message",
            unacked::list,
        ),
        put(
            "/api/queues/{vhost}/{queue}/pause",
            Policymaker,
            "Give nobody anything of a queue",
            pause::pause,
        )
        .takes(&[]),
        put(
            "/api/queues/{vhost}/{queue}/resume",
            Policymaker,
            "End a queue's pause",
            pause::resume,
        )
        .takes(&[]),
        post("/api/queues/{vhost}/{queue}/actions", Vhost, "Do something to a queue", queues::act).takes(queues::ACTION),
    ]
}

fn connections() -> Vec<Route> {
    vec![
        list("/api/connections", User, "All connections", connections::list),
        list(
            "/api/connections/username/{user}",
            User,
            "The connections of a user",
            connections::of_user,
        ),
        delete(
            "/api/connections/username/{user}",
            User,
            "Close the connections of a user",
            connections::close_of_user,
        ),
        get("/api/connections/{connection}", User, "A connection", connections::get),
        delete("/api/connections/{connection}", User, "Close a connection", connections::close),
        list(
            "/api/connections/{connection}/channels",
            User,
            "The channels of a connection",
            connections::channels_of_connection,
        ),
        list("/api/channels", User, "All channels", connections::list_channels),
        get("/api/channels/{channel}", User, "A channel", connections::get_channel),
        list("/api/consumers", User, "All consumers", connections::list_consumers),
        list(
            "/api/consumers/{vhost}",
            Visible,
            "The consumers in a virtual host",
            connections::consumers_in_vhost,
        ),
    ]
}

fn vhosts() -> Vec<Route> {
    vec![
        list("/api/vhosts", User, "All virtual hosts", vhosts::list),
        get("/api/vhosts/{vhost}", Visible, "A virtual host", vhosts::get),
        put("/api/vhosts/{vhost}", Administrator, "Make a virtual host", vhosts::put).takes(vhosts::VHOST),
        delete("/api/vhosts/{vhost}", Administrator, "Delete a virtual host", vhosts::delete),
        list(
            "/api/vhosts/{vhost}/permissions",
            Administrator,
            "The permissions in a virtual host",
            users::permissions_in_vhost,
        ),
        list(
            "/api/vhosts/{vhost}/topic-permissions",
            Administrator,
            "The topic permissions in a virtual host",
            users::topic_permissions_in_vhost,
        ),
        list(
            "/api/vhosts/{vhost}/connections",
            Visible,
            "The connections to a virtual host",
            connections::list_in_vhost,
        ),
        list(
            "/api/vhosts/{vhost}/channels",
            Visible,
            "The channels in a virtual host",
            connections::channels_in_vhost,
        ),
        post(
            "/api/vhosts/{vhost}/start/{node}",
            Administrator,
            "Start a virtual host",
            vhosts::start,
        )
        .takes(&[]),
        list("/api/global-parameters", Policymaker, "Global parameters", parameters::list_global),
        get(
            "/api/global-parameters/{name}",
            Policymaker,
            "A global parameter",
            parameters::get_global,
        ),
        put(
            "/api/global-parameters/{name}",
            Administrator,
            "Set a global parameter",
            parameters::set_global,
        )
        .takes(parameters::PARAMETER),
        delete(
            "/api/global-parameters/{name}",
            Administrator,
            "Clear a global parameter",
            parameters::clear_global,
        ),
        list("/api/parameters", Policymaker, "Parameters of components", parameters::list),
        list(
            "/api/parameters/{component}",
            Policymaker,
            "The parameters of a component",
            parameters::of_component,
        ),
        list(
            "/api/parameters/{component}/{vhost}",
            Policymaker,
            "Those in a virtual host",
            parameters::in_vhost,
        ),
        get(
            "/api/parameters/{component}/{vhost}/{name}",
            Policymaker,
            "A parameter",
            parameters::get,
        ),
        put(
            "/api/parameters/{component}/{vhost}/{name}",
            Policymaker,
            "Set a parameter",
            parameters::set,
        )
        .takes(parameters::PARAMETER),
        delete(
            "/api/parameters/{component}/{vhost}/{name}",
            Policymaker,
            "Clear a parameter",
            parameters::clear,
        ),
    ]
}

fn exchanges() -> Vec<Route> {
    vec![
        get(
            "/api/exchanges/{vhost}/{exchange}/delayed",
            Vhost,
            "What an exchange holds back",
            delayed::list,
        ),
        put(
            "/api/exchanges/{vhost}/{exchange}/delayed/{id}",
            Vhost,
            "Hold a message back for longer",
            delayed::put_off,
        )
        .takes(delayed::DELAY),
        delete(
            "/api/exchanges/{vhost}/{exchange}/delayed/{id}",
            Vhost,
            "Remove a message that is held back",
            delayed::remove,
        ),
        post(
            "/api/exchanges/{vhost}/{exchange}/publish",
            Vhost,
            "Publish a message",
            messages::publish,
        )
        .takes(messages::MESSAGE),
        list("/api/exchanges", User, "All exchanges", exchanges::list),
        list(
            "/api/exchanges/{vhost}",
            Visible,
            "The exchanges of a virtual host",
            exchanges::list_in_vhost,
        ),
        get("/api/exchanges/{vhost}/{exchange}", Visible, "An exchange", exchanges::get),
        put(
            "/api/exchanges/{vhost}/{exchange}",
            Vhost,
            "Declare an exchange",
            exchanges::declare,
        )
        .takes(exchanges::EXCHANGE),
        delete("/api/exchanges/{vhost}/{exchange}", Vhost, "Delete an exchange", exchanges::delete),
        list(
            "/api/exchanges/{vhost}/{exchange}/bindings/source",
            Visible,
            "The bindings from an exchange",
            bindings::from_exchange,
        ),
        list(
            "/api/exchanges/{vhost}/{exchange}/bindings/destination",
            Visible,
            "The bindings to an exchange",
            bindings::to_exchange,
        ),
    ]
}

fn bindings() -> Vec<Route> {
    // `kind`: `q` for a queue, `e` for an exchange.
    let (between, one) = (
        "/api/bindings/{vhost}/e/{source}/{kind}/{destination}",
        "/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{key}",
    );
    vec![
        list("/api/bindings", User, "All bindings", bindings::list),
        list(
            "/api/bindings/{vhost}",
            Visible,
            "The bindings of a virtual host",
            bindings::list_in_vhost,
        ),
        list(between, Visible, "The bindings between two", bindings::between),
        post(between, Vhost, "Bind", bindings::bind).takes(bindings::BINDING),
        get(one, Visible, "A binding", bindings::get),
        delete(one, Vhost, "Unbind", bindings::unbind),
    ]
}

fn policies() -> Vec<Route> {
    vec![
        list("/api/policies", User, "All policies", policies::list),
        list(
            "/api/policies/{vhost}",
            Visible,
            "The policies of a virtual host",
            policies::list_in_vhost,
        ),
        get("/api/policies/{vhost}/{policy}", Policymaker, "A policy", policies::get),
        put("/api/policies/{vhost}/{policy}", Policymaker, "Set a policy", policies::set).takes(policies::POLICY),
        delete("/api/policies/{vhost}/{policy}", Policymaker, "Clear a policy", policies::clear),
        list("/api/operator-policies", User, "All operator policies", policies::list_operator),
        list(
            "/api/operator-policies/{vhost}",
            Visible,
            "The operator policies of a virtual host",
            policies::list_operator_in_vhost,
        ),
        get(
            "/api/operator-policies/{vhost}/{policy}",
            Administrator,
            "An operator policy",
            policies::get_operator,
        ),
        put(
            "/api/operator-policies/{vhost}/{policy}",
            Administrator,
            "Set an operator policy",
            policies::set_operator,
        )
        .takes(policies::POLICY),
        delete(
            "/api/operator-policies/{vhost}/{policy}",
            Administrator,
            "Clear an operator policy",
            policies::clear_operator,
        ),
    ]
}

fn limits() -> Vec<Route> {
    vec![
        list("/api/vhost-limits", User, "The limits of virtual hosts", limits::list_of_vhosts),
        list(
            "/api/vhost-limits/{vhost}",
            Visible,
            "The limits of a virtual host",
            limits::of_vhost,
        ),
        put(
            "/api/vhost-limits/{vhost}/{limit}",
            Administrator,
            "Set a limit of a virtual host",
            limits::set_of_vhost,
        )
        .takes(limits::LIMIT),
        delete(
            "/api/vhost-limits/{vhost}/{limit}",
            Administrator,
            "Clear a limit of a virtual host",
            limits::clear_of_vhost,
        ),
        list("/api/user-limits", Administrator, "The limits of users", limits::list_of_users),
        list("/api/user-limits/{user}", User, "The limits of a user", limits::of_user),
        put(
            "/api/user-limits/{user}/{limit}",
            Administrator,
            "Set a limit of a user",
            limits::set_of_user,
        )
        .takes(limits::LIMIT),
        delete(
            "/api/user-limits/{user}/{limit}",
            Administrator,
            "Clear a limit of a user",
            limits::clear_of_user,
        ),
    ]
}

fn users() -> Vec<Route> {
    use topic_permissions as topics;
    vec![
        get("/api/whoami", User, "Who asks", users::whoami),
        get(
            "/api/auth/hash_password/{password}",
            Administrator,
            "What a password's hash is",
            users::hash_password,
        ),
        list("/api/users", Administrator, "All users", users::list),
        list(
            "/api/users/without-permissions",
            Administrator,
            "Users that may do nothing",
            users::without_permissions,
        ),
        post("/api/users/bulk-delete", Administrator, "Delete users", users::bulk_delete).takes(users::USERS),
        get("/api/users/{user}", User, "A user", users::get),
        put("/api/users/{user}", Administrator, "Make or change a user", users::put).takes(users::USER),
        delete("/api/users/{user}", Administrator, "Delete a user", users::delete),
        list(
            "/api/users/{user}/permissions",
            User,
            "The permissions of a user",
            users::permissions_of_user,
        ),
        list(
            "/api/users/{user}/topic-permissions",
            Administrator,
            "The topic permissions of a user",
            users::topic_permissions_of_user,
        ),
        list("/api/permissions", Administrator, "All permissions", users::list_permissions),
        get(
            "/api/permissions/{vhost}/{user}",
            Administrator,
            "The permissions of a user in a virtual host",
            users::get_permission,
        ),
        put(
            "/api/permissions/{vhost}/{user}",
            Administrator,
            "Set permissions",
            users::set_permission,
        )
        .takes(users::PERMISSION),
        delete(
            "/api/permissions/{vhost}/{user}",
            Administrator,
            "Clear permissions",
            users::clear_permission,
        ),
        list("/api/topic-permissions", Administrator, "All topic permissions", topics::list),
        list(
            "/api/topic-permissions/{vhost}/{user}",
            Administrator,
            "The topic permissions of a user in a virtual host",
            topics::list_of,
        ),
        put(
            "/api/topic-permissions/{vhost}/{user}",
            Administrator,
            "Set topic permissions",
            topics::set,
        )
        .takes(topics::PERMISSION),
        delete(
            "/api/topic-permissions/{vhost}/{user}",
            Administrator,
            "Clear topic permissions",
            topics::clear,
        ),
        delete(
            "/api/topic-permissions/{vhost}/{user}/{exchange}",
            Administrator,
            "Clear topic permissions of one exchange",
            topics::clear_one,
        ),
    ]
}
