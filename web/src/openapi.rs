//! The OpenAPI document, made from the list of routes.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::auth::Access;
use crate::body::Field;
use crate::listing::PAGE_SIZE_MAX;
use crate::route::Route;
use crate::routes;

/// `GET /api/openapi.json`.
pub(crate) async fn get() -> Json<Value> {
    Json(document(&routes::all()))
}

/// The document: every path with its methods, parameters, fields and answers.
pub(crate) fn document(routes: &[Route]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let methods = paths.entry(route.path.replace("{*", "{")).or_insert_with(|| json!({}));
        if let Value::Object(methods) = methods {
            methods.insert(route.method.into(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stoa",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The management API: RabbitMQ's, and what goes beyond it. Names in paths are percent-encoded; the default virtual host is %2F.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "stoa_session"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "reason"],
                    "properties": {"error": {"type": "string"}, "reason": {"type": "string"}},
                },
                "Page": {
                    "type": "object",
                    "required": ["items", "page", "page_count", "page_size", "filtered_count", "item_count", "total_count"],
                    "properties": {
                        "items": {"type": "array", "items": {"type": "object"}},
                        "page": {"type": "integer"}, "page_count": {"type": "integer"}, "page_size": {"type": "integer"},
                        "filtered_count": {"type": "integer"}, "item_count": {"type": "integer"}, "total_count": {"type": "integer"},
                    },
                },
                "Check": {
                    "type": "object",
                    "required": ["status", "reason"],
                    "properties": {"status": {"type": "string", "enum": ["failed"]}, "reason": {"type": "string"}},
                },
                "List": {"type": "array", "items": {"type": "object"}},
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = names(route.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": of_path(name)}))
        .collect();
    if route.is_list {
        parameters.extend(of_lists());
    }
    parameters.extend(
        route
            .query
            .iter()
            .map(|field| json!({"name": field.name, "in": "query", "required": field.required, "schema": of_kind(field.kind)})),
    );
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": format!("Needs: {}.", route.access.name()),
        "tags": [route.path.split('/').nth(2).unwrap_or("api")],
        "parameters": parameters,
        "responses": responses(route),
    });
    operation["security"] = match route.access {
        Access::Public => json!([]),
        _ => json!([{"basic": []}, {"session": []}]),
    };
    if let Some(fields) = route.body {
        let required = fields.iter().any(|field| field.required);
        operation["requestBody"] = json!({"required": required, "content": {"application/json": {"schema": schema(fields)}}});
    }
    operation
}

/// The names in braces.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*'))
}

/// What a part of a path may be.
fn of_path(name: &str) -> Value {
    match name {
        "kind" => json!({"type": "string", "enum": ["q", "e"]}),
        "unit" => json!({"type": "string", "enum": ["days", "weeks", "months", "years"]}),
        "within" | "port" => json!({"type": "integer", "minimum": 0}),
        _ => json!({"type": "string", "minLength": 1}),
    }
}

/// The parameters of lists.
fn of_lists() -> impl Iterator<Item = Value> {
    let number = |most: u64| json!({"type": "integer", "minimum": 1, "maximum": most});
    let (text, truth) = (json!({"type": "string"}), json!({"type": "boolean"}));
    [
        ("page", number(1 << 31), "Which page, from 1"),
        ("page_size", number(PAGE_SIZE_MAX), "How many a page"),
        ("pagination", truth.clone(), "Pages, even if none is named"),
        ("name", text.clone(), "Only those whose name has this in it"),
        ("use_regex", truth.clone(), "The name is a regular expression"),
        ("sort", text.clone(), "The field to sort by"),
        ("sort_reverse", truth, "The largest first"),
        ("columns", text, "Only these fields, with commas between"),
    ]
    .into_iter()
    .map(|(name, schema, text)| json!({"name": name, "in": "query", "description": text, "schema": schema}))
}

fn of_kind(kind: &str) -> Value {
    match kind {
        "any" => json!({}),
        "objects" => json!({"type": "array", "items": {"type": "object"}}),
        "strings" => json!({"type": "array", "items": {"type": "string"}}),
        kind => json!({"type": kind}),
    }
}

fn operation_id(route: &Route) -> String {
    let words = route
        .path
        .split(['/', '{', '}', '.', '-'])
        .filter(|word| !word.is_empty() && *word != "api");
    let words: Vec<_> = words.collect();
    format!("{}_{}", route.method, words.join("_"))
}

fn schema(fields: &[Field]) -> Value {
    let property = |field: &Field| (field.name.to_owned(), of_kind(field.kind));
    let properties: Map<_, _> = fields.iter().map(property).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// What a page of the dashboard is, by its path; the API speaks JSON.
fn content_type(path: &str) -> &'static str {
    match path {
        "/" | "/cli" => "text/html; charset=utf-8",
        "/icon.svg" => "image/svg+xml",
        path if path.starts_with("/api") => "application/json",
        _ => "*/*",
    }
}

fn responses(route: &Route) -> Value {
    let said = |text: &str, schema: &str| {
        let schema = format!("#/components/schemas/{schema}");
        json!({"description": text, "content": {"application/json": {"schema": {"$ref": schema}}}})
    };
    let error = |text: &str| said(text, "Error");
    let content = |schema: Value| json!({"description": "As asked for", "content": {content_type(route.path): {"schema": schema}}});
    let mut responses = Map::new();
    let list = json!({"oneOf": [{"$ref": "#/components/schemas/List"}, {"$ref": "#/components/schemas/Page"}]});
    match route.method {
        "get" if route.is_list => drop(responses.insert("200".into(), content(list))),
        "get" => drop(responses.insert("200".into(), content(json!({})))),
        "post" => {
            responses.insert("200".into(), content(json!({})));
            responses.insert("201".into(), json!({"description": "Made"}));
            responses.insert("204".into(), json!({"description": "Done"}));
        }
        "put" => {
            responses.insert("201".into(), json!({"description": "Made"}));
            responses.insert("204".into(), json!({"description": "Changed, or as it was"}));
        }
        _ => drop(responses.insert("204".into(), json!({"description": "Done"}))),
    }
    // Stoa's own: what came of it, and whose the message is that somebody else has.
    if route.method != "get" && !route.query.is_empty() || route.method == "put" && route.path.ends_with("/delayed/{id}") {
        responses.insert("200".into(), content(json!({})));
    }
    if route.method != "get" && route.path.ends_with("/{id}") {
        responses.insert("409".into(), error("Somebody has the message"));
    }
    responses.insert("400".into(), error("The request makes no sense"));
    if route.access != Access::Public || route.path == "/api/login" {
        responses.insert("401".into(), error("Not logged in, or not allowed"));
        responses.insert("429".into(), error("Too many failed logins"));
    }
    responses.insert("404".into(), error("There is no such thing"));
    if !matches!(route.method, "get") {
        responses.insert("403".into(), error("The token of the session is missing"));
        responses.insert("413".into(), error("The body is too large"));
    }
    let is_check = route.path.contains("/health") || route.path.contains("/aliveness");
    let down = if is_check {
        said("Not in order", "Check")
    } else {
        error("The store has failed")
    };
    responses.insert("503".into(), down);
    Value::Object(responses)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// With `UPDATE_SNAPSHOTS` set the snapshot is written instead.
    #[test]
    fn the_document_is_as_it_was() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let mut text = serde_json::to_string_pretty(&document(&routes::all())).unwrap();
        text.push('\n');
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(file, &text).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        let differs = text.lines().zip(kept.lines()).find(|(now, before)| now != before);
        assert!(
            kept == text,
            "the API has changed at {differs:?}: set UPDATE_SNAPSHOTS=1, and look at what git says"
        );
    }

    #[test]
    fn every_operation_is_told_apart() {
        let document = document(&routes::all());
        let mut ids = std::collections::BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
                let named: Vec<_> = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|parameter| parameter["in"] == "path")
                    .collect();
                assert_eq!(named.len(), path.matches('{').count(), "{path}");
            }
        }
    }
}
