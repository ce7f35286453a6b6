//! What a publish says in its properties: checked once, remembered for the messages after it, which usually say the same.

use stoa_amqp::ReplyCode;
use stoa_amqp::content::{ContentHeader, Properties};

use super::error::Exception;

const PUBLISH: (u16, u16) = (60, 40);

/// The properties of the last message, octet for octet, and what they come down to.
#[derive(Debug, Default)]
pub(crate) struct KnownProperties {
    octets: Vec<u8>,
    of: Option<Checked>,
}

/// What the broker acts on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) persistent: bool,
    pub(crate) priority: u8,
}

/// Properties that are longer are checked each time.
const REMEMBERED_MAX: usize = 256;

/// The class that every content header belongs to.
const BASIC: u16 = 60;

impl KnownProperties {
    /// Checks the content header of a message that this user publishes.
    pub(crate) fn check(&mut self, header: &ContentHeader<'_>, user: &str) -> Result<Checked, Exception> {
        if header.class != BASIC {
            let text = format!(
                "expected a content header for class {BASIC}, got one for class {} instead",
                header.class
            );
            return Err(Exception::connection(ReplyCode::UnexpectedFrame, PUBLISH, text));
        }
        if let Some(known) = self.of
            && self.octets == header.properties
        {
            return Ok(known);
        }
        let wrong = |error: stoa_amqp::WireError| Exception::connection(error.code(), PUBLISH, error.to_string());
        let properties = Properties::decode(header.properties).map_err(wrong)?;
        let checked = check(&properties, user)?;
        self.of = None;
        if header.properties.len() <= REMEMBERED_MAX {
            self.octets.clear();
            self.octets.extend_from_slice(header.properties);
            self.of = Some(checked);
        }
        Ok(checked)
    }
}

fn check(properties: &Properties<'_>, user: &str) -> Result<Checked, Exception> {
    let refused = |text: String| Err(Exception::new(ReplyCode::PreconditionFailed, PUBLISH, text));
    if let Some(user_id) = properties.user_id
        && user_id.as_bytes() != user.as_bytes()
    {
        return refused(format!("user_id property set to '{user_id}' but authenticated user was '{user}'"));
    }
    if let Some(expiration) = properties.expiration
        && expiration.as_str().ok().and_then(|text| text.parse::<u32>().ok()).is_none()
    {
        return refused(format!(
            "invalid expiration '{expiration}': expected milliseconds as a decimal number"
        ));
    }
    Ok(Checked {
        persistent: properties.delivery_mode == Some(2),
        priority: properties.priority.unwrap_or(0),
    })
}
