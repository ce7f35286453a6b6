//! `/api/parameters` and `/api/global-parameters`.
//!
//! As in RabbitMQ, operator policies and the limits of virtual hosts are parameters, too: of the components `operator_policy` and `vhost-limits`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{AdministrationError, Broker, LimitOf, PolicyKind};

use crate::auth::Caller;
use crate::body::{Body, Field, required};
use crate::failure::Failure;
use crate::query::Query;
use crate::tables::{from_json, value_from_json, value_to_json};
use crate::{Site, limits, listing, policies};

/// What a parameter is set with.
pub(crate) const PARAMETER: &[Field] = &[required("value", "any")];

const OPERATOR_POLICY: &str = "operator_policy";
const VHOST_LIMITS: &str = "vhost-limits";

/// The components whose parameters are kept. Of others RabbitMQ, too, says that they are not found.
const COMPONENTS: [&str; 3] = ["shovel", "federation-upstream", "federation-upstream-set"];

/// All parameters, with what RabbitMQ counts among them.
pub(crate) fn views(broker: &Broker) -> Vec<Value> {
    let kept = broker.parameters().into_iter().map(|parameter| {
        json!({
            "vhost": &*parameter.vhost, "component": &*parameter.component, "name": &*parameter.name,
            "value": value_to_json(&parameter.value),
        })
    });
    let policies = broker.policies(PolicyKind::Operator, None);
    let policies = policies.iter().map(|policy| {
        let mut value = policies::view(policy);
        if let Value::Object(fields) = &mut value {
            fields.retain(|name, _| !["vhost", "name"].contains(&name.as_str()));
        }
        json!({"vhost": &*policy.vhost, "component": OPERATOR_POLICY, "name": &*policy.name, "value": value})
    });
    let limits = broker.all_limits(LimitOf::Vhost);
    let limits = limits
        .iter()
        .map(|(vhost, limits)| json!({"vhost": &**vhost, "component": VHOST_LIMITS, "name": "limits", "value": limits::values(limits)}));
    kept.chain(policies).chain(limits).collect()
}

fn is(value: &Value, name: &str, expected: &str) -> bool {
    value[name] == expected
}

pub(crate) async fn list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let mut all = views(&api.broker);
    all.retain(|view| caller.sees(&api.broker, view["vhost"].as_str().unwrap_or_default()));
    listing::list(all, &query).await
}

pub(crate) async fn of_component(
    State(api): Site,
    caller: Caller,
    Path(component): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let mut all = views(&api.broker);
    all.retain(|view| is(view, "component", &component) && caller.sees(&api.broker, view["vhost"].as_str().unwrap_or_default()));
    listing::list(all, &query).await
}

pub(crate) async fn in_vhost(
    State(api): Site,
    Path((component, vhost)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    let mut all = views(&api.broker);
    all.retain(|view| is(view, "component", &component) && is(view, "vhost", &vhost));
    listing::list(all, &query).await
}

type Name = Path<(String, String, String)>;

pub(crate) async fn get(State(api): Site, Path((component, vhost, name)): Name, query: Query) -> Result<Response, Failure> {
    let all = views(&api.broker).into_iter();
    let mut own = all.filter(|view| is(view, "component", &component) && is(view, "vhost", &vhost) && is(view, "name", &name));
    own.next().map(|view| listing::object(view, &query)).ok_or_else(Failure::not_found)
}

/// Sets a parameter, wherever it belongs. Gives whether it is new.
pub(crate) async fn put_parameter(broker: &Arc<Broker>, vhost: &str, component: &str, name: &str, value: &Value) -> Result<bool, Failure> {
    let too_long = || Failure::bad_request("a name is longer than 255 octets");
    match (component, value) {
        (OPERATOR_POLICY, Value::Object(terms)) => {
            let terms = from_json(terms).ok_or_else(too_long)?;
            match broker.set_policy(PolicyKind::Operator, vhost, name, &terms).await {
                Ok(is_new) => Ok(is_new),
                Err(AdministrationError::NotDurable) => Err(Failure::store_failed()),
                Err(refused) => Err(Failure::bad_request(refused.to_string())),
            }
        }
        (VHOST_LIMITS, Value::Object(values)) => limits::set_all(broker, LimitOf::Vhost, vhost, values).await.map(|()| false),
        (component, value) if COMPONENTS.contains(&component) => {
            let value = value_from_json(value).ok_or_else(too_long)?;
            Ok(broker.set_parameter(vhost, component, name, &value).await?)
        }
        _ => Err(Failure::bad_request(format!(
            "Validation failed\n\ncomponent {component} not found\n"
        ))),
    }
}

pub(crate) async fn set(State(api): Site, Path((component, vhost, name)): Name, body: Body) -> Result<StatusCode, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::no_vhost());
    }
    body.require(&["value"])?;
    let value = body.0.get("value").unwrap_or(&Value::Null);
    match put_parameter(&api.broker, &vhost, &component, &name, value).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

pub(crate) async fn clear(State(api): Site, Path((component, vhost, name)): Name) -> Result<StatusCode, Failure> {
    match api.broker.clear_parameter(&vhost, &component, &name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found()),
    }
}

/// The global parameters as they are shown and exported.
pub(crate) fn global_views(broker: &Broker) -> Vec<Value> {
    let all = broker.global_parameters().into_iter();
    all.map(|(name, value)| json!({"name": &*name, "value": value_to_json(&value)}))
        .collect()
}

pub(crate) async fn list_global(State(api): Site, query: Query) -> Result<Response, Failure> {
    listing::list(global_views(&api.broker), &query).await
}

pub(crate) async fn get_global(State(api): Site, Path(name): Path<String>, query: Query) -> Result<Response, Failure> {
    let own = global_views(&api.broker).into_iter().find(|view| is(view, "name", &name));
    own.map(|view| listing::object(view, &query)).ok_or_else(Failure::not_found)
}

pub(crate) async fn set_global(State(api): Site, Path(name): Path<String>, body: Body) -> Result<StatusCode, Failure> {
    match put_global(&api.broker, &name, &body).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

/// Sets a global parameter with the field of a body. Gives whether it is new.
pub(crate) async fn put_global(broker: &Arc<Broker>, name: &str, body: &Body) -> Result<bool, Failure> {
    body.require(&["value"])?;
    let value = body.0.get("value").and_then(value_from_json);
    let value = value.ok_or_else(|| Failure::bad_request("a name is longer than 255 octets"))?;
    Ok(broker.set_global_parameter(name, &value).await?)
}

pub(crate) async fn clear_global(State(api): Site, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    match api.broker.clear_global_parameter(&name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found()),
    }
}
