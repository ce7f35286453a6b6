//! What a virtual host is for: its description, its tags, and the type of queues that are declared without one (RabbitMQ: virtual host metadata).

use super::change::Record;
use super::queue_arguments::{QueueType, TYPE};
use super::vhost::described;
use super::{Change, QueueDeclare, Topology, TopologyError};
use std::borrow::Cow;
use stoa_amqp::{Table, Value};

/// What is said of a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// What it is for.
    pub text: Box<str>,
    /// By what it is found.
    pub tags: Vec<Box<str>>,
    /// The type of queues that are declared without one; `None`: classic.
    pub default_queue_type: Option<Box<str>>,
}

impl Description {
    pub(super) fn fields(&self) -> Table {
        let mut fields = Table::new();
        if !self.text.is_empty() {
            fields.insert("description", Value::from(self.text.to_string()));
        }
        if !self.tags.is_empty() {
            let tags: Vec<Value> = self.tags.iter().map(|tag| Value::from(tag.to_string())).collect();
            fields.insert("tags", Value::from(tags));
        }
        if let Some(queue_type) = &self.default_queue_type {
            fields.insert("default-queue-type", Value::from(queue_type.to_string()));
        }
        fields
    }

    pub(super) fn read(record: &Record<'_>) -> Self {
        Self {
            text: record.string("description").unwrap_or_default().into(),
            tags: record.list("tags").iter().filter_map(Value::as_str).map(Into::into).collect(),
            default_queue_type: record.string("default-queue-type").map(Into::into),
        }
    }
}

impl Topology {
    /// Says what a virtual host is for.
    ///
    /// # Errors
    /// If there is no such virtual host, or no such queue type.
    pub fn describe_vhost(&mut self, name: &str, description: Description, changes: &mut Vec<Change>) -> Result<(), TopologyError> {
        let vhost = self.vhost_mut(name)?;
        if let Some(queue_type) = &description.default_queue_type
            && QueueType::of_name(queue_type).is_none()
        {
            return Err(TopologyError::QueueType(queue_type.clone()));
        }
        changes.push(described(name, &description));
        vhost.description = description;
        Ok(())
    }

    /// What a virtual host is for; `None` if there is none of that name.
    #[must_use]
    pub fn vhost_description(&self, name: &str) -> Option<&Description> {
        self.vhosts.get(name).map(|vhost| &vhost.description)
    }
}

/// The declaration, with the virtual host's default queue type if it names none and a queue of that type can be as it is declared.
pub(super) fn with_default_type<'d, 'a>(declare: &'d QueueDeclare<'a>, description: &Description) -> Cow<'d, QueueDeclare<'a>> {
    let named = declare.arguments.get(TYPE).is_some() || declare.passive;
    let default = description.default_queue_type.as_deref().filter(|_| !named);
    let Some((name, queue_type)) = default.and_then(|name| Some((name, QueueType::of_name(name)?))) else {
        return Cow::Borrowed(declare);
    };
    let is_plain = declare.durable && !declare.exclusive && !declare.auto_delete && !declare.name.is_empty();
    if queue_type != QueueType::Classic && !is_plain {
        return Cow::Borrowed(declare);
    }
    let mut typed = declare.clone();
    typed.arguments.insert(TYPE, Value::from(name.to_owned()));
    Cow::Owned(typed)
}
