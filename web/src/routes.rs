//! All routes, in one list: method, path, who may, what it is about, and the handler.

mod objects;
mod rules;
mod server;

use crate::route::Route;

/// The list.
pub(crate) fn all() -> Vec<Route> {
    [
        server::pages(),
        server::logins(),
        server::server(),
        server::health(),
        objects::connections(),
        rules::vhosts(),
        objects::queues(),
        objects::exchanges(),
        objects::bindings(),
        rules::policies(),
        rules::limits(),
        rules::users(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
