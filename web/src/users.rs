//! `/api/users`, `/api/permissions` and `/api/whoami`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use stoa_server::{Broker, Hashing, LimitOf, NewPassword, PasswordHash, PermissionView, UserView};

use crate::auth::Caller;
use crate::body::{Body, Field, optional, required};
use crate::failure::Failure;
use crate::limits;
use crate::query::Query;
use crate::{Site, listing, topic_permissions};

/// What a user is made with. Tags are a list, or a text with commas; of the password there is one of the two, or none.
pub(crate) const USER: &[Field] = &[
    required("tags", "any"),
    optional("password", "string"),
    optional("password_hash", "string"),
    optional("hashing_algorithm", "string"),
];

/// Whom to delete.
pub(crate) const USERS: &[Field] = &[required("users", "strings")];

/// What a user may do.
pub(crate) const PERMISSION: &[Field] = &[
    required("configure", "string"),
    required("write", "string"),
    required("read", "string"),
];

/// Who asks.
pub(crate) async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({"name": caller.user, "tags": caller.tags}))
}

/// A user as it is shown and exported.
pub(crate) fn view(user: &UserView) -> Value {
    let hash = user.password.as_ref().map(|hash| STANDARD.encode(hash.as_bytes()));
    let hashing = user.password.as_ref().map_or(Hashing::Sha256, PasswordHash::hashing);
    json!({
        "name": &*user.name,
        "password_hash": hash.unwrap_or_default(),
        "hashing_algorithm": hashing.name(),
        "tags": user.tags,
        "limits": limits::values(&user.limits),
    })
}

pub(crate) async fn list(State(api): Site, query: Query) -> Result<Response, Failure> {
    listing::list(api.broker.users().iter().map(view).collect(), &query).await
}

pub(crate) async fn without_permissions(State(api): Site, query: Query) -> Result<Response, Failure> {
    let users = api.broker.users();
    let users = users.iter().filter(|user| !user.has_permissions);
    listing::list(users.map(view).collect(), &query).await
}

/// One's own is shown to everybody.
pub(crate) async fn get(State(api): Site, caller: Caller, Path(name): Path<String>, query: Query) -> Result<Response, Failure> {
    if caller.user != name {
        caller.check_administrator()?;
    }
    let user = api.broker.user(&name).ok_or_else(Failure::not_found)?;
    Ok(listing::object(view(&user), &query))
}

fn tags(body: &Body) -> Result<Vec<Box<str>>, Failure> {
    let wrong = || Failure::bad_request("tags should be a list of strings, or a string with commas");
    match body.get("tags") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(Into::into)
            .collect()),
        Some(Value::Array(tags)) => tags.iter().map(|tag| tag.as_str().map(Into::into).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

fn password(body: &Body) -> Result<NewPassword, Failure> {
    match (body.text("password")?, body.text("password_hash")?) {
        (Some(_), Some(_)) => Err(Failure::bad_request("Cannot specify both password and password_hash")),
        (Some(password), None) => Ok(NewPassword::Plain(password.to_owned())),
        (None, None) => Ok(NewPassword::Kept),
        (None, Some("")) => Ok(NewPassword::Removed),
        (None, Some(hash)) => {
            // Before RabbitMQ 3.6 there was but one way, and definitions of 3.6 and later name theirs.
            let name = body.text("hashing_algorithm")?.unwrap_or(Hashing::Sha256.name());
            let hashing = Hashing::of_name(name).ok_or_else(|| Failure::bad_request(format!("unknown hashing algorithm '{name}'")))?;
            let octets = STANDARD
                .decode(hash)
                .ok()
                .and_then(|octets| PasswordHash::from_bytes(hashing, &octets));
            let hash = octets.ok_or_else(|| Failure::bad_request(format!("password_hash is not one of {name} in base 64")))?;
            Ok(NewPassword::Hashed(hash))
        }
    }
}

/// Makes or changes a user, with its limits if the body has any. Gives whether it is new.
pub(crate) async fn put_user(broker: &Arc<Broker>, name: &str, body: &Body) -> Result<bool, Failure> {
    let is_new = broker.put_user(name, password(body)?, tags(body)?).await?;
    if let Some(Value::Object(limits)) = body.get("limits") {
        limits::set_all(broker, LimitOf::User, name, limits).await?;
    }
    Ok(is_new)
}

pub(crate) async fn put(State(api): Site, Path(name): Path<String>, body: Body) -> Result<StatusCode, Failure> {
    body.get("tags").ok_or_else(|| Failure::bad_request("tags_not_present"))?;
    match put_user(&api.broker, &name, &body).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

pub(crate) async fn delete(State(api): Site, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    match api.broker.delete_user(&name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found()),
    }
}

pub(crate) async fn bulk_delete(State(api): Site, body: Body) -> Result<StatusCode, Failure> {
    body.require(&["users"])?;
    let names: Option<Vec<_>> = body
        .get("users")
        .and_then(Value::as_array)
        .and_then(|names| names.iter().map(Value::as_str).collect());
    for name in names.ok_or_else(|| Failure::bad_request("users should be a list of strings"))? {
        api.broker.delete_user(name).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Permissions as they are shown and exported.
pub(crate) fn permission(view: &PermissionView) -> Value {
    json!({"user": &*view.user, "vhost": &*view.vhost, "configure": view.configure, "write": view.write, "read": view.read})
}

/// Those that fit.
pub(crate) fn permissions(broker: &Broker, fits: impl Fn(&PermissionView) -> bool) -> Vec<Value> {
    broker.permissions().iter().filter(|view| fits(view)).map(permission).collect()
}

pub(crate) async fn list_permissions(State(api): Site, query: Query) -> Result<Response, Failure> {
    listing::list(permissions(&api.broker, |_| true), &query).await
}

pub(crate) async fn permissions_of_user(
    State(api): Site,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    if caller.user != name {
        caller.check_administrator()?;
    }
    api.broker.user(&name).ok_or_else(Failure::not_found)?;
    listing::list(permissions(&api.broker, |view| *view.user == *name), &query).await
}

pub(crate) async fn topic_permissions_of_user(State(api): Site, Path(name): Path<String>, query: Query) -> Result<Response, Failure> {
    api.broker.user(&name).ok_or_else(Failure::not_found)?;
    listing::list(topic_permissions::views(&api.broker, |view| *view.user == *name), &query).await
}

pub(crate) async fn permissions_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    listing::list(permissions(&api.broker, |view| *view.vhost == *vhost), &query).await
}

pub(crate) async fn topic_permissions_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    listing::list(topic_permissions::views(&api.broker, |view| *view.vhost == *vhost), &query).await
}

type Pair = Path<(String, String)>;

pub(crate) async fn get_permission(State(api): Site, Path((vhost, user)): Pair, query: Query) -> Result<Response, Failure> {
    let mut own = permissions(&api.broker, |view| *view.vhost == *vhost && *view.user == *user);
    own.pop().map(|view| listing::object(view, &query)).ok_or_else(Failure::not_found)
}

/// Sets permissions with the fields of a body. Gives whether there were none.
pub(crate) async fn put_permission(broker: &Arc<Broker>, vhost: &str, user: &str, body: &Body) -> Result<bool, Failure> {
    if !broker.has_vhost(vhost) || broker.user(user).is_none() {
        return Err(Failure::bad_request("vhost_or_user_not_found"));
    }
    body.require(&["configure", "write", "read"])?;
    let patterns = ["configure", "write", "read"].map(|name| body.required_text(name));
    let [configure, write, read] = patterns;
    Ok(broker.set_permissions(user, vhost, [configure?, write?, read?]).await?)
}

pub(crate) async fn set_permission(State(api): Site, Path((vhost, user)): Pair, body: Body) -> Result<StatusCode, Failure> {
    match put_permission(&api.broker, &vhost, &user, &body).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

pub(crate) async fn clear_permission(State(api): Site, Path((vhost, user)): Pair) -> Result<StatusCode, Failure> {
    if !api.broker.has_vhost(&vhost) || api.broker.user(&user).is_none() {
        return Err(Failure::not_found());
    }
    api.broker.clear_permissions(&user, &vhost).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a password's hash is in RabbitMQ's default way, for definitions that are written by hand.
pub(crate) async fn hash_password(Path(password): Path<String>) -> Json<Value> {
    let mut fields = Map::new();
    let hash = PasswordHash::new(rand::random(), &password);
    fields.insert("ok".into(), STANDARD.encode(hash.as_bytes()).into());
    Json(Value::Object(fields))
}
