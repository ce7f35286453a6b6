//! How many connections each virtual host and user has, and how many channels: what limits of virtual hosts and users are held against.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use stoa_core::topology::{LimitOf, MAX_CHANNELS, MAX_CONNECTIONS, Topology};

/// The counts. Those of who has nothing are not kept.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections_of_vhost: HashMap<String, u64>,
    connections_of_user: HashMap<String, u64>,
    channels_of_user: HashMap<String, u64>,
}

/// A connection is not admitted: RabbitMQ's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is reached")]
    Vhost { vhost: String, user: String, limit: u64 },
    #[error("connection refused for user '{user}': user connection limit ({limit}) is reached")]
    User { user: String, limit: u64 },
}

/// A connection that counts, until it is released or dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    tallies: Arc<Tallies>,
    vhost: String,
    user: String,
    channels: u64,
    is_released: bool,
}

impl Tallies {
    /// Counts a connection in, if its virtual host and user may have one more.
    pub(crate) fn admit(self: &Arc<Self>, topology: &Topology, vhost: &str, user: &str) -> Result<Admission, Refused> {
        let limit = |of, owner| topology.limits(of, owner).and_then(|limits| limits.get(MAX_CONNECTIONS));
        let mut counts = self.0.lock();
        let full = |counts: &HashMap<String, u64>, owner: &str, limit: &u64| counts.get(owner).copied().unwrap_or(0) >= *limit;
        if let Some(limit) = limit(LimitOf::Vhost, vhost).filter(|limit| full(&counts.connections_of_vhost, vhost, limit)) {
            let (vhost, user) = (vhost.to_owned(), user.to_owned());
            return Err(Refused::Vhost { vhost, user, limit });
        }
        if let Some(limit) = limit(LimitOf::User, user).filter(|limit| full(&counts.connections_of_user, user, limit)) {
            return Err(Refused::User {
                user: user.to_owned(),
                limit,
            });
        }
        add(&mut counts.connections_of_vhost, vhost, 1);
        add(&mut counts.connections_of_user, user, 1);
        Ok(Admission {
            tallies: self.clone(),
            vhost: vhost.to_owned(),
            user: user.to_owned(),
            channels: 0,
            is_released: false,
        })
    }
}

impl Admission {
    /// Counts one more channel in. If the user has as many as it may, gives how many that is.
    pub(crate) fn open_channel(&mut self, topology: &Topology) -> Result<(), u64> {
        let limit = topology
            .limits(LimitOf::User, &self.user)
            .and_then(|limits| limits.get(MAX_CHANNELS));
        let mut counts = self.tallies.0.lock();
        let open = counts.channels_of_user.get(&self.user).copied().unwrap_or(0);
        if let Some(limit) = limit.filter(|limit| open >= *limit) {
            return Err(limit);
        }
        add(&mut counts.channels_of_user, &self.user, 1);
        self.channels += 1;
        Ok(())
    }

    /// A channel is gone.
    pub(crate) fn close_channel(&mut self) {
        if self.channels > 0 {
            self.channels -= 1;
            subtract(&mut self.tallies.0.lock().channels_of_user, &self.user, 1);
        }
    }

    /// The client has taken leave: when it hears that it may go, there is room for another.
    pub(crate) fn release(&mut self) {
        if std::mem::replace(&mut self.is_released, true) {
            return;
        }
        let mut counts = self.tallies.0.lock();
        subtract(&mut counts.connections_of_vhost, &self.vhost, 1);
        subtract(&mut counts.connections_of_user, &self.user, 1);
        subtract(&mut counts.channels_of_user, &self.user, std::mem::take(&mut self.channels));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.release();
    }
}

fn add(counts: &mut HashMap<String, u64>, owner: &str, count: u64) {
    *counts.entry_ref(owner).or_insert(0) += count;
}

fn subtract(counts: &mut HashMap<String, u64>, owner: &str, count: u64) {
    if let Some(held) = counts.get_mut(owner) {
        *held = held.saturating_sub(count);
        if *held == 0 {
            counts.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_amqp::Value;

    #[test]
    fn what_is_dropped_makes_room() {
        let (tallies, mut topology) = (Arc::new(Tallies::default()), Topology::new());
        let limit = |topology: &mut Topology, of, owner: &str, name, limit: i64| {
            topology.set_limit(of, owner, name, &Value::from(limit), &mut Vec::new()).ok();
        };
        limit(&mut topology, LimitOf::Vhost, "/", MAX_CONNECTIONS, 1);
        let first = tallies.admit(&topology, "/", "guest").ok();
        assert!(first.is_some());
        let mut first = first;
        let refused = tallies
            .admit(&topology, "/", "guest")
            .map(drop)
            .map_err(|refused| refused.to_string());
        let text = "access to vhost '/' refused for user 'guest': connection limit (1) is reached";
        assert_eq!(refused, Err(text.to_owned()));
        first.iter_mut().for_each(Admission::release);
        assert!(tallies.admit(&topology, "/", "guest").is_ok());
        drop(first);
        assert!(tallies.0.lock().connections_of_user.is_empty(), "counted out once");
        limit(&mut topology, LimitOf::User, "guest", MAX_CHANNELS, 2);
        let mut admission = tallies.admit(&topology, "/", "guest").ok();
        let mut open = || admission.as_mut().map(|admission| admission.open_channel(&topology));
        assert_eq!([open(), open(), open()], [Some(Ok(())), Some(Ok(())), Some(Err(2))]);
        admission.iter_mut().for_each(Admission::close_channel);
        let mut open = || admission.as_mut().map(|admission| admission.open_channel(&topology));
        assert_eq!([open(), open()], [Some(Ok(())), Some(Err(2))]);
        drop(admission);
        assert!(tallies.0.lock().channels_of_user.is_empty());
        limit(&mut topology, LimitOf::Vhost, "/", MAX_CONNECTIONS, -1);
        limit(&mut topology, LimitOf::User, "guest", MAX_CONNECTIONS, 0);
        let refused = tallies
            .admit(&topology, "/", "guest")
            .map(drop)
            .map_err(|refused| refused.to_string());
        assert_eq!(
            refused,
            Err("connection refused for user 'guest': user connection limit (0) is reached".to_owned())
        );
    }
}
