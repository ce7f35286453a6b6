//! Views: queues that store nothing and show a space through a template (`x-queue-type: view`, an extension of Stoa's). They make every operation of a
//! space one of the plainest client's: `basic.get` takes or reads a tuple if there is one, and a passive declaration counts.

use crate::space::{Intent, Malformed, Template};
use std::sync::Arc;
use stoa_amqp::{ShortString, Table};

pub(super) const SPACE: &str = "x-space";
pub(super) const TEMPLATE: &str = "x-template";
pub(super) const MODE: &str = "x-mode";
pub(super) const WAIT_HELD: &str = "x-wait-held";

/// What a view shows.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The space, by name, in the same virtual host. It need not be there yet.
    pub space: ShortString,
    /// What the tuples are like.
    pub template: Arc<Template>,
    /// Whether `basic.get` takes them or reads copies.
    pub intent: Intent,
    /// Tuples that somebody holds may come back and are waited for.
    pub wait_held: bool,
}

/// Two views are the same if they show the same: no template has a value that is not equal to itself.
impl Eq for View {}

impl View {
    /// The view that the arguments of a queue describe; `None` if they describe none.
    ///
    /// # Errors
    /// The argument that will not do, and why.
    pub(super) fn of(arguments: &Table) -> Result<Self, (&'static str, String)> {
        let text = |name| arguments.get(name).and_then(|value| value.as_bytes());
        let space = text(SPACE).ok_or((SPACE, "a view needs the name of a space".to_owned()))?;
        let template = arguments
            .get(TEMPLATE)
            .map(Template::from_amqp)
            .transpose()
            .map_err(|error: Malformed| (TEMPLATE, error.to_string()))?;
        let intent = match text(MODE) {
            None | Some(b"take") => Intent::Take,
            Some(b"read") => Intent::Read,
            Some(_) => return Err((MODE, "expected take or read".to_owned())),
        };
        Ok(Self {
            space: ShortString::new(space).map_err(|_| (SPACE, "a name is of at most 255 octets".to_owned()))?,
            template: Arc::new(template.unwrap_or_else(Template::any)),
            intent,
            wait_held: arguments.get(WAIT_HELD).and_then(|value| value.as_bool()).unwrap_or(false),
        })
    }
}
