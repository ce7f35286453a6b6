//! `/api/vhost-limits` and `/api/user-limits`: all of them, those of one virtual host or user, and one limit to set and clear.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use stoa_server::{AdministrationError, Broker, LimitError, LimitOf, LimitSet};

use crate::Site;
use crate::auth::Caller;
use crate::body::{Body, Field, required};
use crate::failure::Failure;
use crate::listing;
use crate::query::Query;
use crate::tables::value_from_json;

/// What a limit is set with: a number, or a negative one for none.
pub(crate) const LIMIT: &[Field] = &[required("value", "integer")];

/// The limits alone.
pub(crate) fn values(limits: &LimitSet) -> Map<String, Value> {
    limits.iter().map(|(name, limit)| (name.to_owned(), limit.into())).collect()
}

/// Sets all of these, of one owner.
pub(crate) async fn set_all(broker: &Arc<Broker>, of: LimitOf, owner: &str, limits: &Map<String, Value>) -> Result<(), Failure> {
    for (name, value) in limits {
        let body = Body([("value".to_owned(), value.clone())].into_iter().collect());
        set(broker, of, (owner.to_owned(), name.clone()), &body).await?;
    }
    Ok(())
}

fn view(of: LimitOf, owner: &str, limits: &LimitSet) -> Value {
    let value = values(limits);
    match of {
        LimitOf::Vhost => json!({"vhost": owner, "value": value}),
        LimitOf::User => json!({"user": owner, "value": value}),
    }
}

/// Of virtual hosts those that the caller sees.
pub(crate) async fn list_of_vhosts(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let all = api.broker.all_limits(LimitOf::Vhost);
    let visible = all.iter().filter(|(owner, _)| caller.sees(&api.broker, owner));
    listing::list(visible.map(|(owner, limits)| view(LimitOf::Vhost, owner, limits)).collect(), &query).await
}

pub(crate) async fn list_of_users(State(api): Site, query: Query) -> Result<Response, Failure> {
    let all = api.broker.all_limits(LimitOf::User);
    listing::list(
        all.iter().map(|(owner, limits)| view(LimitOf::User, owner, limits)).collect(),
        &query,
    )
    .await
}

pub(crate) async fn of_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    of_one(&api.broker, LimitOf::Vhost, &vhost, &query).await
}

/// One's own, or anybody's for those who watch.
pub(crate) async fn of_user(State(api): Site, caller: Caller, Path(user): Path<String>, query: Query) -> Result<Response, Failure> {
    if caller.user != user && !caller.is_monitor() {
        return Err(Failure::refused("User not authorised to access object"));
    }
    of_one(&api.broker, LimitOf::User, &user, &query).await
}

async fn of_one(broker: &Broker, of: LimitOf, owner: &str, query: &Query) -> Result<Response, Failure> {
    let limits = broker.limits(of, owner).ok_or_else(Failure::not_found)?;
    let limits = Some(limits).filter(|limits| !limits.is_empty());
    listing::list(limits.iter().map(|limits| view(of, owner, limits)).collect(), query).await
}

type Name = Path<(String, String)>;

pub(crate) async fn set_of_vhost(State(api): Site, Path(name): Name, body: Body) -> Result<StatusCode, Failure> {
    set(&api.broker, LimitOf::Vhost, name, &body).await
}

pub(crate) async fn set_of_user(State(api): Site, Path(name): Name, body: Body) -> Result<StatusCode, Failure> {
    set(&api.broker, LimitOf::User, name, &body).await
}

async fn set(broker: &Arc<Broker>, of: LimitOf, (owner, limit): (String, String), body: &Body) -> Result<StatusCode, Failure> {
    if broker.limits(of, &owner).is_none() {
        return Err(no_owner(of));
    }
    body.require(&["value"])?;
    let value = body.0.get("value").and_then(value_from_json);
    let value = value.ok_or_else(|| Failure::bad_request("a name is longer than 255 octets"))?;
    match broker.set_limit(of, &owner, &limit, &value).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AdministrationError::NotDurable) => Err(Failure::store_failed()),
        Err(AdministrationError::Limit(LimitError::NoOwner(_))) => Err(no_owner(of)),
        Err(refused) => Err(Failure::bad_request(refused.to_string())),
    }
}

pub(crate) async fn clear_of_vhost(State(api): Site, Path((vhost, limit)): Name) -> Result<StatusCode, Failure> {
    if api.broker.limits(LimitOf::Vhost, &vhost).is_none() {
        return Err(no_owner(LimitOf::Vhost));
    }
    clear(&api.broker, LimitOf::Vhost, &vhost, &limit).await
}

pub(crate) async fn clear_of_user(State(api): Site, Path((user, limit)): Name) -> Result<StatusCode, Failure> {
    clear(&api.broker, LimitOf::User, &user, &limit).await
}

async fn clear(broker: &Arc<Broker>, of: LimitOf, owner: &str, limit: &str) -> Result<StatusCode, Failure> {
    // That there was none is as good.
    match broker.clear_limit(of, owner, limit).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(_) => Err(Failure::store_failed()),
    }
}

fn no_owner(of: LimitOf) -> Failure {
    match of {
        LimitOf::Vhost => Failure::no_vhost(),
        LimitOf::User => Failure::bad_request("no_such_user"),
    }
}
