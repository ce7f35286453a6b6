//! What a request says of messages: which it is about (`from`, `count`, `state`, `filter`, ids), and where they are to go.

use serde_json::{Map, Value};
use stoa_amqp::ShortString;
use stoa_server::{Browse, Destination, Filter, MessageState, Pick, Sequence};

use crate::body::{Field, optional, required};
use crate::failure::Failure;
use crate::query::Query;
use crate::tables::from_json;

/// Which messages are looked at.
pub(crate) const BROWSE: &[Field] = &[
    optional("from", "string"),
    optional("count", "integer"),
    optional("state", "string"),
    optional("filter", "string"),
    optional("encoding", "string"),
    optional("truncate", "integer"),
];

/// How messages are moved: these, or those that a filter finds.
pub(crate) const MOVE: &[Field] = &[
    required("destination", "object"),
    optional("ids", "array"),
    optional("filter", "object"),
    optional("state", "string"),
    optional("from", "any"),
    optional("count", "integer"),
];

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
pub(crate) fn id_of_path(id: &str) -> Result<Sequence, Failure> {
    match id.parse() {
        Ok(id) => Ok(Sequence(id)),
        Err(_) => Err(Failure::not_found()),
    }
}

/// Which messages a body names.
pub(crate) fn pick(body: &Map<String, Value>) -> Result<Pick, Failure> {
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

/// Where a body sends them.
pub(crate) fn destination(body: &Map<String, Value>) -> Result<Destination, Failure> {
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
