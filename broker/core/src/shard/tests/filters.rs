//! Consumers that get only what their filter lets through.

use super::*;
use crate::space::Template;

/// A filter on the header `c`.
fn only(value: &str) -> Option<Arc<Template>> {
    json(&format!(r#"{{"c": "{value}"}}"#))
}

fn json(template: &str) -> Option<Arc<Template>> {
    Some(Arc::new(Template::from_json(template.as_bytes()).expect("a template")))
}

fn queue(change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::set(ShardLimits::default(), change)
}

fn plain() -> Bench {
    queue(|_| ())
}

impl Bench {
    fn filtered(&mut self, id: u64, value: &str, prefetch: u16) {
        self.consume(id, |consumer| (consumer.filter, consumer.prefetch) = (only(value), prefetch));
        self.dispatch();
    }

    fn colours(&mut self, values: &[&str]) {
        self.headed("c", values);
        self.dispatch();
    }

    fn acked(&mut self, consumer: u64, number: u64) {
        self.settle(consumer, self.place(number), 1);
        self.dispatch();
    }

    fn returned(&mut self, consumer: u64, number: u64) {
        self.requeue(consumer, self.place(number), 1);
        self.dispatch();
    }
}

#[test]
fn a_consumer_gets_what_its_filter_lets_through_in_order() {
    let mut t = plain();
    t.filtered(1, "red", 0);
    t.colours(&["blue", "red", "", "red", "blue"]);
    t.expect(&["1 <- 1", "1 <- 3"]);
    t.expect_counts(3, 2);
    t.filtered(2, "blue", 0);
    t.expect(&["2 <- 0", "2 <- 4"]);
    t.colours(&["blue", "red"]);
    t.expect(&["1 <- 6", "2 <- 5"]);
    // What nobody wanted is for whoever takes anything, and was not delivered before.
    t.consume(3, |_| ());
    t.dispatch();
    t.expect(&["3 <- 2"]);
}

#[test]
fn messages_without_headers_are_like_a_template_that_asks_for_absence() {
    let mut t = plain();
    t.publish(2);
    t.consume(1, |consumer| consumer.filter = json(r#"{"c": {"exists": true}}"#));
    t.consume(2, |consumer| consumer.filter = json(r#"{"c": {"exists": false}}"#));
    t.dispatch();
    t.expect(&["2 <- 0", "2 <- 1"]);
}

#[test]
fn equals_take_turns_and_one_without_credit_holds_nobody_up() {
    let mut t = plain();
    t.filtered(1, "red", 1);
    t.filtered(2, "red", 1);
    t.consume(3, |consumer| consumer.prefetch = 1);
    t.colours(&["red", "red", "red", "red", "blue", "red"]);
    t.expect(&["1 <- 0", "2 <- 1", "3 <- 2"]);
    t.acked(3, 2);
    t.expect(&["3 <- 3"]);
    t.acked(3, 3);
    t.expect(&["3 <- 4"]);
    t.acked(1, 0);
    t.expect(&["1 <- 5"]);
    t.acked(2, 1);
    t.expect(&[]);
    t.expect_counts(0, 2);
}

#[test]
fn what_comes_back_is_looked_at_again_at_its_place() {
    let mut t = plain();
    t.filtered(1, "red", 3);
    t.colours(&["red", "blue", "red", "red", "red"]);
    t.expect(&["1 <- 0", "1 <- 2", "1 <- 3"]);
    t.requeue(1, t.place(2), 2);
    t.dispatch();
    t.expect(&["1 <- 2 again", "1 <- 3 again"]);
    t.apply(Command::Gone { outlet: ConnectionId(1) });
    t.requeue(1, t.place(0), 4);
    t.filtered(2, "red", 0);
    t.expect(&["2 <- 0 again", "2 <- 2 again", "2 <- 3 again", "2 <- 4"]);
    t.filtered(3, "blue", 0);
    t.expect(&["3 <- 1"]);
    t.returned(3, 1);
    t.expect(&["3 <- 1 again"]);
}

#[test]
fn a_higher_priority_looks_first() {
    let mut t = plain();
    t.consume(1, |consumer| {
        (consumer.filter, consumer.priority, consumer.prefetch) = (only("red"), 5, 2)
    });
    t.consume(2, |consumer| consumer.prefetch = 4);
    t.colours(&["blue", "red", "red", "red", "blue"]);
    t.expect(&["1 <- 1", "1 <- 2", "2 <- 0", "2 <- 3", "2 <- 4"]);
    t.acked(1, 1);
    t.colours(&["red", "blue"]);
    t.expect(&["1 <- 5", "2 <- 6"]);
}

#[test]
fn a_lower_priority_waits_for_what_a_higher_has_not_looked_at() {
    let mut t = Bench::set(
        ShardLimits {
            memory_bytes_max: 4_000,
            read_ahead_bytes: 1,
            ..ShardLimits::default()
        },
        |_| (),
    );
    let values: Vec<_> = (0..1000).map(|n| if n == 900 { "red" } else { "blue" }).collect();
    t.headed("c", &values);
    t.collect();
    t.dispatch();
    t.stored();
    t.consume(1, |consumer| (consumer.filter, consumer.priority) = (only("red"), 1));
    t.consume(2, |consumer| consumer.prefetch = 950);
    t.dispatch();
    t.load_all();
    let lines = std::mem::take(&mut t.sink.lines);
    let deliveries: Vec<_> = lines.iter().filter(|line| line.contains("<-")).collect();
    assert_eq!(deliveries.len(), 951, "all that can go out goes");
    assert!(deliveries.contains(&&"1 <- 900".to_string()));
    t.expect_counts(49, 951);
}

#[test]
fn priorities_of_messages_come_first() {
    let mut t = queue(|settings| settings.priority_max = Some(1));
    t.headed("c", &["red", "blue", "+blue", "+red", "red"]);
    t.filtered(1, "red", 0);
    t.expect(&["1 <- 3", "1 <- 0", "1 <- 4"]);
    t.colours(&["+red", "blue"]);
    t.expect(&["1 <- 5"]);
    assert_eq!(t.get(false), Ok((2, false)), "the oldest of the highest priority");
    assert_eq!(t.get(false), Ok((1, false)));
    t.consume(2, |_| ());
    t.dispatch();
    t.expect(&["2 <- 6"]);
}

#[test]
fn the_single_active_consumer_has_a_filter_and_the_next_one_another() {
    let mut t = queue(|settings| settings.single_active = true);
    t.filtered(1, "red", 0);
    t.filtered(2, "blue", 0);
    t.colours(&["blue", "red"]);
    t.expect(&["1 <- 1"]);
    assert!(t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink));
    t.dispatch();
    t.expect(&["2 <- 0"]);
}

#[test]
fn credit_comes_back_to_the_message_that_waited_for_it() {
    let mut t = plain();
    t.sink.credit = Some(1);
    t.consume(1, |consumer| (consumer.filter, consumer.limited) = (only("red"), true));
    t.colours(&["red", "blue", "red"]);
    t.expect(&["1 <- 0", "refused 1"]);
    t.consume(2, |_| ());
    t.colours(&[]);
    t.expect(&["2 <- 1", "2 <- 2"]);
    t.requeue(2, t.place(2), 1);
    t.apply(Command::Gone { outlet: ConnectionId(2) });
    t.sink.credit = Some(1);
    t.apply(Command::Lend {
        outlet: ConnectionId(1),
        channel: 1,
    });
    t.dispatch();
    t.expect(&["1 <- 2 again"]);
}

#[test]
fn what_was_passed_over_expires_is_dropped_purged_and_removed() {
    let mut t = queue(|settings| (settings.message_ttl_ms, settings.dead_letter) = (Some(50), dead_letters()));
    t.filtered(1, "red", 0);
    t.colours(&["blue", "red", "blue"]);
    t.expect(&["1 <- 1"]);
    t.advance(50);
    t.expect(&["dead 0: expired", "dead 2: expired"]);
    t.answer(true);

    let mut t = queue(|settings| settings.length_max = Some(2));
    t.filtered(1, "red", 0);
    t.colours(&["blue", "red", "green", "blue"]);
    t.expect(&["1 <- 1"]);
    t.filtered(2, "blue", 0);
    t.expect(&["2 <- 3"]);
    t.expect_counts(1, 2);
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 1);
    t.shard.invariants();
    t.colours(&["green", "red"]);
    t.expect(&["1 <- 5"]);
    assert_eq!(t.shard.remove(QUEUE, &[Sequence(4)], &mut t.sink), 1);
    t.shard.invariants();
    t.expect_counts(0, 3);
}

#[test]
fn a_retry_is_looked_at_again_when_its_time_has_come() {
    let mut t = queue(|settings| {
        settings.retry = Some(Retry {
            of: RetryOf::All,
            min_ms: 100,
            max_ms: 1000,
            multiplier_percent: None,
        });
    });
    t.filtered(1, "red", 0);
    t.colours(&["red", "blue", "red"]);
    t.expect(&["1 <- 0", "1 <- 2"]);
    t.returned(1, 0);
    t.expect(&[]);
    t.expect_all_counts(1, 1, 1, 0);
    t.advance(100);
    t.expect(&["1 <- 0 again after 1"]);
}

#[test]
fn what_is_on_disk_is_looked_at_once() {
    let mut t = Bench::set(
        ShardLimits {
            memory_bytes_max: 4_000,
            read_ahead_bytes: 1,
            ..ShardLimits::default()
        },
        |_| (),
    );
    let values: Vec<_> = (0..2000).map(|n| if n % 700 == 699 { "red" } else { "blue" }).collect();
    t.headed("c", &values);
    t.collect();
    t.dispatch();
    t.stored();
    t.filtered(1, "red", 0);
    t.load_all();
    let mut lines = std::mem::take(&mut t.sink.lines);
    lines.retain(|line| line.contains("<-"));
    assert_eq!(lines, ["1 <- 699", "1 <- 1399"]);
    // What it has passed over is not looked at for a new one.
    t.collect();
    t.dispatch();
    t.stored();
    t.sink.lines.clear();
    t.colours(&["red"]);
    t.load_all();
    t.sink.lines.retain(|line| line.contains("<-") || line.starts_with("load"));
    t.expect(&["1 <- 2000"]);
    t.returned(1, 699);
    t.load_all();
    t.sink.lines.retain(|line| line.contains("<-"));
    t.expect(&["1 <- 699 again"]);
}

#[test]
fn looking_stops_where_too_much_lies_apart_and_goes_on_when_some_went() {
    let limits = ShardLimits {
        skipped_max: 2,
        ..ShardLimits::default()
    };
    let mut t = Bench::set(limits, |_| ());
    t.filtered(1, "red", 0);
    t.colours(&["blue", "red", "blue", "red", "blue", "red"]);
    t.expect(&["1 <- 1"]);
    assert_eq!(t.get(true), Ok((0, false)));
    t.dispatch();
    t.expect(&["1 <- 3"]);
}

#[test]
fn groups_and_filters_exclude_each_other() {
    let mut t = queue(|settings| settings.group_by = Some(ShortString::from("g")));
    let refused = t.try_consume(1, |consumer| consumer.filter = only("red"));
    assert_eq!(refused, Err(ConsumeError::Grouped));

    // A policy that comes later waits.
    let mut t = plain();
    t.filtered(1, "red", 1);
    t.headed("c", &["blue", "blue", "red"]);
    t.dispatch();
    t.expect(&["1 <- 2"]);
    let grouped = Settings {
        group_by: Some(ShortString::from("c")),
        ..Settings::default()
    };
    t.shard.configure(QUEUE, Some(Arc::new(grouped)));
    t.colours(&[]);
    t.expect(&[]);
    assert!(t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink));
    t.shard.invariants();
    t.consume(2, |consumer| consumer.prefetch = 1);
    t.consume(3, |consumer| consumer.prefetch = 1);
    t.dispatch();
    t.expect(&["2 <- 0 again"]);
}

#[test]
fn many_that_came_back_are_looked_at_from_the_first_on() {
    let mut t = plain();
    t.filtered(1, "red", 1);
    t.consume(2, |consumer| (consumer.filter, consumer.prefetch) = (only("blue"), 0));
    let values: Vec<_> = (0..4000).map(|n| if n % 2 == 0 { "blue" } else { "red" }).collect();
    t.headed("c", &values);
    while t.shard.dispatch(&mut t.sink) {
        t.resume(2);
    }
    t.shard.invariants();
    // More ranges than a consumer keeps in mind.
    for number in (0..4000).step_by(2) {
        let first = t.sink.places[&number];
        t.shard.apply(
            Command::Requeue {
                queue: QUEUE,
                consumer: Some(ConsumerId(2)),
                first,
                count: 1,
                cause: ReturnCause::GivenBack,
            },
            &mut t.sink,
        );
    }
    t.sink.lines.clear();
    t.apply(Command::Gone { outlet: ConnectionId(2) });
    t.dispatch();
    t.expect(&[]);
    t.consume(3, |consumer| (consumer.filter, consumer.prefetch) = (only("blue"), 3));
    t.dispatch();
    t.expect(&["3 <- 0 again", "3 <- 2 again", "3 <- 4 again"]);
    t.acked(1, 1);
    t.expect(&["1 <- 3"]);
}
