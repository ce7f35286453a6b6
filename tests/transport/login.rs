//! The handshake by hand, with a mechanism and capabilities of the test's choice.

use crate::support::raw::{self, Event, Raw, Writer};

/// What came of a login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Open,
    /// The reply code of `connection.close`.
    Refused(u16),
    /// The socket was closed.
    Ended,
}

/// The mechanisms that the broker offers. None: it closes instead.
pub(crate) fn mechanisms(raw: &mut Raw) -> Option<String> {
    raw.send(raw::PROTOCOL_HEADER);
    let Event::Frame(start) = raw.next() else { return None };
    assert_eq!(start.method(), Some((10, 10)));
    let mut arguments = start.arguments();
    let _version = (arguments.u8(), arguments.u8());
    let properties = arguments.u32() as usize;
    let rest = &start.payload[4 + 2 + 4 + properties..];
    let size = u32::from_be_bytes(*rest.first_chunk().unwrap()) as usize;
    Some(String::from_utf8(rest[4..4 + size].to_vec()).unwrap())
}

/// Logs in after [`mechanisms`], with these capabilities beside `authentication_failure_close`.
pub(crate) fn log_in(raw: &mut Raw, mechanism: &str, response: &[u8], capabilities: &[&str]) -> Login {
    let table = capabilities
        .iter()
        .chain(&["authentication_failure_close"])
        .fold(Writer::default(), |table, name| table.short(name).u8(b't').u8(1));
    let properties = Writer::default().short("capabilities").u8(b'F').table(&table.0).0;
    raw.send(&raw::method(0, 10, 11, |a| {
        a.table(&properties).short(mechanism).long(response).short("en_US")
    }));
    let Some(next) = outcome(raw, (10, 30)) else {
        raw.send(&raw::tune_ok(2047, 131_072, 0));
        raw.send(&raw::connection_open("/"));
        return outcome(raw, (10, 41)).unwrap_or(Login::Open);
    };
    next
}

/// None: the method that is hoped for.
fn outcome(raw: &mut Raw, hoped: (u16, u16)) -> Option<Login> {
    match raw.next() {
        Event::Frame(frame) if frame.method() == Some(hoped) => None,
        Event::Frame(frame) if frame.method() == Some((10, 50)) => Some(Login::Refused(frame.arguments().u16())),
        Event::End => Some(Login::Ended),
        other => panic!("expected method {hoped:?}, got {other:?}"),
    }
}

/// The whole of it as guest.
pub(crate) fn guest(raw: &mut Raw) -> Login {
    match mechanisms(raw) {
        Some(_) => log_in(raw, "PLAIN", b"\0guest\0guest", &[]),
        None => Login::Ended,
    }
}
