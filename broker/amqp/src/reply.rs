//! Reply codes: the numbers and names by which a close or a return says why.

macro_rules! reply_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal,)*) => {
        /// Why a channel or a connection is closed, or a message returned (AMQP 0-9-1, section 1.1, "constants").
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ReplyCode {
            $($(#[$doc])* $variant = $code,)*
        }

        impl ReplyCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [ReplyCode] = &[$(ReplyCode::$variant,)*];

            /// The name that reply texts begin with, as RabbitMQ writes it: `NOT_FOUND`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(ReplyCode::$variant => $name,)*
                }
            }

            /// The code of that number, if there is one.
            #[must_use]
            pub fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(ReplyCode::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

reply_codes! {
    /// All is well.
    Success = 200 "REPLY_SUCCESS",
    /// The content is larger than the peer takes.
    ContentTooLarge = 311 "CONTENT_TOO_LARGE",
    /// A mandatory message reached no queue.
    NoRoute = 312 "NO_ROUTE",
    /// An immediate message reached no consumer.
    NoConsumers = 313 "NO_CONSUMERS",
    /// An operator closed the connection.
    ConnectionForced = 320 "CONNECTION_FORCED",
    /// There is no such virtual host.
    InvalidPath = 402 "INVALID_PATH",
    /// The user may not do that.
    AccessRefused = 403 "ACCESS_REFUSED",
    /// There is no such thing.
    NotFound = 404 "NOT_FOUND",
    /// Another connection has it to itself.
    ResourceLocked = 405 "RESOURCE_LOCKED",
    /// What the request takes for granted is not so.
    PreconditionFailed = 406 "PRECONDITION_FAILED",
    /// The peer sent octets that are no frame, or a frame that cannot be decoded.
    FrameError = 501 "FRAME_ERROR",
    /// A field holds an illegal value.
    SyntaxError = 502 "SYNTAX_ERROR",
    /// A method came that has no place at this moment.
    CommandInvalid = 503 "COMMAND_INVALID",
    /// The channel is not open, or open already, or its number is too great.
    ChannelError = 504 "CHANNEL_ERROR",
    /// A frame came where another kind was due.
    UnexpectedFrame = 505 "UNEXPECTED_FRAME",
    /// There is not enough of something.
    ResourceError = 506 "RESOURCE_ERROR",
    /// Policy rules it out.
    NotAllowed = 530 "NOT_ALLOWED",
    /// The broker does not do that.
    NotImplemented = 540 "NOT_IMPLEMENTED",
    /// The broker failed.
    InternalError = 541 "INTERNAL_ERROR",
}

impl ReplyCode {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Closes the whole connection; the others close a channel, or come with a return.
    #[must_use]
    pub fn is_hard(self) -> bool {
        matches!(self, Self::ConnectionForced | Self::InvalidPath) || self.code() >= 500
    }
}

impl std::fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_agree() {
        for &code in ReplyCode::ALL {
            assert_eq!(ReplyCode::from_code(code.code()), Some(code));
        }
        assert_eq!(ReplyCode::from_code(299), None);
        assert_eq!(ReplyCode::NotFound.to_string(), "404 NOT_FOUND");
    }

    #[test]
    fn hard_errors_are_those_of_the_specification() {
        let hard: Vec<u16> = ReplyCode::ALL
            .iter()
            .filter(|code| code.is_hard())
            .map(|code| code.code())
            .collect();
        assert_eq!(hard, [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541]);
    }
}
