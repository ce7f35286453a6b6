//! `/api/queues/{vhost}/{name}/contents`: what is in a queue, to be looked at without being consumed; single messages, or all that a filter finds, to be
//! removed or moved. Stoa's own, but for the purge.
//!
//! ```text
//! GET    .../contents?from=&count=&state=&filter=&encoding=&truncate=    messages in the order of delivery: {"messages": [..], "next": id}
//! DELETE .../contents                                                    purges the queue (RabbitMQ)
//! DELETE .../contents?filter=&state=&from=&count=                        removes: {"removed": n, "next": id}
//! GET    .../contents/{id}, DELETE .../contents/{id}                     one message
//! POST   .../contents/move {"ids": [..] | "filter": {}, "state", "from", "count", "destination": {"queue"} | {"exchange", "routing_key"}}
//!                                                                        {"moved": n, "stayed": n, "next": id}
//! ```
//!
//! A filter is a JSON object, `{"exchange": .., "routing_key": .., "headers": {name: value}}`: all that it names must be so. `state` is `ready`, `unacked`,
//! `delayed` or `dead`. A request looks at a bounded number of messages; `next` says where to go on with `from`, and is absent at the end.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stoa_server::{Asker, Broker, Browse, ContentsError, MessagePage, MessageView, Sequence};

use crate::auth::Caller;
use crate::body::Octets;
use crate::failure::Failure;
use crate::picks::{destination, id_of_path, pick, wanted};
use crate::query::Query;
use crate::refusal::{Refusal, failure, internal_error};
use crate::{Api, Site, properties};

/// Does something that may read the disk, when it is its turn.
pub(crate) async fn in_turn<T: Send + 'static>(
    broker: &Arc<Broker>,
    work: impl FnOnce(&Arc<Broker>) -> Result<T, ContentsError> + Send + 'static,
) -> Result<T, Refusal> {
    let _turn = broker.contents_turn().await;
    let broker = broker.clone();
    match tokio::task::spawn_blocking(move || work(&broker)).await {
        Ok(outcome) => outcome.map_err(failure),
        // It has panicked, or the process ends.
        Err(error) => Err(internal_error(error.to_string()).into()),
    }
}

/// A way to look: into a queue, or at what an exchange holds back.
pub(crate) type Look = fn(&Arc<Broker>, Asker<'_>, &str, &Browse) -> Result<MessagePage, ContentsError>;

/// The page that a request asks for, of what has that name in that virtual host.
pub(crate) async fn page(
    api: &Api,
    caller: Caller,
    (vhost, name): (String, String),
    query: &Query,
    look: Look,
) -> Result<Json<Value>, Refusal> {
    let (wanted, encoding) = (wanted(query)?, Encoding::of(query)?);
    let user = caller.user;
    let page = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        look(broker, Asker { user, vhost }, &name, &wanted)
    })
    .await?;
    Ok(Json(show_page(&page, encoding)))
}

pub(crate) async fn list(State(api): Site, caller: Caller, Path(of): Path<(String, String)>, query: Query) -> Result<Json<Value>, Refusal> {
    page(&api, caller, of, &query, Broker::browse).await
}

pub(crate) async fn one(
    State(api): Site,
    caller: Caller,
    Path((vhost, name, id)): Path<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Refusal> {
    let (wanted, encoding, id) = (wanted(&query)?, Encoding::of(&query)?, id_of_path(&id)?);
    let user = caller.user;
    let message = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.message(Asker { user, vhost }, &name, id, wanted.truncate)
    })
    .await?;
    Ok(Json(show(&message, encoding)))
}

pub(crate) async fn remove(
    State(api): Site,
    caller: Caller,
    Path((vhost, name, id)): Path<(String, String, String)>,
) -> Result<StatusCode, Refusal> {
    let id = id_of_path(&id)?;
    let (user, vhost) = (&*caller.user, &*vhost);
    let removed = api.broker.remove_message(Asker { user, vhost }, &name, id).await;
    removed.map(|()| StatusCode::NO_CONTENT).map_err(failure)
}

pub(crate) async fn remove_all(
    State(api): Site,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Refusal> {
    let wanted = wanted(&query)?;
    if query.is_empty() {
        let (user, vhost) = (&*caller.user, &*vhost);
        api.broker.purge(Asker { user, vhost }, &name).await.map_err(failure)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if query.get("filter").is_none() {
        // A slip of the pen is not to cost all messages.
        return Err(Refusal::Failure(Failure::bad_request(
            "a filter says which messages are removed; {} means all",
        )));
    }
    let user = caller.user;
    let removed = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.remove_messages(Asker { user, vhost }, &name, &wanted)
    })
    .await?;
    api.broker.contents_durable().await.map_err(failure)?;
    let mut answer = json!({ "removed": removed.count });
    put_next(&mut answer, removed.next);
    Ok(Json(answer).into_response())
}

pub(crate) async fn move_all(
    State(api): Site,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    Octets(body): Octets,
) -> Result<Json<Value>, Refusal> {
    let Ok(Value::Object(body)) = serde_json::from_slice(&body) else {
        return Err(Failure::bad_request("not_json").into());
    };
    let (pick, destination) = (pick(&body)?, destination(&body)?);
    let user = caller.user;
    let moved = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.move_messages(Asker { user, vhost }, &name, &pick, &destination)
    })
    .await?;
    api.broker.contents_durable().await.map_err(failure)?;
    let mut answer = json!({ "moved": moved.moved, "stayed": moved.stayed });
    put_next(&mut answer, moved.next);
    Ok(Json(answer))
}

/// A page of messages.
fn show_page(page: &MessagePage, encoding: Encoding) -> Value {
    let messages: Vec<_> = page.messages.iter().map(|message| show(message, encoding)).collect();
    let mut answer = json!({ "messages": messages });
    put_next(&mut answer, page.next);
    answer
}

fn put_next(answer: &mut Value, next: Option<Sequence>) {
    if let Some(next) = next {
        answer["next"] = next.to_string().into();
    }
}

/// How payloads are written: as text if they are, or as base64 in any case (RabbitMQ).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Auto,
    Base64,
}

impl Encoding {
    fn of(query: &Query) -> Result<Self, Failure> {
        match query.get("encoding") {
            None | Some("auto") => Ok(Self::Auto),
            Some("base64") => Ok(Self::Base64),
            Some(other) => Err(Failure::bad_request(format!("unsupported encoding: {other}"))),
        }
    }
}

fn show(message: &MessageView, encoding: Encoding) -> Value {
    let text = std::str::from_utf8(&message.body).ok().filter(|_| encoding == Encoding::Auto);
    json!({
        "id": message.sequence.to_string(),
        "state": message.state.name(),
        "redelivered": message.redelivered,
        "returns": message.returns,
        "due": message.due.map(|due| due.0),
        "exchange": message.exchange.as_str_lossy(),
        "routing_key": message.routing_key.as_str_lossy(),
        "properties": properties::of_header(&message.header),
        "payload_bytes": message.size,
        "payload_encoding": if text.is_some() { "string" } else { "base64" },
        "payload": text.map_or_else(|| STANDARD.encode(&message.body), str::to_owned),
    })
}
