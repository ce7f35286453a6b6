//! Routes of what holds for clients: virtual hosts, parameters, policies, limits, users and their permissions.

use crate::auth::Access::{Administrator, Policymaker, User, Visible};
use crate::route::{Route, delete, get, list, post, put};
use crate::{connections, limits, parameters, policies, topic_permissions, users, vhosts};

pub(super) fn vhosts() -> Vec<Route> {
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

pub(super) fn policies() -> Vec<Route> {
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

pub(super) fn limits() -> Vec<Route> {
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

pub(super) fn users() -> Vec<Route> {
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
        list(
            "/api/topic-permissions",
            Administrator,
            "All topic permissions",
            topic_permissions::list,
        ),
        list(
            "/api/topic-permissions/{vhost}/{user}",
            Administrator,
            "The topic permissions of a user in a virtual host",
            topic_permissions::list_of,
        ),
        put(
            "/api/topic-permissions/{vhost}/{user}",
            Administrator,
            "Set topic permissions",
            topic_permissions::set,
        )
        .takes(topic_permissions::PERMISSION),
        delete(
            "/api/topic-permissions/{vhost}/{user}",
            Administrator,
            "Clear topic permissions",
            topic_permissions::clear,
        ),
        delete(
            "/api/topic-permissions/{vhost}/{user}/{exchange}",
            Administrator,
            "Clear topic permissions of one exchange",
            topic_permissions::clear_one,
        ),
    ]
}
