//! `/api/exchanges/{vhost}/{name}/delayed`: what a delayed-message exchange holds back. Stoa's own.
//!
//! ```text
//! GET    .../delayed?from=&count=&filter=    {"messages": [..], "next": id}; each says when it is `due` (milliseconds since 1970)
//! DELETE .../delayed/{id}                    removes a message
//! PUT    .../delayed/{id} {"delay_ms": n}    holds it back for so long from now on: {"id": its id from then on}
//! ```

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use stoa_server::{Asker, Broker};

use crate::auth::Caller;
use crate::bad_request;
use crate::contents::{Encoding, Refusal, Site, check_vhost, failure, id_of_path, in_turn, show_page, wanted};
use crate::query::Query;

pub(crate) fn routes() -> Router<Arc<Broker>> {
    Router::new().route("/api/exchanges/{vhost}/{name}/delayed", get(list)).route(
        "/api/exchanges/{vhost}/{name}/delayed/{id}",
        axum::routing::delete(remove).put(put_off),
    )
}

pub(crate) async fn list(
    State(broker): Site,
    Extension(caller): Extension<Caller>,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Refusal> {
    let (wanted, encoding) = (wanted(&query)?, Encoding::of(&query)?);
    check_vhost(&caller, &broker, &vhost)?;
    let user = caller.user;
    let page = in_turn(&broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.delayed(Asker { user, vhost }, &name, &wanted)
    })
    .await?;
    Ok(Json(show_page(&page, encoding)))
}

pub(crate) async fn remove(
    State(broker): Site,
    Extension(caller): Extension<Caller>,
    Path((vhost, name, id)): Path<(String, String, String)>,
) -> Result<StatusCode, Refusal> {
    let id = id_of_path(&id).await?;
    check_vhost(&caller, &broker, &vhost)?;
    let (user, vhost) = (&*caller.user, &*vhost);
    let removed = broker.remove_delayed(Asker { user, vhost }, &name, id).await;
    removed.map(|()| StatusCode::NO_CONTENT).map_err(failure)
}

pub(crate) async fn put_off(
    State(broker): Site,
    Extension(caller): Extension<Caller>,
    Path((vhost, name, id)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let id = id_of_path(&id).await?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| bad_request("not_json".into()))?;
    let delay_ms = body.get("delay_ms").and_then(Value::as_u64);
    let delay_ms = delay_ms.ok_or_else(|| bad_request("delay_ms should be a number of milliseconds".into()))?;
    check_vhost(&caller, &broker, &vhost)?;
    let user = caller.user;
    let next = in_turn(&broker, move |broker| {
        let (user, vhost) = (&*user, &*vhost);
        broker.hold_for(Asker { user, vhost }, &name, id, delay_ms)
    })
    .await?;
    broker.contents_durable().await.map_err(failure)?;
    Ok(Json(json!({ "id": next.to_string() })))
}
