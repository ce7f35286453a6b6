//! `/api/exchanges`: to see, declare and delete. Publishing to one is in `messages.rs`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use stoa_server::{ExchangeDeclare, ExchangeView, Requester};

use crate::auth::Caller;
use crate::body::{Body, Field, optional};
use crate::failure::Failure;
use crate::listing::{self, Row};
use crate::query::Query;
use crate::samples::Ages;
use crate::tables::to_json;
use crate::{Api, Site, names};

/// What an exchange is declared with.
pub(crate) const EXCHANGE: &[Field] = &[
    optional("type", "string"),
    optional("durable", "boolean"),
    optional("auto_delete", "boolean"),
    optional("internal", "boolean"),
    optional("arguments", "object"),
];

/// What definitions and lists both say of an exchange.
pub(crate) fn declaration(view: &ExchangeView) -> Value {
    let exchange = &view.exchange;
    json!({
        "name": exchange.name.as_str_lossy(),
        "vhost": &*exchange.vhost,
        "type": exchange.kind.name(),
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": to_json(&exchange.arguments),
    })
}

/// An exchange, and what it takes to show it.
struct Shown {
    view: ExchangeView,
    api: Arc<Api>,
    ages: Ages,
}

impl Row for Shown {
    fn name(&self) -> String {
        self.view.exchange.name.as_str_lossy().into_owned()
    }

    fn render(&self) -> Value {
        let mut value = declaration(&self.view);
        value["message_stats"] = self.api.samples.through(&self.view.traffic, self.ages).into();
        value["policy"] = json!(self.view.governing.policy.as_ref().map(|policy| policy.name.to_string()));
        // RabbitMQ says who declared it, which nobody keeps here.
        value["user_who_performed_action"] = json!("");
        value
    }
}

fn shown(api: &Arc<Api>, views: Vec<ExchangeView>, query: &Query) -> Vec<Shown> {
    let (api, ages) = (api.clone(), Ages::of(query));
    let show = |view| Shown {
        view,
        api: api.clone(),
        ages,
    };
    views.into_iter().map(show).collect()
}

pub(crate) async fn list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let vhosts = api.broker.vhosts().into_iter().filter(|vhost| caller.sees(&api.broker, vhost));
    let all: Vec<_> = vhosts.filter_map(|vhost| api.broker.exchanges(&vhost)).flatten().collect();
    listing::list(shown(&api, all, &query), &query).await
}

pub(crate) async fn list_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    let exchanges = api.broker.exchanges(&vhost).ok_or_else(Failure::not_found)?;
    listing::list(shown(&api, exchanges, &query), &query).await
}

type Name = Path<(String, String)>;

pub(crate) async fn get(State(api): Site, Path((vhost, name)): Name, query: Query) -> Result<Response, Failure> {
    let view = api.broker.exchange(&vhost, names::exchange(&name).as_bytes());
    let mut value = shown(&api, vec![view.ok_or_else(Failure::not_found)?], &query).remove(0).render();
    value["incoming"] = json!([]);
    value["outgoing"] = json!([]);
    Ok(listing::object(value, &query))
}

pub(crate) async fn declare(State(api): Site, caller: Caller, Path((vhost, name)): Name, body: Body) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::no_vhost());
    }
    let wanted = ExchangeDeclare {
        name: names::exchange(&name).as_bytes(),
        kind: body.text("type")?.unwrap_or("direct").as_bytes(),
        passive: false,
        durable: body.flag("durable")?,
        auto_delete: body.flag("auto_delete")?,
        internal: body.flag("internal")?,
        arguments: body.table("arguments")?,
    };
    let by = Requester {
        user: &caller.user,
        vhost: &vhost,
    };
    let is_new = api.broker.request_exchange(by, &wanted).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok((status, HeaderMap::new()).into_response())
}

pub(crate) async fn delete(State(api): Site, caller: Caller, Path((vhost, name)): Name, query: Query) -> Result<StatusCode, Failure> {
    let by = Requester {
        user: &caller.user,
        vhost: &vhost,
    };
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    let was_there = api
        .broker
        .request_exchange_end(by, names::exchange(&name).as_bytes(), query.flag("if-unused"))
        .await?;
    if was_there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found())
    }
}
