//! Samples of counters, from which rates and charts come.
//!
//! Once an interval the counters of everything are read. A point is kept only where something has changed, so what is idle costs nothing; the number
//! of points in all is bounded, and what is bounded is how far back they go.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use stoa_server::{ConnectionId, ManagementConfig, Overview, QueueId, QueueTally, Traffic};

use crate::Api;
use crate::nodes::milliseconds;
use crate::query::Query;

/// What is counted of a queue, and of all together, by RabbitMQ's names: first what `message_stats` has, then how much is there.
const MESSAGES: [&str; 12] = [
    "publish",
    "deliver_get",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "redeliver",
    "ack",
    "messages",
    "messages_ready",
    "messages_unacknowledged",
];
/// So many of them are rates, the others lengths.
const RATES: usize = 9;

/// What is counted of the broker beside its queues' messages: first what `message_stats` has, then `churn_rates`.
const BESIDE: [&str; 10] = [
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
];
/// So many of them are about messages.
const OF_MESSAGES: usize = 3;

/// In the order of [`BESIDE`].
fn beside(seen: &Overview) -> [u64; BESIDE.len()] {
    [
        seen.confirmed,
        seen.returned,
        seen.dropped,
        seen.connections_opened,
        seen.connections_closed,
        seen.channels_opened,
        seen.channels_closed,
        seen.queues_declared,
        seen.queues_created,
        seen.queues_deleted,
    ]
}

/// What is counted of a connection.
const OCTETS: [&str; 2] = ["recv_oct", "send_oct"];

/// The counters of one object over time.
#[derive(Debug, Default)]
struct Series {
    /// Which sample, and what was counted then; each different from the one before.
    points: VecDeque<(u64, Box<[u64]>)>,
}

impl Series {
    /// What was counted at a sample.
    fn at(&self, tick: u64) -> Option<&[u64]> {
        let behind = self.points.partition_point(|(at, _)| *at <= tick);
        let (_, values) = self.points.get(behind.checked_sub(1)?)?;
        Some(values)
    }

    /// Gives whether there is one point more.
    fn put(&mut self, tick: u64, values: &[u64]) -> bool {
        if self.points.back().is_some_and(|(_, last)| **last == *values) {
            return false;
        }
        self.points.push_back((tick, values.into()));
        true
    }

    /// Forgets what came to an end before a sample; gives how many points those were.
    fn forget(&mut self, before: u64) -> usize {
        let mut gone = 0;
        while self.points.get(1).is_some_and(|(at, _)| *at <= before) {
            self.points.pop_front();
            gone += 1;
        }
        gone
    }
}

/// Whose counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    /// All queues together.
    All,
    /// The broker, beside them.
    Broker,
    Queue(QueueId),
    Connection(ConnectionId),
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the last sample, and when it was taken.
    tick: u64,
    taken_ms: u64,
    series: HashMap<Of, Series>,
    points: usize,
}

/// All samples.
#[derive(Debug)]
pub(crate) struct Samples {
    interval: Duration,
    /// Samples that are kept of each.
    most: u64,
    /// Points that are kept of all.
    points_max: usize,
    kept: Mutex<Kept>,
}

/// Which part of the past is asked for with rates and lengths, in seconds: how far back, and in which steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ages {
    rates: Option<(u64, u64)>,
    lengths: Option<(u64, u64)>,
    octets: Option<(u64, u64)>,
}

impl Ages {
    pub(crate) fn of(query: &Query) -> Self {
        let pair = |name: &str| {
            let (age, step) = (query.number(&format!("{name}_age"))?, query.number(&format!("{name}_incr"))?);
            (step > 0 && age / step <= STEPS_MAX).then_some((age, step))
        };
        Self {
            rates: pair("msg_rates"),
            lengths: pair("lengths"),
            octets: pair("data_rates"),
        }
    }
}

/// How far back a trend looks.
const TREND: Duration = Duration::from_secs(60);

/// Which way a queue goes: messages a second over the last minute, or as far as samples go back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Trend {
    /// By how many there are more; negative if they become fewer.
    pub(crate) growth: f64,
    /// How many go out.
    pub(crate) out: f64,
}

/// Steps in one answer.
const STEPS_MAX: u64 = 2000;

/// A queue's counters, in the order of [`MESSAGES`].
fn values(traffic: &Traffic, ready: u64, unacked: u64) -> [u64; MESSAGES.len()] {
    let t = traffic;
    [
        t.published,
        t.out(),
        t.delivered,
        t.delivered_no_ack,
        t.got,
        t.got_no_ack,
        t.got_empty,
        t.redelivered,
        t.acked,
        ready + unacked,
        ready,
        unacked,
    ]
}

impl Samples {
    pub(crate) fn new(config: &ManagementConfig) -> Self {
        Self {
            interval: config.sample_interval,
            most: (config.sample_history.as_millis() / config.sample_interval.as_millis().max(1)) as u64,
            points_max: config.samples_max,
            kept: Mutex::default(),
        }
    }

    fn take(&self, all: impl Iterator<Item = (Of, Vec<u64>)>) {
        let mut kept = self.kept.lock();
        kept.tick += 1;
        kept.taken_ms = milliseconds(SystemTime::now());
        let Kept { tick, series, points, .. } = &mut *kept;
        let mut seen = std::collections::HashSet::new();
        for (of, values) in all {
            seen.insert(of);
            *points += usize::from(series.entry(of).or_default().put(*tick, &values));
        }
        series.retain(|of, series| {
            let stays = seen.contains(of);
            *points -= if stays { 0 } else { series.points.len() };
            stays
        });
        let mut history = self.most;
        loop {
            let before = tick.saturating_sub(history);
            *points -= series.values_mut().map(|series| series.forget(before)).sum::<usize>();
            if *points <= self.points_max || history <= 2 {
                return;
            }
            history /= 2;
        }
    }

    /// Puts the rates of some counters into an object: `publish` with `publish_details`, and so on.
    fn put(&self, into: &mut Map<String, Value>, of: Of, names: &[&str], first: usize, now: Option<&[u64]>, age: Option<(u64, u64)>) {
        let kept = self.kept.lock();
        let series = kept.series.get(&of);
        for (place, name) in names.iter().enumerate().map(|(n, name)| (n + first, name)) {
            let at = |tick: u64| series.and_then(|series| series.at(tick)).map(|values| values[place]);
            let last = at(kept.tick);
            let current = now.and_then(|now| now.get(place).copied()).or(last).unwrap_or(0);
            into.insert((*name).to_owned(), current.into());
            into.insert(format!("{name}_details"), self.details(&kept, at, age));
        }
    }

    fn details(&self, kept: &Kept, at: impl Fn(u64) -> Option<u64>, age: Option<(u64, u64)>) -> Value {
        let interval = self.interval.as_secs_f64();
        let rate = |newer: Option<u64>, older: Option<u64>, seconds: f64| match (newer, older) {
            (Some(newer), Some(older)) if seconds > 0.0 => (newer as f64 - older as f64) / seconds,
            _ => 0.0,
        };
        let mut details = json!({"rate": rate(at(kept.tick), at(kept.tick.saturating_sub(1)), interval)});
        let Some((age, step)) = age else { return details };
        let steps = (0..=age / step).map(|n| {
            let seconds = n * step;
            let back = (seconds as f64 / interval).round() as u64;
            (at(kept.tick.saturating_sub(back)), kept.taken_ms.saturating_sub(1000 * seconds))
        });
        let known: Vec<(u64, u64)> = steps.map_while(|(value, at_ms)| Some((value?, at_ms))).collect();
        let samples: Vec<Value> = known
            .iter()
            .map(|(value, at_ms)| json!({"sample": value, "timestamp": at_ms}))
            .collect();
        if let (Some((newest, _)), Some((oldest, _))) = (known.first(), known.last()) {
            let seconds = step as f64 * (known.len() - 1) as f64;
            details["avg_rate"] = rate(Some(*newest), Some(*oldest), seconds).into();
            details["avg"] = (known.iter().map(|(value, _)| *value as f64).sum::<f64>() / known.len() as f64).into();
        }
        details["samples"] = samples.into();
        details
    }

    /// `message_stats`, and how many messages there are, of a queue or of all.
    pub(crate) fn messages(&self, of: Of, tally: &QueueTally, ages: Ages) -> (Map<String, Value>, Map<String, Value>) {
        let now = values(&tally.traffic, tally.ready, tally.unacked);
        let (mut stats, mut lengths) = (Map::new(), Map::new());
        self.put(&mut stats, of, &MESSAGES[..RATES], 0, Some(&now), ages.rates);
        self.put(&mut lengths, of, &MESSAGES[RATES..], RATES, Some(&now), ages.lengths);
        (stats, lengths)
    }

    /// What else there is for the broker's `message_stats`, and its `churn_rates`.
    pub(crate) fn beside(&self, seen: &Overview, ages: Ages) -> (Map<String, Value>, Map<String, Value>) {
        let now = beside(seen);
        let (mut stats, mut churn) = (Map::new(), Map::new());
        self.put(&mut stats, Of::Broker, &BESIDE[..OF_MESSAGES], 0, Some(&now), ages.rates);
        self.put(&mut churn, Of::Broker, &BESIDE[OF_MESSAGES..], OF_MESSAGES, Some(&now), ages.rates);
        (stats, churn)
    }

    /// Which way the queues go.
    pub(crate) fn trends(&self, queues: impl Iterator<Item = QueueId>) -> Vec<Trend> {
        let kept = self.kept.lock();
        let back = (TREND.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u64;
        let from = kept.tick.saturating_sub(back).max(1);
        let seconds = (kept.tick.saturating_sub(from)) as f64 * self.interval.as_secs_f64();
        let trend = |queue| {
            let series = kept.series.get(&Of::Queue(queue));
            let at = |tick: u64| series.and_then(|series| series.at(tick));
            match (at(from), at(kept.tick)) {
                (Some(older), Some(newer)) if seconds > 0.0 => {
                    let change = |place: usize| (newer[place] as f64 - older[place] as f64) / seconds;
                    Trend {
                        growth: change(RATES),
                        out: change(1),
                    }
                }
                _ => Trend::default(),
            }
        };
        queues.map(trend).collect()
    }

    /// `recv_oct` and `send_oct` of a connection.
    pub(crate) fn octets(&self, of: Of, now: [u64; 2], ages: Ages) -> Map<String, Value> {
        let mut octets = Map::new();
        self.put(&mut octets, of, &OCTETS, 0, Some(&now), ages.octets);
        octets
    }
}

/// Takes samples for ever.
pub(crate) async fn run(api: Arc<Api>) {
    let mut turns = tokio::time::interval(api.config().sample_interval);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let tallies = api.broker.queue_tallies();
        let (total, seen) = (QueueTally::sum(&tallies), api.broker.overview());
        let queues = tallies
            .iter()
            .map(|tally| (Of::Queue(tally.queue), values(&tally.traffic, tally.ready, tally.unacked).to_vec()));
        let connections = api.broker.connections();
        let connections = connections
            .iter()
            .map(|view| (Of::Connection(view.id), vec![view.received, view.sent]));
        let all = (Of::All, values(&total.traffic, total.ready, total.unacked).to_vec());
        let broker = (Of::Broker, beside(&seen).to_vec());
        api.samples.take(queues.chain(connections).chain([all, broker]));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn samples(points_max: usize) -> Samples {
        Samples::new(&ManagementConfig {
            samples_max: points_max,
            ..ManagementConfig::default()
        })
    }

    fn take(samples: &Samples, queues: &[(u64, u64)]) {
        let point = |(id, published): &(u64, u64)| {
            let mut values = vec![0; MESSAGES.len()];
            values[0] = *published;
            (Of::Queue(QueueId(*id)), values)
        };
        samples.take(queues.iter().map(point));
    }

    fn publish(samples: &Samples, query: &str) -> Value {
        let tally = QueueTally::default();
        let (stats, _) = samples.messages(Of::Queue(QueueId(1)), &tally, Ages::of(&Query::parse(query)));
        stats["publish_details"].clone()
    }

    #[test]
    fn rates_are_of_the_last_interval_and_the_past_is_kept() {
        let samples = samples(1000);
        for published in [0, 10, 60, 60] {
            take(&samples, &[(1, published)]);
        }
        assert_eq!(publish(&samples, ""), json!({"rate": 0.0}), "nothing came in the last five seconds");
        take(&samples, &[(1, 85)]);
        assert_eq!(publish(&samples, ""), json!({"rate": 5.0}));
        let past = publish(&samples, "msg_rates_age=15&msg_rates_incr=5");
        let values: Vec<_> = past["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sample| sample["sample"].as_u64().unwrap())
            .collect();
        assert_eq!(values, [85, 60, 60, 10], "the newest first");
        assert_eq!(past["avg_rate"], 5.0);
        assert_eq!(samples.kept.lock().points, 4, "what does not change is kept once");
        take(&samples, &[]);
        assert_eq!(samples.kept.lock().points, 0, "what is gone is forgotten");
    }

    #[test]
    fn points_are_bounded() {
        let samples = samples(100);
        for published in 0..200 {
            take(&samples, &(0..10).map(|id| (id, published)).collect::<Vec<_>>());
            assert!(samples.kept.lock().points <= 110, "{published}");
        }
        assert_eq!(publish(&samples, ""), json!({"rate": 0.2}));
    }
}
