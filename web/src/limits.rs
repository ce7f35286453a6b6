//! `/api/vhost-limits` and `/api/user-limits`: all of them, those of one virtual host or user, and one limit to set and clear.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use stoa_server::{AdministrationError, Broker, LimitError, LimitOf, LimitSet};

use crate::auth::{Caller, refused};
use crate::tables::value_from_json;
use crate::{Failure, bad_request, no_vhost, not_found, store_failed};

/// The same routes for both kinds of owners.
pub(crate) fn routes() -> Router<Arc<Broker>> {
    let owners = [("vhost-limits", LimitOf::Vhost), ("user-limits", LimitOf::User)];
    owners.into_iter().fold(Router::new(), |router, (name, of)| {
        let of_owners = Router::new()
            .route(&format!("/api/{name}"), get(list))
            .route(&format!("/api/{name}/{{owner}}"), get(list_of))
            .route(&format!("/api/{name}/{{owner}}/{{limit}}"), put(set).delete(clear))
            .layer(Extension(of));
        router.merge(of_owners)
    })
}

type Site = State<Arc<Broker>>;

fn view(of: LimitOf, owner: &str, limits: &LimitSet) -> Value {
    let value: Map<_, _> = limits.iter().map(|(name, limit)| (name.to_owned(), limit.into())).collect();
    match of {
        LimitOf::Vhost => json!({"vhost": owner, "value": value}),
        LimitOf::User => json!({"user": owner, "value": value}),
    }
}

/// Of virtual hosts those that the caller sees; of users all, which takes an administrator.
async fn list(
    State(broker): Site,
    Extension(of): Extension<LimitOf>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<Value>>, Failure> {
    if of == LimitOf::User {
        caller.check_administrator()?;
    }
    let all = broker.all_limits(of);
    let visible = all.iter().filter(|(owner, _)| of == LimitOf::User || caller.sees(&broker, owner));
    Ok(Json(visible.map(|(owner, limits)| view(of, owner, limits)).collect()))
}

async fn list_of(
    State(broker): Site,
    Extension(of): Extension<LimitOf>,
    Extension(caller): Extension<Caller>,
    Path(owner): Path<String>,
) -> Result<Json<Vec<Value>>, Failure> {
    let may_see = match of {
        LimitOf::Vhost => caller.sees(&broker, &owner) || !broker.has_vhost(&owner),
        LimitOf::User => caller.user == owner || caller.sees_users(),
    };
    if !may_see {
        let what = if of == LimitOf::Vhost { "virtual host" } else { "object" };
        return Err(refused(&format!("User not authorised to access {what}")));
    }
    let Some(limits) = broker.limits(of, &owner) else {
        return Err(not_found().await);
    };
    let limits = Some(limits).filter(|limits| !limits.is_empty());
    Ok(Json(limits.iter().map(|limits| view(of, &owner, limits)).collect()))
}

async fn set(
    State(broker): Site,
    Extension(of): Extension<LimitOf>,
    Extension(caller): Extension<Caller>,
    Path((owner, limit)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    caller.check_administrator()?;
    if broker.limits(of, &owner).is_none() {
        return Err(no_owner(of));
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&body) else {
        return Err(bad_request("not_json".into()));
    };
    let Some(value) = body.get("value") else {
        return Err(bad_request("[{key_missing,value}]".into()));
    };
    let value = value_from_json(value).ok_or_else(|| bad_request("a name is longer than 255 octets".into()))?;
    match broker.set_limit(of, &owner, &limit, &value).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AdministrationError::NotDurable) => Err(store_failed()),
        Err(AdministrationError::Limit(LimitError::NoOwner(_))) => Err(no_owner(of)),
        Err(refused) => Err(bad_request(refused.to_string())),
    }
}

async fn clear(
    State(broker): Site,
    Extension(of): Extension<LimitOf>,
    Extension(caller): Extension<Caller>,
    Path((owner, limit)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    caller.check_administrator()?;
    if of == LimitOf::Vhost && broker.limits(of, &owner).is_none() {
        return Err(no_owner(of));
    }
    // That there was none is as good.
    match broker.clear_limit(of, &owner, &limit).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(_) => Err(store_failed()),
    }
}

fn no_owner(of: LimitOf) -> Failure {
    match of {
        LimitOf::Vhost => no_vhost(),
        LimitOf::User => bad_request("no_such_user".into()),
    }
}
