//! `/api/policies` and `/api/operator-policies`: all of them, those of a virtual host, and one to read, set and clear.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{AdministrationError, Broker, Policy, PolicyKind};

use crate::Site;
use crate::auth::Caller;
use crate::body::{Body, Field, optional, required};
use crate::failure::Failure;
use crate::listing;
use crate::query::Query;
use crate::tables::{from_json, to_json};

/// What a policy is set with. There may be more: what `GET` gave can be put again.
pub(crate) const POLICY: &[Field] = &[
    required("pattern", "string"),
    required("definition", "object"),
    optional("priority", "integer"),
    optional("apply-to", "string"),
];

/// A policy as it is shown.
pub(crate) fn view(policy: &Arc<Policy>) -> Value {
    json!({
        "vhost": &*policy.vhost,
        "name": &*policy.name,
        "pattern": &*policy.pattern,
        "apply-to": policy.apply_to.name(),
        "definition": to_json(&policy.definition),
        "priority": policy.priority,
    })
}

async fn all(broker: &Broker, kind: PolicyKind, caller: &Caller, query: &Query) -> Result<Response, Failure> {
    let policies = broker.policies(kind, None);
    let visible = policies.iter().filter(|policy| caller.sees(broker, &policy.vhost));
    listing::list(visible.map(view).collect(), query).await
}

async fn in_vhost(broker: &Broker, kind: PolicyKind, vhost: &str, query: &Query) -> Result<Response, Failure> {
    if !broker.has_vhost(vhost) {
        return Err(Failure::not_found());
    }
    listing::list(broker.policies(kind, Some(vhost)).iter().map(view).collect(), query).await
}

fn one(broker: &Broker, kind: PolicyKind, (vhost, name): &(String, String)) -> Result<Json<Value>, Failure> {
    let policy = broker.policy(kind, vhost, name);
    policy.map(|policy| Json(view(&policy))).ok_or_else(Failure::not_found)
}

async fn put(broker: &Arc<Broker>, kind: PolicyKind, (vhost, name): (String, String), mut body: Body) -> Result<StatusCode, Failure> {
    if !broker.has_vhost(&vhost) {
        return Err(Failure::no_vhost());
    }
    body.require(&["pattern", "definition"])?;
    body.0.retain(|key, _| POLICY.iter().any(|field| field.name == key));
    let terms = from_json(&body.0).ok_or_else(|| Failure::bad_request("a name is longer than 255 octets"))?;
    match broker.set_policy(kind, &vhost, &name, &terms).await {
        Ok(true) => Ok(StatusCode::CREATED),
        Ok(false) => Ok(StatusCode::NO_CONTENT),
        Err(AdministrationError::NotDurable) => Err(Failure::store_failed()),
        Err(refused) => Err(Failure::bad_request(refused.to_string())),
    }
}

async fn delete(broker: &Arc<Broker>, kind: PolicyKind, (vhost, name): (String, String)) -> Result<StatusCode, Failure> {
    match broker.clear_policy(kind, &vhost, &name).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(Failure::not_found()),
        Err(_) => Err(Failure::store_failed()),
    }
}

type Name = Path<(String, String)>;

macro_rules! routes_of {
    ($kind:expr, $list:ident $list_in_vhost:ident $get:ident $set:ident $clear:ident) => {
        pub(crate) async fn $list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
            all(&api.broker, $kind, &caller, &query).await
        }

        pub(crate) async fn $list_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
            in_vhost(&api.broker, $kind, &vhost, &query).await
        }

        pub(crate) async fn $get(State(api): Site, Path(name): Name) -> Result<Json<Value>, Failure> {
            one(&api.broker, $kind, &name)
        }

        pub(crate) async fn $set(State(api): Site, Path(name): Name, body: Body) -> Result<StatusCode, Failure> {
            put(&api.broker, $kind, name, body).await
        }

        pub(crate) async fn $clear(State(api): Site, Path(name): Name) -> Result<StatusCode, Failure> {
            delete(&api.broker, $kind, name).await
        }
    };
}

routes_of!(PolicyKind::User, list list_in_vhost get set clear);
routes_of!(PolicyKind::Operator, list_operator list_operator_in_vhost get_operator set_operator clear_operator);
