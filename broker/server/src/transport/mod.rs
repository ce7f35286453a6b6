//! How octets come and go: listeners, sockets, TLS, the PROXY protocol. Nothing here knows AMQP.

mod admission;
mod certificate;
mod listener;
mod peer;
mod proxy;
mod proxy_header;
mod socket;
mod tls;

pub(crate) use admission::{Admission, Seat};
pub(crate) use certificate::certificate_ends;
pub(crate) use listener::{Arrival, accept, bind};
pub(crate) use proxy::receive as receive_proxy_header;
pub(crate) use socket::{Sink, Source};
pub(crate) use tls::{Certificates, Flushed, Session};

pub use listener::Listening;
pub use peer::{Peer, TlsSummary};
pub use tls::TlsError;
