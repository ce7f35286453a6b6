//! The topology from what the store holds, and what the store must hold of it.

use super::access::{self, User};
use super::bindings::{Binding, Destination};
use super::change::{Change, KEY_PREFIX, Kind, Record, RestoreError};
use super::description::Description;
use super::exchange::{Exchange, ExchangeKind};
use super::holding::{OwnQueues, Purpose};
use super::limits::LimitOf;
use super::parameters;
use super::password::{Hashing, PasswordHash};
use super::permissions::{Permissions, without_permission};
use super::policy::PolicyKind;
use super::queue::{PAUSED, Queue};
use super::queue_arguments::QueueType;
use super::topic_permissions;
use super::vhost::{self, Vhost, binding_key};
use super::{Permission, Resource, ResourceKind, Topology};
use crate::ids::QueueId;
use std::sync::Arc;
use stoa_amqp::{Table, Value};

impl Topology {
    /// The topology that left these keys and values in the store, in any order; of a key that comes twice, the later counts. Keys that do not
    /// begin with [`KEY_PREFIX`] are somebody else's and left alone.
    ///
    /// # Errors
    /// If a record cannot be understood, or speaks of something that is not there. Nothing is skipped in silence.
    pub fn restore<K: AsRef<[u8]>, V: AsRef<[u8]>>(records: impl IntoIterator<Item = (K, V)>) -> Result<Self, RestoreError> {
        let is_own = |(key, _): &(K, V)| key.as_ref().first() == Some(&KEY_PREFIX);
        let mut records: Vec<_> = records.into_iter().filter(is_own).collect();
        // The kinds are numbered so that whatever a record speaks of comes before it.
        records.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let mut topology = Self::new();
        for (at, (key, value)) in records.iter().enumerate() {
            let key = key.as_ref();
            if records.get(at + 1).is_none_or(|(next, _)| next.as_ref() != key) {
                topology.take(Record::read(key, value.as_ref())?)?;
            }
        }
        let governed = topology.vhosts.values().filter(|vhost| !vhost.policies.is_empty());
        for vhost in governed.map(|vhost| vhost.name.clone()).collect::<Vec<_>>() {
            topology.apply_policies(&vhost);
        }
        Ok(topology)
    }

    fn take(&mut self, mut record: Record<'_>) -> Result<(), RestoreError> {
        match record.kind {
            Kind::Ids => {
                self.ids.reserved = record.number("reserved")?;
                self.ids.next = self.ids.reserved;
            }
            Kind::Vhost => {
                let name = record.text()?;
                if record.flag("deleted") {
                    self.delete_vhost(name, &mut Vec::new());
                } else {
                    self.add_vhost(name, &mut Vec::new())
                        .map_err(|_| record.error("has no valid name"))?;
                    self.describe_vhost(name, Description::read(&record), &mut Vec::new())
                        .map_err(|_| record.error("has a default queue type that this Stoa does not know"))?;
                }
            }
            Kind::User => self.take_user(&mut record)?,
            Kind::Permission => self.take_permission(&mut record)?,
            Kind::Exchange => {
                let vhost = vhost_of(self, &mut record)?;
                let exchange = exchange(vhost, &mut record)?;
                if exchange.own.iter().any(|(_, queue)| queue.0 >= self.ids.reserved) {
                    return Err(record.error("has an id that was never given out"));
                }
                self.add_exchange(exchange);
            }
            Kind::Queue => {
                let vhost = vhost_of(self, &mut record)?;
                let queue = queue(vhost, &mut record)?;
                if queue.id.0 >= self.ids.reserved {
                    return Err(record.error("has an id that was never given out"));
                }
                let id = queue.id;
                self.add_queue(Arc::new(queue));
                if record.flag(PAUSED) {
                    self.set_paused(id, true);
                }
            }
            Kind::Binding => {
                let vhost = vhost_of(self, &mut record)?;
                let binding = binding(&mut record)?;
                let source = vhost.exchange_id(binding.source.as_bytes());
                let source = source.ok_or_else(|| record.error("binds to an exchange that is not there"))?;
                let target = vhost.target(&binding.destination);
                let target = target.ok_or_else(|| record.error("binds a queue or exchange that is not there"))?;
                vhost.bind(binding, source, target, true);
            }
            Kind::Policy => self.restore_policy(PolicyKind::User, &mut record)?,
            Kind::OperatorPolicy => self.restore_policy(PolicyKind::Operator, &mut record)?,
            Kind::VhostLimits => self.restore_limits(LimitOf::Vhost, &mut record)?,
            Kind::UserLimits => self.restore_limits(LimitOf::User, &mut record)?,
            Kind::TopicPermission => self.restore_topic_permissions(&mut record)?,
            Kind::Parameter => self.restore_parameter(&mut record)?,
            Kind::GlobalParameter => self.restore_global_parameter(&mut record)?,
        }
        Ok(())
    }

    fn take_user(&mut self, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let name = record.text()?;
        if record.flag("deleted") {
            self.restore_without_user(name);
            return Ok(());
        }
        let password = match record.string("hashing").map(Hashing::of_name) {
            None => record.octets("password-sha256").map(|octets| (Hashing::Sha256, octets)),
            Some(hashing) => {
                let hashing = hashing.ok_or_else(|| record.error("has a password hash of an unknown kind"))?;
                record.octets("password").map(|octets| (hashing, octets))
            }
        };
        let password = password.map(|(hashing, octets)| PasswordHash::from_bytes(hashing, octets));
        let password = password.map(|hash| hash.ok_or_else(|| record.error("has a password hash of the wrong size")));
        let tags = record.list("tags").iter().filter_map(Value::as_str).map(Into::into).collect();
        let mut user = User::new(name, password.transpose()?, tags);
        user.loopback_only = record.flag("loopback-only");
        self.restore_user(user);
        Ok(())
    }

    fn take_permission(&mut self, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let (vhost, user) = (record.text()?, record.text()?);
        let permissions = if record.flag("deleted") {
            None
        } else {
            let [configure, write, read] = [Permission::Configure, Permission::Write, Permission::Read]
                .map(|permission| record.string(&permission.to_string()).unwrap_or_default());
            let permissions = Permissions::new(configure, write, read);
            Some(permissions.map_err(|_| record.error("has a pattern that is no regular expression"))?)
        };
        let taken = self.restore_permissions(user, vhost, permissions);
        taken.map_err(|_| record.error("is of a user or virtual host that is not there"))
    }

    /// All that the store must hold of the topology, in the order of the keys: what the changes so far have left there.
    #[must_use]
    pub fn records(&self) -> Vec<Change> {
        let mut records = Vec::new();
        if self.ids.reserved > 1 {
            records.push(self.ids.record());
        }
        let new = Self::new();
        records.extend(
            new.vhosts()
                .filter(|name| !self.has_vhost(name))
                .map(|name| vhost::without_vhost(name)),
        );
        records.extend(self.vhosts.values().map(|vhost| vhost::described(&vhost.name, &vhost.description)));
        records.extend(self.vhosts.values().flat_map(parameters::records));
        records.extend(
            self.global_parameters
                .iter()
                .map(|(name, value)| parameters::global_record(name, value)),
        );
        for user in new.users() {
            if self.user(&user.name).is_none() {
                records.push(access::without_user(&user.name));
            }
            let gone = user.all_permissions().filter(|(vhost, _)| {
                let own = self.user(&user.name);
                own.is_none_or(|own| own.permissions(vhost).is_none())
            });
            records.extend(gone.map(|(vhost, _)| without_permission(vhost, &user.name)));
        }
        for user in self.users() {
            records.push(user.change());
            records.extend(
                user.all_permissions()
                    .map(|(vhost, permissions)| permissions.change(vhost, &user.name)),
            );
        }
        for of in [LimitOf::Vhost, LimitOf::User] {
            records.extend(self.all_limits(of).map(|(owner, limits)| limits.change(of, owner)));
        }
        records.extend(self.users().flat_map(|user| topic_permissions::records(user, None)));
        for vhost in self.vhosts.values() {
            let exchanges = self.exchanges(&vhost.name).filter(|exchange| exchange.is_recorded());
            records.extend(exchanges.map(|exchange| exchange.record()));
            let queues = vhost.queues.values().filter(|queue| queue.durable);
            records.extend(queues.map(|queue| queue.record(self.is_paused(queue.id))));
            records.extend(vhost.policies.records());
            let bindings = vhost.bindings.iter().filter(|bound| bound.durable);
            records.extend(bindings.map(|bound| Change::put(binding_key(&vhost.name, &bound.binding), &Table::new())));
        }
        records.retain(|record| record.value.is_some());
        records.sort_by(|a, b| a.key.cmp(&b.key));
        records
    }
}

fn vhost_of<'t>(topology: &'t mut Topology, record: &mut Record<'_>) -> Result<&'t mut Vhost, RestoreError> {
    let name = record.text()?;
    let vhost = topology.vhosts.get_mut(name);
    vhost.ok_or_else(|| record.error("is of a virtual host that is not there"))
}

fn exchange(vhost: &Vhost, record: &mut Record<'_>) -> Result<Exchange, RestoreError> {
    let name = record.name()?;
    let kind = record.string("type").and_then(|name| ExchangeKind::of_name(name.as_bytes()));
    let mut own = OwnQueues::default();
    for purpose in Purpose::ALL {
        // Those of an older Stoa, which knew nothing of the others, have none.
        if record.fields().get(purpose.field()).is_some() || purpose == Purpose::Delays && kind == Some(ExchangeKind::Delayed) {
            *own.of(purpose) = Some(QueueId(record.number(purpose.field())?));
        }
    }
    Ok(Exchange {
        name,
        vhost: vhost.name.clone(),
        kind: kind.ok_or_else(|| record.error("is of an unknown exchange type"))?,
        durable: true,
        auto_delete: record.flag("auto-delete"),
        internal: record.flag("internal"),
        arguments: record.table("arguments"),
        own,
    })
}

fn queue(vhost: &Vhost, record: &mut Record<'_>) -> Result<Queue, RestoreError> {
    let name = record.name()?;
    let arguments = record.table("arguments");
    let resource = Resource::new(ResourceKind::Queue, name.as_bytes(), &vhost.name);
    let view = QueueType::of(&arguments, &resource).and_then(|queue_type| queue_type.view(&arguments, &resource));
    Ok(Queue {
        view: view.map_err(|_| record.error("is a view that cannot be understood"))?,
        name,
        vhost: vhost.name.clone(),
        id: QueueId(record.number("id")?),
        durable: true,
        exclusive: None,
        auto_delete: record.flag("auto-delete"),
        arguments,
    })
}

fn binding(record: &mut Record<'_>) -> Result<Binding, RestoreError> {
    let source = record.name()?;
    let tag = record.octet()?;
    let destination = record.name()?;
    Ok(Binding {
        source,
        destination: match tag {
            b'q' => Destination::Queue(destination),
            b'e' => Destination::Exchange(destination),
            _ => return Err(record.error("binds something unknown")),
        },
        routing_key: record.name()?,
        arguments: Table::decode(record.rest()).map_err(|_| record.error("has arguments that cannot be read"))?,
    })
}
