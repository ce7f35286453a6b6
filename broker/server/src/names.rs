//! Names that the broker makes up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What no one else has and no one can guess: 122 random bits in 22 characters, the form that RabbitMQ's generated names have.
pub(crate) fn unguessable() -> String {
    URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes())
}
