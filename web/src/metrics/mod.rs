//! `/metrics`: figures for Prometheus, by the names and labels of RabbitMQ's plugin `rabbitmq_prometheus`, and Stoa's own (`stoa_*`).
//!
//! ```text
//! /metrics                   all together: the answer is as short for 50,000 queues as for one
//! /metrics/per-object        of every queue, channel, connection and exchange
//! /metrics/detailed          of those kinds that are asked for: ?family=queue_coarse_metrics&family=..&vhost=..
//! /metrics/memory-breakdown  what the memory is used for
//! ```
//!
//! On the listener of the API the first is open to everybody, since it names nothing; the others are for who may watch. The listener `prometheus`, which
//! is off by default as the plugin is, asks nobody who they are, as RabbitMQ's port 15692 does not.

mod node;
mod objects;
mod own;
mod stream;
mod text;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use stoa_server::{ConnectionView, Latency, QueueView};

use crate::metrics::objects::{CHANNELS, CONNECTIONS, EXCHANGES, Family, QUEUES};
use crate::metrics::text::Kind::Gauge;
use crate::metrics::text::{Format, Label, Text};
use crate::nodes::Process;
use crate::percent::decode;
use crate::{Api, Site, connections};

/// What is asked for.
enum Wanted {
    Aggregated,
    PerObject,
    Detailed {
        families: BTreeSet<String>,
        vhosts: BTreeSet<String>,
    },
    Memory,
}

impl Wanted {
    fn endpoint(&self) -> &'static str {
        match self {
            Self::Aggregated => "aggregated",
            Self::PerObject => "per-object",
            Self::Detailed { .. } => "detailed",
            Self::Memory => "memory-breakdown",
        }
    }

    /// Whether a family is wanted that is not there by default.
    fn has(&self, family: &str) -> bool {
        match self {
            Self::Detailed { families, .. } => families.contains(family),
            Self::PerObject => true,
            Self::Aggregated | Self::Memory => false,
        }
    }

    fn has_vhost(&self, vhost: &str) -> bool {
        match self {
            Self::Detailed { vhosts, .. } => vhosts.is_empty() || vhosts.contains(vhost),
            _ => true,
        }
    }
}

/// Everything on a listener of its own.
pub(crate) fn router(api: &Arc<Api>) -> Router {
    Router::new()
        .route("/metrics", get(aggregated))
        .route("/metrics/", get(aggregated))
        .route("/metrics/per-object", get(per_object))
        .route("/metrics/detailed", get(detailed))
        .route("/metrics/memory-breakdown", get(memory))
        .with_state(api.clone())
}

pub(crate) async fn aggregated(State(api): Site, headers: HeaderMap) -> Response {
    scrape(api, &headers, Wanted::Aggregated).await
}

pub(crate) async fn per_object(State(api): Site, headers: HeaderMap) -> Response {
    scrape(api, &headers, Wanted::PerObject).await
}

pub(crate) async fn memory(State(api): Site, headers: HeaderMap) -> Response {
    scrape(api, &headers, Wanted::Memory).await
}

pub(crate) async fn detailed(State(api): Site, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    let all = |wanted: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let values = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| decode(value, true));
        values.collect()
    };
    let wanted = Wanted::Detailed {
        families: all("family"),
        vhosts: all("vhost"),
    };
    scrape(api, &headers, wanted).await
}

/// The format that is accepted: RabbitMQ's, wherever it is, because dashboards are made for it; OpenMetrics for who accepts nothing else.
fn format(headers: &HeaderMap) -> Option<Format> {
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let ranges = accepted.iter().flat_map(|value| value.split(','));
    let (mut text, mut open_metrics) = (accepted.is_empty(), false);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_refused = parts.any(|part| part.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0));
        text |= !is_refused && ["*/*", "text/*", "text/plain"].contains(&&*name);
        open_metrics |= !is_refused && name == "application/openmetrics-text";
    }
    if text {
        Some(Format::Text)
    } else {
        open_metrics.then_some(Format::OpenMetrics)
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let encodings = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    encodings.split(',').any(|encoding| {
        let (name, quality) = encoding.split_once(';').unwrap_or((encoding, ""));
        name.trim() == "gzip" && quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) != Some(0.0)
    })
}

async fn scrape(api: Arc<Api>, headers: &HeaderMap, wanted: Wanted) -> Response {
    let Some(format) = format(headers) else {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    };
    let is_gzip = accepts_gzip(headers);
    let Ok(turn) = api.scrapes.clone().acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let body = stream::body(is_gzip, move |out| {
        let written = write(&api, Text::new(out, format), &wanted);
        drop(turn);
        written
    });
    let mut response = ([(header::CONTENT_TYPE, format.content_type())], body).into_response();
    if is_gzip {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

/// Writes a scrape, and gives the writer back.
fn write<W: Write>(api: &Arc<Api>, mut text: Text<W>, wanted: &Wanted) -> io::Result<W> {
    let text_ = &mut text;
    match wanted {
        Wanted::Aggregated => write_aggregated(text_, api),
        Wanted::PerObject | Wanted::Detailed { .. } => write_objects(text_, api, wanted),
        Wanted::Memory => write_memory(text_, api),
    }
    node::identity(text_, api, wanted.endpoint());
    text.finish()
}

fn write_aggregated(text: &mut Text<impl Write>, api: &Arc<Api>) {
    let (seen, process) = (api.broker.overview(), Process::look());
    let channels = api.broker.channels();
    let unconfirmed: u64 = channels.iter().map(|channel| channel.unconfirmed).sum();
    let publishers = channels.iter().filter(|channel| channel.traffic.messages.published > 0).count() as u64;
    let started = seen.started_at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    text.single(
        "process_start_time_seconds",
        Gauge,
        "When the broker was started, in seconds since 1970",
        started.as_secs(),
    );
    text.begin_names_with("rabbitmq_");
    node::alarms(text, &seen);
    node::churn(text, &seen);
    node::process(text, &seen, &process);
    node::bounds(text, &seen, &process);
    node::logins(text, api);
    node::totals(text, &seen);
    for metric in QUEUES.iter().flat_map(|family| family.metrics) {
        text.single(metric.name, metric.kind, metric.help, (metric.value)(&seen.messages));
    }
    for metric in CHANNELS
        .iter()
        .flat_map(|family| family.metrics)
        .filter(|metric| metric.kind == Gauge)
    {
        let sum: u64 = channels.iter().map(metric.value).sum();
        text.single(metric.name, metric.kind, metric.help, sum);
    }
    node::channels(text, &seen, unconfirmed);
    node::connections(text, &seen);
    node::messages(text, &seen, publishers, unconfirmed);
    own::broker(text, &seen);
    let latency = api.broker.latency_of_all();
    own::latencies(text, std::iter::once((Vec::new(), &latency)));
}

/// A thing that has numbers, and the labels that name it.
type Named<'a, T> = (Vec<(&'static str, String)>, &'a T);

/// Those of the families that are wanted, of every thing.
fn write_each<T>(text: &mut Text<impl Write>, wanted: &Wanted, families: &[Family<T>], things: &[Named<'_, T>]) {
    for metric in families
        .iter()
        .filter(|family| wanted.has(family.name))
        .flat_map(|family| family.metrics)
    {
        text.family(metric.name, metric.kind, metric.help);
        for (labels, thing) in things {
            if text.has_failed() {
                return;
            }
            let labels: Vec<Label<'_>> = labels.iter().map(|(name, value)| (*name, &**value)).collect();
            text.sample(&labels, (metric.value)(thing));
        }
    }
}

fn wants_any<T>(wanted: &Wanted, families: &[Family<T>]) -> bool {
    families.iter().any(|family| wanted.has(family.name))
}

fn write_objects(text: &mut Text<impl Write>, api: &Arc<Api>, wanted: &Wanted) {
    text.begin_names_with(if matches!(wanted, Wanted::PerObject) {
        "rabbitmq_"
    } else {
        "rabbitmq_detailed_"
    });
    write_broker(text, api, wanted);
    if wants_any(wanted, QUEUES) || wanted.has("queue_latency_metrics") {
        write_queues(text, api, wanted);
    }
    if wants_any(wanted, CHANNELS) || wants_any(wanted, CONNECTIONS) {
        write_connections(text, api, wanted);
    }
    if wants_any(wanted, EXCHANGES) {
        let traffic = api.broker.exchange_traffic();
        let of = traffic.iter().filter(|(vhost, ..)| wanted.has_vhost(vhost));
        let named = of.map(|(vhost, name, traffic)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (vec![("vhost", vhost.clone()), ("exchange", name)], traffic)
        });
        write_each(text, wanted, EXCHANGES, &named.collect::<Vec<_>>());
    }
    if matches!(wanted, Wanted::Detailed { .. }) {
        write_cluster(text, api, wanted);
    }
}

/// What is not about any object.
fn write_broker(text: &mut Text<impl Write>, api: &Arc<Api>, wanted: &Wanted) {
    let names = ["connection_churn_metrics", "node_coarse_metrics", "node_metrics"];
    if names.iter().any(|name| wanted.has(name)) {
        let (seen, process) = (api.broker.overview(), Process::look());
        if wanted.has("connection_churn_metrics") {
            node::churn(text, &seen);
        }
        if wanted.has("node_coarse_metrics") {
            node::process(text, &seen, &process);
        }
        if wanted.has("node_metrics") {
            node::bounds(text, &seen, &process);
        }
        if matches!(wanted, Wanted::PerObject) {
            node::alarms(text, &seen);
            node::totals(text, &seen);
        }
    }
    if wanted.has("auth_attempt_metrics") {
        node::logins(text, api);
    }
}

fn queue_labels(view: &QueueView) -> Vec<(&'static str, String)> {
    vec![
        ("vhost", view.queue.vhost.to_string()),
        ("queue", view.queue.name.as_str_lossy().into_owned()),
    ]
}

fn write_queues(text: &mut Text<impl Write>, api: &Arc<Api>, wanted: &Wanted) {
    let mut views = api.broker.queues(None);
    views.retain(|view| wanted.has_vhost(&view.queue.vhost));
    let tallies: Vec<_> = views.iter().map(QueueView::tally).collect();
    let named: Vec<Named<'_, _>> = views.iter().map(queue_labels).zip(&tallies).collect();
    write_each(text, wanted, QUEUES, &named);
    let capacities = [
        (
            "queue_consumer_capacity",
            "How much of the last minute consumers could have taken more, 0 to 1",
        ),
        ("queue_consumer_utilisation", "The same as the capacity"),
    ];
    for (name, help) in capacities.into_iter().filter(|_| wanted.has("queue_metrics")) {
        text.family(name, Gauge, help);
        for (labels, tally) in &named {
            let labels: Vec<Label<'_>> = labels.iter().map(|(name, value)| (*name, &**value)).collect();
            text.sample(&labels, api.samples.capacity(tally.queue, tally));
        }
    }
    if wanted.has("queue_latency_metrics") {
        let latencies: Vec<(Latency, &QueueView)> = views
            .iter()
            .filter_map(|view| Some((api.broker.latency(view.queue.id)?, view)))
            // What has seen no message says nothing, in three dozen lines.
            .filter(|(latency, _)| latency.queue.count() > 0 || latency.expired > 0)
            .collect();
        let labels: Vec<_> = latencies.iter().map(|(_, view)| queue_labels(view)).collect();
        let all = labels.iter().zip(&latencies).map(|(labels, (latency, _))| {
            let labels: Vec<Label<'_>> = labels.iter().map(|(name, value)| (*name, &**value)).collect();
            (labels, latency)
        });
        own::latencies(text, all);
        text.begin_names_with(if matches!(wanted, Wanted::PerObject) {
            "rabbitmq_"
        } else {
            "rabbitmq_detailed_"
        });
    }
}

fn write_connections(text: &mut Text<impl Write>, api: &Arc<Api>, wanted: &Wanted) {
    let mut connections = api.broker.connections();
    connections.retain(|view| wanted.has_vhost(&view.identity.vhost));
    let labels = |view: &ConnectionView| {
        let name = connections::name(view);
        vec![
            ("channel", name.clone()),
            ("connection", name),
            ("vhost", view.identity.vhost.clone()),
        ]
    };
    let named: Vec<Named<'_, _>> = connections.iter().map(|view| (labels(view), view)).collect();
    write_each(text, wanted, CONNECTIONS, &named);
    if !wants_any(wanted, CHANNELS) {
        return;
    }
    let channels = api.broker.channels();
    let by_id: std::collections::HashMap<_, _> = connections.iter().map(|view| (view.id, view)).collect();
    let named = channels.iter().filter_map(|channel| {
        let connection = by_id.get(&channel.connection)?;
        let name = format!("{} ({})", connections::name(connection), channel.number);
        Some((vec![("channel", name), ("vhost", connection.identity.vhost.clone())], channel))
    });
    write_each(text, wanted, CHANNELS, &named.collect::<Vec<_>>());
}

/// Families that RabbitMQ gives only when they are asked for, under a name of their own.
fn write_cluster(text: &mut Text<impl Write>, api: &Arc<Api>, wanted: &Wanted) {
    text.begin_names_with("rabbitmq_cluster_");
    let vhosts: Vec<_> = api.broker.vhosts().into_iter().filter(|vhost| wanted.has_vhost(vhost)).collect();
    if wanted.has("vhost_status") {
        text.family("vhost_status", Gauge, "1 for every virtual host that runs");
        vhosts.iter().for_each(|vhost| text.sample(&[("vhost", &**vhost)], 1_u64));
    }
    let families = [
        ("exchange_bindings", "Bindings of an exchange"),
        ("exchange_name", "1 for every exchange"),
    ];
    for (name, help) in families {
        let asked = if name == "exchange_name" { "exchange_names" } else { name };
        if !wanted.has(asked) {
            continue;
        }
        text.family(name, Gauge, help);
        for vhost in &vhosts {
            for view in api.broker.exchanges(vhost).unwrap_or_default() {
                let exchange = &view.exchange;
                let exchange_name = exchange.name.as_str_lossy();
                let labels = [("vhost", &**vhost), ("exchange", &*exchange_name), ("type", exchange.kind.name())];
                let value = if name == "exchange_name" {
                    1
                } else {
                    api.broker.binding_count(vhost, exchange.name.as_bytes())
                };
                text.sample(&labels, value);
            }
        }
    }
}

/// RabbitMQ's parts are Erlang's. These are what the broker itself counts.
fn write_memory(text: &mut Text<impl Write>, api: &Arc<Api>) {
    let (seen, process) = (api.broker.overview(), Process::look());
    let counted = seen.resident_bytes + seen.body_bytes;
    text.begin_names_with("stoa_memory_");
    for (name, help, value) in [
        ("messages_bytes", "Octets of messages in memory", seen.resident_bytes),
        ("bodies_bytes", "Octets of large bodies in memory", seen.body_bytes),
        (
            "other_bytes",
            "What else the process uses: buffers, indexes, caches, code",
            process.resident.saturating_sub(counted),
        ),
        ("total_bytes", "Memory that the process uses", process.resident),
    ] {
        text.single(name, Gauge, help, value);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_first_that_is_accepted_of_two() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2";
        for (accept, expected) in [
            (None, Some(Format::Text)),
            (Some("*/*"), Some(Format::Text)),
            (Some(prometheus), Some(Format::Text)),
            (Some("application/openmetrics-text; version=1.0.0"), Some(Format::OpenMetrics)),
            (Some("application/openmetrics-text, */*;q=0"), Some(Format::OpenMetrics)),
            (Some("application/json"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(format(&headers), expected, "{accept:?}");
        }
        let gzip = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(gzip("gzip") && gzip("deflate, gzip;q=0.5") && !gzip("gzip;q=0") && !gzip("br"));
    }
}
