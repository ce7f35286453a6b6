//! Setting and clearing policies, and what that changes in what is there.

use super::super::Topology;
use super::super::change::{Change, Record, RestoreError};
use super::super::vhost::Vhost;
use super::{Policy, PolicyError, PolicyKind, policy_key};
use crate::ids::QueueId;
use crate::settings::Settings;
use std::sync::Arc;
use stoa_amqp::Table;

/// The queues that are set to do something else than before, and what: their shards must be told.
pub type Reconfigured = Vec<(QueueId, Option<Arc<Settings>>)>;

impl Topology {
    /// Sets a policy, in place of one of the same name. `terms` has the fields of RabbitMQ's API: `pattern`, `definition`, `priority`, `apply-to`.
    ///
    /// # Errors
    /// With RabbitMQ's texts: see [`PolicyError`].
    pub fn set_policy(
        &mut self,
        kind: PolicyKind,
        vhost: &str,
        name: &str,
        terms: &Table,
        changes: &mut Vec<Change>,
    ) -> Result<Reconfigured, PolicyError> {
        let site = self.vhost_mut(vhost)?;
        if name.is_empty() || name.len() > 255 {
            return Err(PolicyError::Name(name.into()));
        }
        let policy = Policy::new(kind, &site.name, name, terms)?;
        changes.push(policy.record(kind));
        site.policies.put(kind, policy);
        Ok(self.apply_policies(vhost))
    }

    /// Takes a policy away. `None`: there is no such policy.
    pub fn clear_policy(&mut self, kind: PolicyKind, vhost: &str, name: &str, changes: &mut Vec<Change>) -> Option<Reconfigured> {
        let site = self.vhosts.get_mut(vhost)?;
        if !site.policies.remove(kind, name) {
            return None;
        }
        changes.push(Change::delete(policy_key(kind, vhost, name)));
        Some(self.apply_policies(vhost))
    }

    /// Finds anew which policies everything in a virtual host is under.
    pub(in super::super) fn apply_policies(&mut self, vhost: &str) -> Reconfigured {
        let Some(site) = self.vhosts.get_mut(vhost) else {
            return Vec::new();
        };
        site.apply_to_exchanges();
        let mut reconfigured = Vec::new();
        let mut moved = Vec::new();
        for queue in site.queues.values() {
            let governing = site.policies.of_queue(queue.queue_type(), &queue.name);
            let is_new = self.queues.get(&queue.id).is_none_or(|known| !known.governing.is(&governing));
            if is_new {
                moved.push((queue.clone(), governing));
            }
        }
        for (queue, governing) in moved {
            let settings = Self::settings_of(&queue, &governing, self.is_paused(queue.id));
            let settings = self.settings.share(settings);
            let Some(known) = self.queues.get_mut(&queue.id) else { continue };
            known.governing = governing;
            if known.settings != settings {
                known.settings.clone_from(&settings);
                reconfigured.push((queue.id, settings));
            }
        }
        reconfigured.sort_unstable_by_key(|(id, _)| *id);
        reconfigured
    }

    /// Takes in what the store has of a policy, without applying it yet.
    pub(in super::super) fn restore_policy(&mut self, kind: PolicyKind, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let (vhost, name) = (record.text()?, record.text()?);
        let site = self.vhosts.get_mut(vhost);
        let site = site.ok_or_else(|| record.error("is of a virtual host that is not there"))?;
        let policy = Policy::new(kind, &site.name, name, record.fields());
        site.policies
            .put(kind, policy.map_err(|_| record.error("is no policy that this Stoa knows"))?);
        Ok(())
    }
}

impl Vhost {
    fn apply_to_exchanges(&mut self) {
        let ids: Vec<_> = self.exchanges.values().copied().collect();
        for id in ids {
            let governing = self.policies.of_exchange(&self.node(id).exchange.name);
            self.node_mut(id).govern(governing);
        }
    }
}
