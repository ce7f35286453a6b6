//! Parameters that are set while the broker runs (RabbitMQ: runtime parameters): of a component in a virtual host, and global ones.
//!
//! What they mean is their component's business; here they are kept.

use super::change::{Change, Key, Kind, Record, RestoreError};
use super::{Topology, TopologyError};
use std::sync::Arc;
use stoa_amqp::{Table, Value};

/// Where a parameter is: component, and name.
pub(super) type ParameterName = (Box<str>, Box<str>);

/// A parameter of a component in a virtual host.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The virtual host.
    pub vhost: Arc<str>,
    /// Whose it is, such as `shovel`.
    pub component: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What it is set to.
    pub value: Value,
}

fn key(vhost: &str, component: &str, name: &str) -> Key {
    Key::new(Kind::Parameter).part(vhost).part(component).part(name)
}

fn global_key(name: &str) -> Key {
    Key::new(Kind::GlobalParameter).part(name)
}

fn put(key: Key, value: &Value) -> Change {
    let fields: Table = [("value", value.clone())].into_iter().collect();
    Change::put(key, &fields)
}

/// What the store must hold of the parameters of a virtual host.
pub(super) fn records<'v>(vhost: &'v super::vhost::Vhost) -> impl Iterator<Item = Change> + 'v {
    let all = vhost.parameters.iter();
    all.map(|((component, name), value)| put(key(&vhost.name, component, name), value))
}

/// What the store must hold of a global parameter.
pub(super) fn global_record(name: &str, value: &Value) -> Change {
    put(global_key(name), value)
}

fn check_name(name: &str) -> Result<(), TopologyError> {
    if name.is_empty() || name.len() > 255 {
        return Err(TopologyError::ParameterName(name.into()));
    }
    Ok(())
}

/// A record holds the value in a table.
fn check_value(name: &str, value: &Value) -> Result<(), TopologyError> {
    let as_table: Table = [("value", value.clone())].into_iter().collect();
    if as_table.depth() >= Table::DEPTH_MAX {
        return Err(TopologyError::ParameterDepth(name.into()));
    }
    Ok(())
}

impl Topology {
    /// Sets a parameter. Returns whether it is new.
    ///
    /// # Errors
    /// If there is no such virtual host, a name is empty or longer than 255 octets, or the value is nested too deep.
    pub fn set_parameter(
        &mut self,
        vhost: &str,
        component: &str,
        name: &str,
        value: &Value,
        changes: &mut Vec<Change>,
    ) -> Result<bool, TopologyError> {
        let vhost = self.vhost_mut(vhost)?;
        check_name(component)?;
        check_name(name)?;
        check_value(name, value)?;
        changes.push(put(key(&vhost.name, component, name), value));
        let before = vhost.parameters.insert((component.into(), name.into()), value.clone());
        Ok(before.is_none())
    }

    /// Takes a parameter away. Returns false if there was none.
    pub fn clear_parameter(&mut self, vhost: &str, component: &str, name: &str, changes: &mut Vec<Change>) -> bool {
        let Some(vhost) = self.vhosts.get_mut(vhost) else { return false };
        let was_there = vhost.parameters.remove(&(component.into(), name.into())).is_some();
        if was_there {
            changes.push(Change::delete(key(&vhost.name, component, name)));
        }
        was_there
    }

    /// The parameters of all virtual hosts; of one, by component and name.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        self.vhosts.values().flat_map(|vhost| {
            let all = vhost.parameters.iter();
            all.map(|((component, name), value)| Parameter {
                vhost: vhost.name.clone(),
                component: component.clone(),
                name: name.clone(),
                value: value.clone(),
            })
        })
    }

    /// Sets a global parameter. Returns whether it is new.
    ///
    /// # Errors
    /// If the name is empty or longer than 255 octets, or the value is nested too deep.
    pub fn set_global_parameter(&mut self, name: &str, value: &Value, changes: &mut Vec<Change>) -> Result<bool, TopologyError> {
        check_name(name)?;
        check_value(name, value)?;
        changes.push(put(global_key(name), value));
        Ok(self.global_parameters.insert(name.into(), value.clone()).is_none())
    }

    /// Takes a global parameter away. Returns false if there was none.
    pub fn clear_global_parameter(&mut self, name: &str, changes: &mut Vec<Change>) -> bool {
        let was_there = self.global_parameters.remove(name).is_some();
        if was_there {
            changes.push(Change::delete(global_key(name)));
        }
        was_there
    }

    /// The global parameters, by name.
    pub fn global_parameters(&self) -> impl Iterator<Item = (&Box<str>, &Value)> {
        self.global_parameters.iter()
    }

    /// Takes in what the store has of a parameter.
    pub(super) fn restore_parameter(&mut self, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let (vhost, component, name) = (record.text()?, record.text()?, record.text()?);
        let value = record.fields().get("value").cloned().unwrap_or(Value::Void);
        let set = self.set_parameter(vhost, component, name, &value, &mut Vec::new());
        set.map(drop).map_err(|_| record.error("is of a virtual host that is not there"))
    }

    /// Takes in what the store has of a global parameter.
    pub(super) fn restore_global_parameter(&mut self, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let name = record.text()?;
        let value = record.fields().get("value").cloned().unwrap_or(Value::Void);
        let set = self.set_global_parameter(name, &value, &mut Vec::new());
        set.map(drop).map_err(|_| record.error("has no valid name"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Description, PasswordHash, User};
    use super::*;
    use std::collections::BTreeMap;

    /// What the store holds after these changes.
    fn stored(changes: Vec<Change>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut store = BTreeMap::new();
        for change in changes {
            match change.value {
                Some(value) => drop(store.insert(change.key, value)),
                None => drop(store.remove(&change.key)),
            }
        }
        store
    }

    #[test]
    fn parameters_descriptions_and_hashes_outlive_a_restart() {
        let (mut topology, mut changes) = (Topology::new(), Vec::new());
        let value = Value::from(vec![Value::from(1_i64), Value::Void, Value::from("x")]);
        topology.add_vhost("v", &mut changes).unwrap();
        assert!(topology.set_parameter("v", "shovel", "s", &value, &mut changes).unwrap());
        assert!(!topology.set_parameter("v", "shovel", "s", &value, &mut changes).unwrap());
        assert!(topology.set_parameter("v", "shovel", "gone", &value, &mut changes).unwrap());
        assert!(topology.clear_parameter("v", "shovel", "gone", &mut changes));
        assert!(topology.set_global_parameter("g", &value, &mut changes).unwrap());
        let description = Description {
            text: "Orders".into(),
            tags: vec!["eu".into()],
            default_queue_type: Some("quorum".into()),
        };
        topology.describe_vhost("v", description.clone(), &mut changes).unwrap();
        topology.describe_vhost("/", description.clone(), &mut changes).unwrap();
        let hash = PasswordHash::argon2id([1; 16], "geheim");
        topology
            .put_user(User::new("u", Some(hash.clone()), Vec::new()), &mut changes)
            .unwrap();
        let store = stored(changes);
        assert_eq!(store, stored(topology.records()), "records are what the changes left");
        let restored = Topology::restore(&store).unwrap();
        assert_eq!(stored(restored.records()), store);
        assert!(restored.parameters().all(|parameter| parameter.value == value) && restored.parameters().count() == 1);
        assert!(restored.global_parameters().all(|(_, kept)| *kept == value) && restored.global_parameters().count() == 1);
        assert_eq!(restored.vhost_description("/"), Some(&description));
        assert_eq!(restored.user("u").unwrap().password, Some(hash));

        let mut changes = Vec::new();
        topology.delete_vhost("v", &mut changes);
        assert_eq!(topology.parameters().count(), 0);
        let mut all: Vec<Change> = store.into_iter().map(|(key, value)| Change { key, value: Some(value) }).collect();
        all.extend(changes);
        assert_eq!(stored(all), stored(topology.records()), "its parameters go with a virtual host");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let mut topology = Topology::new();
        let changes = &mut Vec::new();
        let deep = (0..Table::DEPTH_MAX).fold(Value::Void, |inner, _| Value::from(vec![inner]));
        for (vhost, component, value) in [("nowhere", "shovel", &Value::Void), ("/", "", &Value::Void), ("/", "shovel", &deep)] {
            assert!(
                topology.set_parameter(vhost, component, "n", value, changes).is_err(),
                "{vhost} {component}"
            );
        }
        assert!(topology.set_global_parameter("g", &deep, changes).is_err());
        let unknown = Description {
            default_queue_type: Some("none".into()),
            ..Description::default()
        };
        assert!(topology.describe_vhost("/", unknown, changes).is_err());
        assert!(changes.is_empty());
    }
}
