//! What a channel must remember between a delivery and its settlement, and between a publish and its confirm. Numbers only: no messages,
//! no shard, no wire.

mod confirms;
mod unacked;

pub use confirms::{Confirm, Confirms, Ticket};
pub use unacked::{Aside, HeldRun, Settled, Term, Unacked, UnknownDeliveryTag};
