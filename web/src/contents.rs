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
use serde_json::{Map, Value, json};
use stoa_amqp::{ReplyCode, ShortString};
use stoa_server::{Asker, Broker, Browse, ContentsError, Destination, Filter, MessagePage, MessageState, MessageView, Pick, Sequence};

use crate::auth::Caller;
use crate::body::{Field, Octets, optional, required};
use crate::failure::Failure;
use crate::query::Query;
use crate::tables::from_json;
use crate::unacked::unacked;
use crate::{Site, properties};

/// How messages are moved: these, or those that a filter finds.
pub(crate) const MOVE: &[Field] = &[
    required("destination", "object"),
    optional("ids", "array"),
    optional("filter", "object"),
    optional("state", "string"),
    optional("from", "any"),
    optional("count", "integer"),
];

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

pub(crate) async fn list(
    State(api): Site,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Refusal> {
    let (wanted, encoding) = (wanted(&query)?, Encoding::of(&query)?);
    let user = caller.user;
    let page = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.browse(Asker { user, vhost }, &name, &wanted)
    })
    .await?;
    Ok(Json(show_page(&page, encoding)))
}

pub(crate) async fn one(
    State(api): Site,
    caller: Caller,
    Path((vhost, name, id)): Path<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Refusal> {
    let (wanted, encoding, id) = (wanted(&query)?, Encoding::of(&query)?, id_of_path(&id).await?);
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
    let id = id_of_path(&id).await?;
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
pub(crate) fn show_page(page: &MessagePage, encoding: Encoding) -> Value {
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
pub(crate) enum Encoding {
    Auto,
    Base64,
}

impl Encoding {
    pub(crate) fn of(query: &Query) -> Result<Self, Failure> {
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

/// What the parameters of a request say of the messages that it is about.
pub(crate) fn wanted(query: &Query) -> Result<Browse, Failure> {
    let wrong = |name: &str, value: &str| Failure::bad_request(format!("{name} is not a number: {value}"));
    let number = |name: &str| match query.get(name) {
        None => Ok(None),
        Some(value) => value.parse::<u64>().map(Some).map_err(|_| wrong(name, value)),
    };
    let filter = match query.get("filter") {
        None => Filter::default(),
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Object(filter)) => filter_of(&filter)?,
            _ => return Err(Failure::bad_request(format!("filter is not a JSON object: {text}"))),
        },
    };
    Ok(Browse {
        from: number("from")?.map(Sequence),
        count: number("count")?.map_or(COUNT, |count| usize::try_from(count).unwrap_or(usize::MAX)),
        state: query.get("state").map(state_of).transpose()?,
        filter,
        truncate: number("truncate")?.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
    })
}

/// Messages on a page if the request does not say.
const COUNT: usize = 50;

fn state_of(name: &str) -> Result<MessageState, Failure> {
    let known = MessageState::ALL.into_iter().find(|state| state.name() == name);
    known.ok_or_else(|| Failure::bad_request(format!("there is no state {name}: ready, unacked, delayed or dead")))
}

fn filter_of(fields: &Map<String, Value>) -> Result<Filter, Failure> {
    let wrong = |what: String| Err(Failure::bad_request(what));
    let mut filter = Filter::default();
    for (name, value) in fields {
        match (&**name, value) {
            ("exchange", Value::String(text)) => filter.exchange = Some(name_of(text)?),
            ("routing_key", Value::String(text)) => filter.routing_key = Some(name_of(text)?),
            ("headers", Value::Object(headers)) => match from_json(headers) {
                Some(headers) => filter.headers = headers,
                None => return wrong("a name is longer than 255 octets".to_owned()),
            },
            ("exchange" | "routing_key", other) => return wrong(format!("{name} of a filter should be a string: {other}")),
            ("headers", other) => return wrong(format!("headers of a filter should be an object: {other}")),
            _ => return wrong(format!("a filter has no {name}: exchange, routing_key and headers")),
        }
    }
    Ok(filter)
}

fn name_of(text: &str) -> Result<ShortString, Failure> {
    ShortString::new(text.as_bytes()).map_err(|_| Failure::bad_request("a name is longer than 255 octets"))
}

/// Ids are texts, because not every JSON parser keeps numbers of that size; numbers are taken all the same.
fn id_of(value: &Value) -> Result<Sequence, Failure> {
    let id = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    id.map(Sequence)
        .ok_or_else(|| Failure::bad_request(format!("{value} is no message's id")))
}

/// What is no number is no message's id.
pub(crate) async fn id_of_path(id: &str) -> Result<Sequence, Failure> {
    match id.parse() {
        Ok(id) => Ok(Sequence(id)),
        Err(_) => Err(Failure::not_found()),
    }
}

fn pick(body: &Map<String, Value>) -> Result<Pick, Failure> {
    let wrong = |what: &str| Failure::bad_request(what.to_owned());
    match (body.get("ids"), body.get("filter")) {
        (Some(Value::Array(ids)), None) => Ok(Pick::These(ids.iter().map(id_of).collect::<Result<_, _>>()?)),
        (None, Some(Value::Object(filter))) => {
            let count = body
                .get("count")
                .map(|count| count.as_u64().ok_or_else(|| wrong("count should be a number")));
            let state = body
                .get("state")
                .map(|state| state.as_str().ok_or_else(|| wrong("state should be a string")));
            Ok(Pick::Found(Browse {
                from: body.get("from").map(id_of).transpose()?,
                count: count
                    .transpose()?
                    .map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX)),
                state: state.transpose()?.map(state_of).transpose()?,
                filter: filter_of(filter)?,
                truncate: None,
            }))
        }
        _ => Err(wrong("which messages are moved is said by ids, an array, or by filter, an object")),
    }
}

fn destination(body: &Map<String, Value>) -> Result<Destination, Failure> {
    let Some(Value::Object(to)) = body.get("destination") else {
        return Err(Failure::bad_request("[{key_missing,destination}]"));
    };
    let text = |name: &str| match to.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => name_of(text).map(Some),
        Some(_) => Err(Failure::bad_request(format!("{name} of a destination should be a string"))),
    };
    match (text("queue")?, text("exchange")?, text("routing_key")?) {
        (Some(queue), None, None) => Ok(Destination {
            exchange: ShortString::default(),
            routing_key: Some(queue),
        }),
        (None, Some(exchange), routing_key) => Ok(Destination { exchange, routing_key }),
        _ => Err(Failure::bad_request(
            "a destination is a queue, or an exchange with or without a routing_key",
        )),
    }
}

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    Failure(Failure),
    /// The message is somebody's, perhaps this one's.
    InUse {
        reason: String,
        holder: Option<Box<Value>>,
    },
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Failure(failure) => failure.into_response(),
            Self::InUse { reason, holder } => {
                let body = json!({ "error": "conflict", "reason": reason, "holder": holder });
                (StatusCode::CONFLICT, Json(body)).into_response()
            }
        }
    }
}

/// The answer to a request that the broker did not do.
pub(crate) fn failure(error: ContentsError) -> Refusal {
    let reason = error.to_string();
    let of_amqp = |code: ReplyCode, reason: String| match code {
        ReplyCode::NotFound => missing(reason),
        ReplyCode::AccessRefused => Failure::refused(reason),
        _ => Failure::bad_request(reason),
    };
    let failure = match error {
        ContentsError::Topology(error) => of_amqp(error.code(), reason),
        ContentsError::Route(error) => of_amqp(error.code(), reason),
        ContentsError::NoMessage(_) | ContentsError::NotDelayed(_) => missing(reason),
        ContentsError::InUse { holder, .. } => {
            let holder = holder.map(|holder| Box::new(unacked(&holder, None)));
            return Refusal::InUse { reason, holder };
        }
        ContentsError::TooMany(_) => Failure::bad_request(reason),
        ContentsError::Damaged { .. } => internal_error(reason),
        ContentsError::NotDurable => Failure::store_failed(),
    };
    failure.into()
}

fn missing(reason: String) -> Failure {
    let (status, error) = (StatusCode::NOT_FOUND, "not_found");
    Failure { status, error, reason }
}

fn internal_error(reason: String) -> Failure {
    let (status, error) = (StatusCode::INTERNAL_SERVER_ERROR, "internal_error");
    Failure { status, error, reason }
}
