//! Routes of the broker as a whole: its pages, logins, what it is and whether it is in order.

use crate::auth::Access::{Administrator, Monitoring, Public, User, Vhost};
use crate::route::{Route, delete, get, list, post, put};
use crate::{assets, attempts, attention, cluster, definitions, health, metrics, nodes, openapi, overview, sessions};

pub(super) fn pages() -> Vec<Route> {
    vec![
        get("/", Public, "The dashboard", assets::index),
        get("/icon.svg", Public, "Its icon", assets::icon),
        get("/css/{*file}", Public, "Its style sheets", assets::style),
        get("/js/{*file}", Public, "Its modules", assets::script),
        get("/vendor/{*file}", Public, "Libraries that it uses", assets::library),
        get("/cli", Public, "Where to get command line tools", assets::cli),
        get(
            "/metrics",
            Public,
            "Figures for Prometheus, of everything together",
            metrics::aggregated,
        ),
        get("/metrics/per-object", Monitoring, "The same of every object", metrics::per_object),
        get(
            "/metrics/detailed",
            Monitoring,
            "The same of objects, those families that are asked for",
            metrics::detailed,
        ),
        get("/metrics/memory-breakdown", Monitoring, "What memory is used for", metrics::memory),
        get("/api/openapi.json", Public, "This document", openapi::get),
    ]
}

pub(super) fn logins() -> Vec<Route> {
    vec![
        get("/api/login", Public, "Whose session this is", sessions::current),
        post("/api/login", Public, "Begin a session", sessions::log_in).takes(sessions::LOGIN),
        delete("/api/login", Public, "End the session", sessions::log_out),
    ]
}

pub(super) fn server() -> Vec<Route> {
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

pub(super) fn health() -> Vec<Route> {
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
