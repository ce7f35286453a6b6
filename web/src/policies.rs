//! `/api/policies` and `/api/operator-policies`: all of them, those of a virtual host, and one to read, set and delete.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use stoa_server::{AdministrationError, Broker, Policy, PolicyKind};

use crate::auth::{Caller, refused};
use crate::tables::{from_json, to_json};
use crate::{Failure, bad_request, no_vhost, not_found, store_failed};

#[derive(Debug, Serialize)]
struct View {
    vhost: String,
    name: String,
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: &'static str,
    definition: Value,
    priority: i64,
}

impl From<&Arc<Policy>> for View {
    fn from(policy: &Arc<Policy>) -> Self {
        Self {
            vhost: policy.vhost.to_string(),
            name: policy.name.to_string(),
            pattern: policy.pattern.to_string(),
            apply_to: policy.apply_to.name(),
            definition: to_json(&policy.definition),
            priority: policy.priority,
        }
    }
}

/// The same routes for both kinds.
pub(crate) fn routes() -> Router<Arc<Broker>> {
    let kinds = [("policies", PolicyKind::User), ("operator-policies", PolicyKind::Operator)];
    kinds.into_iter().fold(Router::new(), |router, (name, kind)| {
        let of_kind = Router::new()
            .route(&format!("/api/{name}"), get(list))
            .route(&format!("/api/{name}/{{vhost}}"), get(list_in_vhost))
            .route(&format!("/api/{name}/{{vhost}}/{{name}}"), get(one).put(put).delete(delete))
            .layer(Extension(kind));
        router.merge(of_kind)
    })
}

type Site = State<Arc<Broker>>;

async fn list(State(broker): Site, Extension(kind): Extension<PolicyKind>, Extension(caller): Extension<Caller>) -> Json<Vec<View>> {
    let policies = broker.policies(kind, None);
    let visible = policies.iter().filter(|policy| caller.sees(&broker, &policy.vhost));
    Json(visible.map(View::from).collect())
}

async fn list_in_vhost(
    State(broker): Site,
    Extension(kind): Extension<PolicyKind>,
    Extension(caller): Extension<Caller>,
    Path(vhost): Path<String>,
) -> Result<Json<Vec<View>>, Failure> {
    if !broker.has_vhost(&vhost) {
        return Err(not_found().await);
    }
    if !caller.sees(&broker, &vhost) {
        return Err(refused("User not authorised to access virtual host"));
    }
    Ok(Json(broker.policies(kind, Some(&vhost)).iter().map(View::from).collect()))
}

/// Policies are for policymakers; operator policies are for administrators.
fn check(broker: &Broker, kind: PolicyKind, caller: &Caller, vhost: &str) -> Result<(), Failure> {
    match kind {
        PolicyKind::User => caller.check_policymaker(broker, vhost),
        PolicyKind::Operator => caller.check_administrator(),
    }
}

async fn one(
    State(broker): Site,
    Extension(kind): Extension<PolicyKind>,
    Extension(caller): Extension<Caller>,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json<View>, Failure> {
    check(&broker, kind, &caller, &vhost)?;
    match broker.policy(kind, &vhost, &name) {
        Some(policy) => Ok(Json(View::from(&policy))),
        None => Err(not_found().await),
    }
}

async fn put(
    State(broker): Site,
    Extension(kind): Extension<PolicyKind>,
    Extension(caller): Extension<Caller>,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    check(&broker, kind, &caller, &vhost)?;
    if !broker.has_vhost(&vhost) {
        return Err(no_vhost());
    }
    let terms = terms(&body)?;
    let terms = from_json(&terms).ok_or_else(|| bad_request("a name is longer than 255 octets".into()))?;
    match broker.set_policy(kind, &vhost, &name, &terms).await {
        Ok(true) => Ok(StatusCode::CREATED),
        Ok(false) => Ok(StatusCode::NO_CONTENT),
        Err(AdministrationError::NotDurable) => Err(store_failed()),
        Err(refused) => Err(bad_request(refused.to_string())),
    }
}

/// What the body says of a policy. It may hold more: what `GET` gave can be put again.
fn terms(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else {
        return Err(bad_request("not_json".into()));
    };
    let missing: Vec<_> = ["pattern", "definition"]
        .into_iter()
        .filter(|key| !body.contains_key(*key))
        .collect();
    if !missing.is_empty() {
        let missing: Vec<_> = missing.iter().map(|key| format!("{{key_missing,{key}}}")).collect();
        return Err(bad_request(format!("[{}]", missing.join(","))));
    }
    body.retain(|key, _| ["pattern", "definition", "priority", "apply-to"].contains(&key.as_str()));
    Ok(body)
}

async fn delete(
    State(broker): Site,
    Extension(kind): Extension<PolicyKind>,
    Extension(caller): Extension<Caller>,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    check(&broker, kind, &caller, &vhost)?;
    match broker.clear_policy(kind, &vhost, &name).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(not_found().await),
        Err(_) => Err(store_failed()),
    }
}
