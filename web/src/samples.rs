//! Samples of counters, from which rates and charts come.
//!
//! Once an interval the counters of everything are read. A point is kept only where something has changed, so what is idle costs nothing; the number
//! of points in all is bounded, and what is bounded is how far back they go.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use stoa_server::{ChannelView, ConnectionId, ExchangeTraffic, ManagementConfig, Overview, QueueId, QueueTally};

use crate::Api;
use crate::nodes::milliseconds;
use crate::query::Query;
use crate::sampled::{self, BESIDE, CHANNEL, MESSAGES, NODE, OCTETS, OF_MESSAGES, OUT, RATES, READY, THROUGH};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    /// All queues together.
    All,
    /// The broker, beside them.
    Broker,
    /// What the process uses.
    Node,
    Queue(QueueId),
    /// Dead letters out of a queue.
    Dead(QueueId),
    /// By the number that its traffic has.
    Exchange(u64),
    Connection(ConnectionId),
    Channel(ConnectionId, u16),
    Vhost(Arc<str>),
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
    node: Option<(u64, u64)>,
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
            node: pair("node_stats"),
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
            seen.insert(of.clone());
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
    fn put(&self, into: &mut Map<String, Value>, of: &Of, names: &[&str], first: usize, now: Option<&[u64]>, age: Option<(u64, u64)>) {
        let kept = self.kept.lock();
        let series = kept.series.get(of);
        for (place, name) in names.iter().enumerate().map(|(n, name)| (n + first, name)) {
            let at = |tick: u64| series.and_then(|series| series.at(tick)).map(|values| values[place]);
            let last = at(kept.tick);
            let is_length = *of == Of::Node || name.starts_with("messages");
            let current = now.and_then(|now| now.get(place).copied()).or(last).unwrap_or(0);
            into.insert((*name).to_owned(), current.into());
            into.insert(format!("{name}_details"), self.details(&kept, at, age, is_length));
        }
    }

    fn details(&self, kept: &Kept, at: impl Fn(u64) -> Option<u64>, age: Option<(u64, u64)>, is_length: bool) -> Value {
        let interval = self.interval.as_secs_f64();
        // What was counted goes back only when something that was counted is gone.
        let least = if is_length { f64::NEG_INFINITY } else { 0.0 };
        let rate = |newer: Option<u64>, older: Option<u64>, seconds: f64| match (newer, older) {
            (Some(newer), Some(older)) if seconds > 0.0 => ((newer as f64 - older as f64) / seconds).max(least),
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

    /// `message_stats`, and how many messages there are, of a queue, of a virtual host or of all.
    pub(crate) fn messages(&self, of: &Of, tally: &QueueTally, ages: Ages) -> (Map<String, Value>, Map<String, Value>) {
        let now = sampled::messages(tally);
        let (mut stats, mut lengths) = (Map::new(), Map::new());
        self.put(&mut stats, of, &MESSAGES[..RATES], 0, Some(&now), ages.rates);
        self.put(&mut lengths, of, &MESSAGES[RATES..], RATES, Some(&now), ages.lengths);
        (stats, lengths)
    }

    /// What else there is for the broker's `message_stats`, and its `churn_rates`.
    pub(crate) fn beside(&self, seen: &Overview, ages: Ages) -> (Map<String, Value>, Map<String, Value>) {
        let now = sampled::beside(seen);
        let (mut stats, mut churn) = (Map::new(), Map::new());
        self.put(&mut stats, &Of::Broker, &BESIDE[..OF_MESSAGES], 0, Some(&now), ages.rates);
        self.put(&mut churn, &Of::Broker, &BESIDE[OF_MESSAGES..], OF_MESSAGES, Some(&now), ages.rates);
        (stats, churn)
    }

    /// `message_stats` of an exchange.
    pub(crate) fn through(&self, traffic: &ExchangeTraffic, ages: Ages) -> Map<String, Value> {
        let mut stats = Map::new();
        let now = sampled::through(traffic);
        self.put(&mut stats, &Of::Exchange(traffic.id), &THROUGH, 0, Some(&now), ages.rates);
        stats
    }

    /// `message_stats` of a channel.
    pub(crate) fn channel(&self, view: &ChannelView, ages: Ages) -> Map<String, Value> {
        let mut stats = Map::new();
        let now = sampled::channel(&view.traffic);
        self.put(
            &mut stats,
            &Of::Channel(view.connection, view.number),
            &CHANNEL,
            0,
            Some(&now),
            ages.rates,
        );
        stats
    }

    /// What the process uses.
    pub(crate) fn node(&self, now: &[u64; NODE.len()], ages: Ages) -> Map<String, Value> {
        let mut figures = Map::new();
        self.put(&mut figures, &Of::Node, &NODE, 0, Some(now), ages.node);
        figures
    }

    /// `recv_oct` and `send_oct` of a connection.
    pub(crate) fn octets(&self, of: &Of, now: [u64; 2], ages: Ages) -> Map<String, Value> {
        let mut octets = Map::new();
        self.put(&mut octets, of, &OCTETS, 0, Some(&now), ages.octets);
        octets
    }

    /// The same of a virtual host, behind what its messages do.
    pub(crate) fn octets_of_vhost(&self, of: &Of, now: [u64; 2], ages: Ages) -> Map<String, Value> {
        let mut octets = Map::new();
        let mut values = [0; MESSAGES.len() + OCTETS.len()];
        values[MESSAGES.len()..].copy_from_slice(&now);
        self.put(&mut octets, of, &OCTETS, MESSAGES.len(), Some(&values), ages.octets);
        octets
    }

    /// When something was last seen to change, in milliseconds since 1970; `None` if that was only now, or never.
    pub(crate) fn idle_since_ms(&self, of: &Of) -> Option<u64> {
        let kept = self.kept.lock();
        let (changed, _) = kept.series.get(of)?.points.back()?;
        let back = kept.tick.checked_sub(*changed).filter(|back| *back > 0)?;
        Some(kept.taken_ms.saturating_sub(back * self.interval.as_millis() as u64))
    }

    /// How much of the last minute a queue's consumers could have taken more, 0 to 1: of how many samples no message was ready, because as long as a
    /// consumer takes more, none is.
    pub(crate) fn capacity(&self, queue: QueueId, tally: &QueueTally) -> f64 {
        if tally.consumers == 0 {
            return 0.0;
        }
        let kept = self.kept.lock();
        let back = (TREND.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u64;
        let series = kept.series.get(&Of::Queue(queue));
        let ticks = kept.tick.saturating_sub(back).max(1)..=kept.tick;
        let before = ticks.filter_map(|tick| Some(series?.at(tick)?[READY]));
        let ready: Vec<u64> = before.chain([tally.ready]).collect();
        ready.iter().filter(|ready| **ready == 0).count() as f64 / ready.len() as f64
    }

    /// How many more there were a second over the last minute, or as far as samples go back, of what something has one counter of.
    pub(crate) fn growth(&self, of: &Of) -> f64 {
        let kept = self.kept.lock();
        let back = (TREND.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u64;
        let from = kept.tick.saturating_sub(back).max(1);
        let counted = |tick: u64| kept.series.get(of).and_then(|series| series.at(tick)).map_or(0, |values| values[0]);
        let seconds = (kept.tick.saturating_sub(from)) as f64 * self.interval.as_secs_f64();
        if seconds > 0.0 {
            counted(kept.tick).saturating_sub(counted(from)) as f64 / seconds
        } else {
            0.0
        }
    }

    /// Which way the queues go.
    pub(crate) fn trends(&self, queues: impl Iterator<Item = QueueId>) -> Vec<Trend> {
        let kept = self.kept.lock();
        let back = (TREND.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u64;
        let from = kept.tick.saturating_sub(back).max(1);
        let trend = |queue| {
            kept.series
                .get(&Of::Queue(queue))
                .map_or_else(Trend::default, |series| self.trend(series, from, kept.tick))
        };
        queues.map(trend).collect()
    }

    /// From one sample to another; a queue that was not there yet in the first had nothing in it then, and what came before the first sample of all is
    /// not known.
    fn trend(&self, series: &Series, from: u64, to: u64) -> Trend {
        const NOTHING: [u64; MESSAGES.len()] = [0; MESSAGES.len()];
        let first = series.points.front().map_or(to, |(tick, _)| *tick);
        let (from, older) = match series.at(from) {
            Some(older) => (from, older),
            None => (first - 1, &NOTHING[..]),
        };
        let seconds = (to - from) as f64 * self.interval.as_secs_f64();
        match series.at(to) {
            Some(newer) if seconds > 0.0 => {
                let change = |place: usize| (newer[place] as f64 - older[place] as f64) / seconds;
                Trend {
                    growth: change(RATES),
                    out: change(OUT),
                }
            }
            _ => Trend::default(),
        }
    }
}

/// Takes samples for ever.
pub(crate) async fn run(api: Arc<Api>) {
    let mut turns = tokio::time::interval(api.config().sample_interval);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        api.samples.take(sampled::take(&api).into_iter());
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
        let (stats, _) = samples.messages(&Of::Queue(QueueId(1)), &tally, Ages::of(&Query::parse(query)));
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

    #[test]
    fn a_queue_that_is_new_has_a_trend_and_one_that_rests_says_since_when() {
        let samples = samples(1000);
        let messages = |samples: &Samples, queues: &[(u64, u64, u64)]| {
            let point = |(id, ready, out): &(u64, u64, u64)| {
                let mut values = vec![0; MESSAGES.len()];
                (values[RATES], values[READY], values[OUT]) = (*ready, *ready, *out);
                (Of::Queue(QueueId(*id)), values)
            };
            samples.take(queues.iter().map(point));
        };
        let trend = |samples: &Samples, id| samples.trends(std::iter::once(QueueId(id)))[0];
        messages(&samples, &[(1, 100, 0)]);
        assert_eq!(
            trend(&samples, 1),
            Trend::default(),
            "what was before the first sample is not known"
        );
        messages(&samples, &[(1, 100, 0), (2, 50, 10)]);
        assert_eq!(
            trend(&samples, 2),
            Trend { growth: 10.0, out: 2.0 },
            "within five seconds, from nothing"
        );
        messages(&samples, &[(1, 100, 0), (2, 0, 60)]);
        assert_eq!(trend(&samples, 2), Trend { growth: 0.0, out: 6.0 });
        assert_eq!(trend(&samples, 1), Trend::default());
        let taken = samples.kept.lock().taken_ms;
        assert_eq!(samples.idle_since_ms(&Of::Queue(QueueId(1))), Some(taken - 10_000));
        assert_eq!(samples.idle_since_ms(&Of::Queue(QueueId(2))), None);
        let tally = QueueTally {
            consumers: 1,
            ..QueueTally::default()
        };
        assert_eq!(samples.capacity(QueueId(2), &tally), 2.0 / 3.0);
        assert_eq!(
            samples.capacity(QueueId(2), &QueueTally::default()),
            0.0,
            "nobody is there to take any"
        );
    }
}
