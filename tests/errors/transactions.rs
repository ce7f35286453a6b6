//! Class tx, and what does not go with it.

use crate::support::raw::{self};
use crate::{NONE, case, channel, check};

#[test]
fn transactions() {
    fn tx(method: u16) -> Vec<u8> {
        raw::method(1, 90, method, |a| a)
    }
    fn confirm() -> Vec<u8> {
        raw::method(1, 85, 10, |a| a.bits(&[false]))
    }
    check(&[
        case(
            "committing without a transaction",
            |s| s.send(&tx(20)),
            channel(406, 90, 20, "PRECONDITION_FAILED - channel is not transactional"),
        ),
        case(
            "rolling back without a transaction",
            |s| s.send(&tx(30)),
            channel(406, 90, 30, "PRECONDITION_FAILED - channel is not transactional"),
        ),
        case(
            "a transaction in confirm mode",
            |s| {
                s.raw.call(&confirm(), 85, 11);
                s.send(&tx(10));
            },
            channel(406, 90, 10, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"),
        ),
        case(
            "confirm mode in a transaction",
            |s| {
                s.raw.call(&tx(10), 90, 11);
                s.send(&confirm());
            },
            channel(406, 85, 10, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"),
        ),
        case(
            "publishing to a missing exchange in a transaction",
            |s| {
                s.raw.call(&tx(10), 90, 11);
                s.send(&raw::publish(1, &s.exchange.clone(), "", &[false, false]));
                s.send(&raw::header(1, 0));
            },
            channel(404, 60, 40, "NOT_FOUND - no exchange '$x' in vhost '/'"),
        ),
        case(
            "acknowledging twice in a transaction",
            |s| {
                s.raw.call(&tx(10), 90, 11);
                s.declare_queue(NONE);
                s.send(&raw::publish(1, "", &s.queue.clone(), &[false, false]));
                s.send(&raw::header(1, 0));
                s.raw.call(&tx(20), 90, 21);
                s.raw.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&s.queue).u8(0)), 60, 71);
                for _ in 0..2 {
                    s.send(&raw::method(1, 60, 80, |a| a.u64(1).bits(&[false])));
                }
            },
            channel(406, 60, 80, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
    ]);
}
