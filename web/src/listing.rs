//! Lists: filtered by name, sorted, cut into pages and columns, as RabbitMQ does it (`rabbit_mgmt_util`).
//!
//! A row is made into JSON only if it is in the answer and more of it is asked for than the row knows as it is, or if it takes that to sort it.
//! An answer goes out as it is written, some rows at a time, and others have their turn in between: a list of 100,000 is no obstacle to
//! anybody, and is never in memory as a whole.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame};
use regex::RegexBuilder;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::query::Query;

/// A row of a list.
pub(crate) trait Row {
    /// What it is filtered by.
    fn name(&self) -> String;

    /// All of it.
    fn render(&self) -> Value;

    /// The value at a path such as `message_stats.publish`, if the row knows it without being rendered.
    fn known(&self, _path: &str) -> Option<Value> {
        None
    }

    /// What it is sorted by.
    fn sort_key(&self, path: &str) -> Value {
        let rendered = || at(&self.render(), path).cloned().unwrap_or(Value::Null);
        self.known(path).unwrap_or_else(rendered)
    }
}

/// Of simple resources, the object itself.
impl Row for Value {
    fn name(&self) -> String {
        self.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn render(&self) -> Value {
        self.clone()
    }

    fn known(&self, path: &str) -> Option<Value> {
        at(self, path).cloned()
    }
}

/// Which page, of those whose name fits.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    page: u64,
    page_size: u64,
}

const PAGE_SIZE: u64 = 100;
/// Rows of a page at most.
pub(crate) const PAGE_SIZE_MAX: u64 = 500;
/// Rows between two turns of others.
const TURN_ROWS: usize = 64;
/// What a compiled filter may take, in octets.
const REGEX_BYTES_MAX: usize = 1 << 20;

fn page_of(query: &Query) -> Result<Option<Page>, Failure> {
    let invalid = || Failure::bad_request("Pagination parameters are invalid");
    let number = |name: &str, absent: u64| match query.get(name) {
        None => Ok(absent),
        Some(text) => text.parse().map_err(|_| invalid()),
    };
    if query.get("page").is_none() && !query.flag("pagination") {
        return Ok(None);
    }
    let (page, page_size) = (number("page", 1)?, number("page_size", PAGE_SIZE)?);
    if page == 0 || page_size == 0 || page_size > PAGE_SIZE_MAX {
        return Err(invalid());
    }
    Ok(Some(Page { page, page_size }))
}

/// Which names fit: those that hold the text, or match the regular expression, whatever their case.
fn filter(query: &Query) -> Result<Option<regex::Regex>, Failure> {
    let Some(name) = query.get("name").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let pattern = if query.flag("use_regex") {
        name.to_owned()
    } else {
        regex::escape(name)
    };
    let regex = RegexBuilder::new(&pattern)
        .case_insensitive(true)
        .size_limit(REGEX_BYTES_MAX)
        .build();
    let invalid = |error: regex::Error| Failure::bad_request(format!("name is not a regular expression: {error}"));
    regex.map(Some).map_err(invalid)
}

/// The value at a path through objects.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    // A name may have dots in it itself.
    match value.get(path) {
        Some(found) => Some(found),
        None => {
            let (first, rest) = path.split_once('.')?;
            at(value.get(first)?, rest)
        }
    }
}

/// Erlang's order of terms, as far as JSON has them: numbers, then what is absent and truth values, then objects, lists and texts.
fn compare(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Number(_) => 0,
            Value::Null | Value::Bool(_) => 1,
            Value::Object(_) => 2,
            Value::Array(_) => 3,
            Value::String(_) => 4,
        }
    }
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            a.total_cmp(&b)
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a.len().cmp(&b.len()),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Puts a value where a path through objects leads.
fn put(into: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(into.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            if let Value::Object(inner) = into.entry(first).or_insert_with(|| json!({})) {
                put(inner, rest, value);
            }
        }
    }
}

/// The row with these columns only.
fn columns(row: &impl Row, columns: &[String]) -> Value {
    let mut out = Map::new();
    let mut rendered = None;
    for path in columns {
        let found = row.known(path).or_else(|| {
            let rendered = rendered.get_or_insert_with(|| row.render());
            at(rendered, path).cloned()
        });
        if let Some(found) = found {
            put(&mut out, path, found);
        }
    }
    Value::Object(out)
}

fn wanted_columns(query: &Query) -> Option<Vec<String>> {
    let columns = query.get("columns").filter(|columns| !columns.is_empty())?;
    Some(columns.split(',').map(str::to_owned).collect())
}

/// One object, with the columns that are asked for.
pub(crate) fn object(value: Value, query: &Query) -> Response {
    match wanted_columns(query) {
        Some(wanted) => axum::Json(columns(&value, &wanted)).into_response(),
        None => axum::Json(value).into_response(),
    }
}

/// The list as it is asked for.
pub(crate) async fn list<R: Row + Send + Unpin + 'static>(mut rows: Vec<R>, query: &Query) -> Result<Response, Failure> {
    let page = page_of(query)?;
    let total = rows.len() as u64;
    if page.is_some()
        && let Some(filter) = filter(query)?
    {
        rows.retain(|row| filter.is_match(&row.name()));
    }
    if let Some(path) = query.get("sort").filter(|path| !path.is_empty()) {
        let mut keyed = Vec::with_capacity(rows.len());
        for (number, row) in rows.into_iter().enumerate() {
            if number % TURN_ROWS == 0 {
                tokio::task::yield_now().await;
            }
            keyed.push((row.sort_key(path), row));
        }
        keyed.sort_by(|(a, _), (b, _)| compare(a, b));
        if query.flag("sort_reverse") {
            keyed.reverse();
        }
        rows = keyed.into_iter().map(|(_, row)| row).collect();
    } else if query.flag("sort_reverse") {
        rows.reverse();
    }
    let wanted = wanted_columns(query);
    let Some(Page { page, page_size }) = page else {
        return Ok(answer(Rows::new("[", rows, wanted, "]")));
    };
    let filtered = rows.len() as u64;
    let first = (page - 1).saturating_mul(page_size);
    if page > 1 && first >= filtered {
        let reason = format!("Page out of range, page: {page} page size: {page_size}, len: {filtered}");
        return Err(Failure::page_out_of_range(reason));
    }
    rows.truncate(first.saturating_add(page_size).min(filtered) as usize);
    rows.drain(..first as usize);
    let head = format!(
        "{{\"filtered_count\":{filtered},\"item_count\":{},\"page\":{page},\"page_count\":{},\"page_size\":{page_size},\"total_count\":{total},\"items\":[",
        rows.len(),
        filtered.div_ceil(page_size),
    );
    Ok(answer(Rows::new(&head, rows, wanted, "]}")))
}

fn answer<R: Row + Send + Unpin + 'static>(mut rows: Rows<R>) -> Response {
    let body = if rows.rows.len() <= TURN_ROWS {
        rows.part().into()
    } else {
        Body::new(rows)
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// An answer that is written as it goes out.
struct Rows<R> {
    /// What comes before the next row.
    head: Vec<u8>,
    rows: std::vec::IntoIter<R>,
    wanted: Option<Vec<String>>,
    tail: &'static str,
    ended: bool,
    /// Others have had their turn since the last part.
    yielded: bool,
}

impl<R: Row> Rows<R> {
    fn new(head: &str, rows: Vec<R>, wanted: Option<Vec<String>>, tail: &'static str) -> Self {
        Self {
            head: head.as_bytes().to_vec(),
            rows: rows.into_iter(),
            wanted,
            tail,
            ended: false,
            yielded: true,
        }
    }

    /// The next rows of the answer.
    fn part(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.head);
        for row in self.rows.by_ref().take(TURN_ROWS) {
            let value = match &self.wanted {
                Some(wanted) => columns(&row, wanted),
                None => row.render(),
            };
            // Into memory, and keys are texts: nothing can fail.
            serde_json::to_writer(&mut out, &value).ok();
            out.push(b',');
        }
        if self.rows.as_slice().is_empty() {
            self.ended = true;
            if out.last() == Some(&b',') {
                out.pop();
            }
            out.extend_from_slice(self.tail.as_bytes());
        }
        out
    }
}

impl<R: Row + Unpin> HttpBody for Rows<R> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let rows = self.get_mut();
        if rows.ended {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut rows.yielded, false) {
            rows.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(rows.part().into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn listed(query: &str) -> Result<Value, Failure> {
        let rows: Vec<Value> = [("b", 2), ("a", 10), ("Ab", 1)]
            .map(|(name, n)| json!({"name": name, "stats": {"n": n}, "more": true}))
            .into();
        let response = list(rows, &Query::parse(query)).await?;
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Ok(serde_json::from_slice(&body).unwrap())
    }

    fn names(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn lists_are_sorted_and_cut() {
        for (query, expected) in [
            ("", &["b", "a", "Ab"][..]),
            ("sort=name", &["Ab", "a", "b"]),
            ("sort=stats.n&sort_reverse=true", &["a", "b", "Ab"]),
            ("sort=nothing", &["b", "a", "Ab"]),
            ("name=a", &["b", "a", "Ab"]),
        ] {
            assert_eq!(names(&listed(query).await.unwrap()), expected, "{query}");
        }
        assert_eq!(
            listed("columns=stats.n,none&sort=name").await.unwrap(),
            json!([{"stats": {"n": 1}}, {"stats": {"n": 10}}, {"stats": {"n": 2}}])
        );
    }

    #[tokio::test]
    async fn what_goes_out_in_parts_is_whole() {
        for (rows, query, expected) in [
            (0, "", 0..0),
            (64, "", 0..64),
            (65, "", 0..65),
            (128, "", 0..128),
            (200, "columns=n", 0..200),
            (200, "page=1&page_size=128", 0..128),
            (200, "page=2&page_size=150", 150..200),
        ] {
            let rows: Vec<Value> = (0..rows).map(|n| json!({"n": n})).collect();
            let response = list(rows, &Query::parse(query)).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let mut value: Value = serde_json::from_slice(&body).unwrap();
            if value.is_object() {
                assert_eq!(value["item_count"], expected.len(), "{query}");
                value = value["items"].take();
            }
            let expected: Vec<Value> = expected.map(|n| json!({"n": n})).collect();
            assert_eq!(value, Value::from(expected), "{query}");
        }
    }

    #[tokio::test]
    async fn pages_are_rabbitmqs() {
        let page = listed("page=2&page_size=1&name=A&sort=name").await.unwrap();
        assert_eq!(names(&page["items"]), ["a"]);
        let of = |name: &str| page[name].as_u64().unwrap();
        let counts = ["filtered_count", "item_count", "page", "page_count", "page_size", "total_count"].map(of);
        assert_eq!(counts, [2, 1, 2, 2, 1, 3]);
        assert_eq!(names(&listed("page=1&name=^.b&use_regex=true").await.unwrap()["items"]), ["Ab"]);
        assert_eq!(listed("pagination=true").await.unwrap()["page_size"], 100);
        for (query, error, reason) in [
            ("page=9", "page_out_of_range", "Page out of range, page: 9 page size: 100, len: 3"),
            ("page=x", "bad_request", "Pagination parameters are invalid"),
            ("page=0", "bad_request", "Pagination parameters are invalid"),
            ("page=1&page_size=501", "bad_request", "Pagination parameters are invalid"),
        ] {
            let failure = listed(query).await.unwrap_err();
            assert_eq!((failure.error, &*failure.reason), (error, reason), "{query}");
        }
        assert_eq!(listed("page=1&name=(&use_regex=true").await.unwrap_err().error, "bad_request");
    }
}
