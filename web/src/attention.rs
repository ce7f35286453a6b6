//! `GET /api/attention`: what needs somebody now. An extension of Stoa's, made for the dashboard: one request, and the answer is small however many queues there are.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{ConsumerView, QueueView};

use crate::auth::Caller;
use crate::listing;
use crate::query::Query;
use crate::samples::{Of, Trend};
use crate::{Api, Site, connections, unacked};

/// Queues of each kind that are named.
const NAMED_MAX: usize = 5;
/// Fewer messages than these are no backlog.
const BACKLOG_MIN: u64 = 100;
/// A queue that gains less a second is not growing.
const GROWTH_MIN: f64 = 1.0;
/// Without a consumer, so many messages are worth a look even if they do not become more.
const LEFT_MIN: u64 = 1000;

/// Those with the greatest `rank`, the greatest first; without a rank they are left out.
fn greatest(queues: &[(QueueView, Trend)], rank: impl Fn(&QueueView, &Trend) -> Option<f64>) -> Vec<&(QueueView, Trend)> {
    let mut ranked: Vec<_> = queues.iter().filter_map(|queue| Some((rank(&queue.0, &queue.1)?, queue))).collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.into_iter().take(NAMED_MAX).map(|(_, queue)| queue).collect()
}

fn held(view: &QueueView) -> u64 {
    view.counts.ready + view.counts.unacked
}

fn show((view, trend): &(QueueView, Trend)) -> Value {
    let messages = held(view);
    json!({
        "vhost": &*view.queue.vhost,
        "name": view.queue.name.as_str_lossy(),
        "messages": messages,
        "rate": trend.growth,
        "consumers": view.counts.consumers,
        // If nothing more came.
        "drain_seconds": (trend.out > 0.0).then(|| messages as f64 / trend.out),
    })
}

/// Consumers that have taken as much as they may for so much of the last minute do not keep up.
const CAPACITY_MIN: f64 = 0.1;

/// Queues that messages leave dead, the most a second first.
fn dead_letters(api: &Api, queues: &[(QueueView, Trend)]) -> Vec<Value> {
    let dead: HashMap<_, _> = api.broker.dead_letters().into_iter().collect();
    let of = |(view, _): &&(QueueView, Trend)| dead.get(&view.queue.id).copied();
    let mut rated: Vec<_> = queues
        .iter()
        .filter_map(|queue| Some((of(&queue)?, api.samples.growth(&Of::Dead(queue.0.queue.id)), queue)))
        .filter(|(_, rate, _)| *rate > 0.0)
        .collect();
    rated.sort_by(|(_, a, _), (_, b, _)| b.total_cmp(a));
    let show = |(count, rate, (view, _)): (u64, f64, &(QueueView, Trend))| json!({"vhost": &*view.queue.vhost, "name": view.queue.name.as_str_lossy(), "dead": count, "rate": rate});
    rated.into_iter().take(NAMED_MAX).map(show).collect()
}

/// The message that is held the longest, and who holds it.
fn longest_held(api: &Api, caller: &Caller, queues: &[(QueueView, Trend)]) -> Option<Value> {
    let (queue, message, now) = api.broker.longest_held(|vhost| caller.sees(&api.broker, vhost))?;
    let (view, _) = queues.iter().find(|(view, _)| view.queue.id == queue)?;
    let mut shown = unacked::unacked(&message, Some(now));
    shown["vhost"] = json!(&*view.queue.vhost);
    shown["queue"] = json!(view.queue.name.as_str_lossy());
    Some(shown)
}

/// Consumers that hold as much as they may while messages wait for them, of the queues where the most wait.
fn slow_consumers(api: &Api, queues: &[(QueueView, Trend)]) -> Vec<Value> {
    let is_slow = |view: &QueueView| {
        view.counts.consumers > 0 && view.counts.ready >= BACKLOG_MIN && api.samples.capacity(view.queue.id, &view.tally()) <= CAPACITY_MIN
    };
    let slow: Vec<QueueView> = greatest(queues, |view, _| is_slow(view).then_some(view.counts.ready as f64))
        .into_iter()
        .map(|(view, _)| view.clone())
        .collect();
    if slow.is_empty() {
        return Vec::new();
    }
    let connections: HashMap<_, _> = api.broker.connections().into_iter().map(|view| (view.id, view)).collect();
    let consumers = api.broker.consumers(&slow);
    let full = consumers
        .iter()
        .filter(|view| view.prefetch > 0 && view.unacked >= view.prefetch.into());
    let show = |view: &ConsumerView| {
        json!({
            "vhost": &*view.queue.vhost,
            "queue": view.queue.name.as_str_lossy(),
            "consumer_tag": view.tag.as_str_lossy(),
            "connection": connections.get(&view.connection).map(connections::name),
            "channel": view.channel,
            "unacknowledged": view.unacked,
            "prefetch_count": view.prefetch,
        })
    };
    full.take(NAMED_MAX).map(show).collect()
}

/// What needs somebody, of what the caller may see.
pub(crate) async fn get(State(api): Site, caller: Caller, query: Query) -> Response {
    let mut views = api.broker.queues(None);
    views.retain(|view| caller.sees(&api.broker, &view.queue.vhost));
    let trends = api.samples.trends(views.iter().map(|view| view.queue.id));
    let queues: Vec<_> = views.into_iter().zip(trends).collect();
    let status = api.broker.overview();
    let alarms = [(status.alarms.disk, "disk"), (status.alarms.memory, "memory")];
    let raised: Vec<_> = alarms.iter().filter(|(is_raised, _)| *is_raised).map(|(_, name)| name).collect();
    let blocked = api.broker.connections().iter().filter(|view| view.blocked).count();
    let named = |rank: fn(&QueueView, &Trend) -> Option<f64>| -> Vec<Value> { greatest(&queues, rank).into_iter().map(show).collect() };
    let value = json!({
        "store_failed": status.commit.failed,
        "alarms": raised,
        "blocked_connections": blocked,
        "growing": named(|view, trend| {
            (view.counts.consumers > 0 && held(view) >= BACKLOG_MIN && trend.growth >= GROWTH_MIN).then_some(trend.growth)
        }),
        "unconsumed": named(|view, trend| {
            let is_left = view.counts.ready >= LEFT_MIN || (view.counts.ready >= BACKLOG_MIN && trend.growth >= GROWTH_MIN);
            (view.counts.consumers == 0 && is_left).then_some(view.counts.ready as f64)
        }),
        "dead_letters": dead_letters(&api, &queues),
        "longest_held": longest_held(&api, &caller, &queues),
        "slow_consumers": slow_consumers(&api, &queues),
        "largest": named(|view, _| (held(view) > 0).then_some(held(view) as f64)),
    });
    listing::object(value, &query)
}
