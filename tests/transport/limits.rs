//! How many may come, and who may come without a password.

use crate::login::{Login, guest, log_in, mechanisms};
use crate::served::Served;
use crate::support::raw::{Event, Raw};

#[test]
fn one_connection_too_many_is_not_allowed() {
    let Some(served) = Served::with(&["--set", "limits.connections_max=2"]) else {
        return;
    };
    let mut open: Vec<Raw> = (0..2).map(|_| Raw::connect(served.amqp())).collect();
    for raw in &mut open {
        assert_eq!(guest(raw), Login::Open);
    }
    assert_eq!(guest(&mut Raw::connect(served.amqp())), Login::Refused(530));
    served.says("connection refused: node connection limit (2) is reached");
    open[0].open(1);
    drop(open.pop());
    // The place is free when the broker has seen the end.
    while guest(&mut Raw::connect(served.amqp())) != Login::Open {}
}

#[test]
fn one_handshake_too_many_is_closed_at_once() {
    let Some(served) = Served::with(&["--set", "limits.handshakes_max=2"]) else {
        return;
    };
    let mut silent: Vec<Raw> = (0..2).map(|_| Raw::connect(served.amqp())).collect();
    assert!(mechanisms(&mut silent[1]).is_some(), "both are served");
    let mut third = Raw::connect(served.amqp());
    assert_eq!(third.next(), Event::End);
    served.says("limits.handshakes_max");
    // Who is through makes room.
    assert_eq!(log_in(&mut silent[1], "PLAIN", b"\0guest\0guest", &[]), Login::Open);
    assert_eq!(guest(&mut Raw::connect(served.amqp())), Login::Open);
}

#[test]
fn anonymous() {
    let Some(served) = Served::with(&[]) else { return };
    let mut raw = Raw::connect(served.amqp());
    assert_eq!(mechanisms(&mut raw).unwrap(), "PLAIN AMQPLAIN");
    assert_eq!(log_in(&mut raw, "ANONYMOUS", b"trace", &[]), Login::Ended);
    for (user, login) in [("guest", Login::Open), ("nobody", Login::Refused(403))] {
        let set = format!("sasl.anonymous_user={user}");
        let Some(served) = Served::with(&["--set", &set]) else { return };
        let mut raw = Raw::connect(served.amqp());
        assert_eq!(mechanisms(&mut raw).unwrap(), "PLAIN AMQPLAIN ANONYMOUS");
        assert_eq!(log_in(&mut raw, "ANONYMOUS", b"trace", &[]), login, "{user}");
    }
}
