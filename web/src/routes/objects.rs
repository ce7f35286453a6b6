//! Routes of what clients use: connections, queues, exchanges, bindings, and the messages in them.

use crate::auth::Access::{Policymaker, User, Vhost, Visible};
use crate::route::{Route, delete, get, list, post, put};
use crate::{bindings, connections, contents, delayed, exchanges, messages, pause, picks, queues, unacked};

pub(super) fn connections() -> Vec<Route> {
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

pub(super) fn queues() -> Vec<Route> {
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
        get("/api/queues/{vhost}/{queue}/contents", Vhost, "Look at messages", contents::list).asks(picks::BROWSE),
        delete(
            "/api/queues/{vhost}/{queue}/contents",
            Vhost,
            "Purge a queue, or remove what a filter finds",
            contents::remove_all,
        )
        .asks(picks::BROWSE),
        post(
            "/api/queues/{vhost}/{queue}/contents/move",
            Vhost,
            "Move messages",
            contents::move_all,
        )
        .takes(picks::MOVE),
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
        )
        .asks(unacked::PAGE),
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

pub(super) fn exchanges() -> Vec<Route> {
    vec![
        get(
            "/api/exchanges/{vhost}/{exchange}/delayed",
            Vhost,
            "What an exchange holds back",
            delayed::list,
        )
        .asks(picks::BROWSE),
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

pub(super) fn bindings() -> Vec<Route> {
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
