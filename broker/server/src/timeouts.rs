//! Deliveries that consumers hold for too long (RabbitMQ: delivery acknowledgement timeout). Once a second every connection is asked, without its
//! lock, whether there can be any; those that say so look themselves, and close the channels that it concerns.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::broker::Broker;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// Goes round until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !broker.stopping.load(Ordering::SeqCst) {
        rounds.tick().await;
        let now = broker.timers.clock.now();
        for presence in broker.connections.lock().values() {
            presence.outlet.check_overdue(now);
        }
    }
}
