//! `/api/exchanges/{vhost}/{name}/delayed`: what a delayed-message exchange holds back. Stoa's own.
//!
//! ```text
//! GET    .../delayed?from=&count=&filter=    {"messages": [..], "next": id}; each says when it is `due` (milliseconds since 1970)
//! DELETE .../delayed/{id}                    removes a message
//! PUT    .../delayed/{id} {"delay_ms": n}    holds it back for so long from now on: {"id": its id from then on}
//! ```

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use stoa_server::{Asker, Broker};

use crate::Site;
use crate::auth::Caller;
use crate::body::{Field, Octets, required};
use crate::contents::{in_turn, page};
use crate::failure::Failure;
use crate::picks::id_of_path;
use crate::query::Query;
use crate::refusal::{Refusal, failure};

/// For how long a message is held back from now on.
pub(crate) const DELAY: &[Field] = &[required("delay_ms", "integer")];

pub(crate) async fn list(State(api): Site, caller: Caller, Path(of): Path<(String, String)>, query: Query) -> Result<Json<Value>, Refusal> {
    page(&api, caller, of, &query, Broker::delayed).await
}

pub(crate) async fn remove(
    State(api): Site,
    caller: Caller,
    Path((vhost, name, id)): Path<(String, String, String)>,
) -> Result<StatusCode, Refusal> {
    let id = id_of_path(&id)?;
    let (user, vhost) = (&*caller.user, &*vhost);
    let removed = api.broker.remove_delayed(Asker { user, vhost }, &name, id).await;
    removed.map(|()| StatusCode::NO_CONTENT).map_err(failure)
}

pub(crate) async fn put_off(
    State(api): Site,
    caller: Caller,
    Path((vhost, name, id)): Path<(String, String, String)>,
    Octets(body): Octets,
) -> Result<Json<Value>, Refusal> {
    let id = id_of_path(&id)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| Failure::bad_request("not_json"))?;
    let delay_ms = body.get("delay_ms").and_then(Value::as_u64);
    let delay_ms = delay_ms.ok_or_else(|| Failure::bad_request("delay_ms should be a number of milliseconds"))?;
    let user = caller.user;
    let next = in_turn(&api.broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.hold_for(Asker { user, vhost }, &name, id, delay_ms)
    })
    .await?;
    api.broker.contents_durable().await.map_err(failure)?;
    Ok(Json(json!({ "id": next.to_string() })))
}
