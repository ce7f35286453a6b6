//! Listeners behind a proxy: who the client is, and what is no header.

use crate::login::{Login, guest};
use crate::served::Served;
use crate::support::raw::Raw;

fn serve() -> Option<Served> {
    Served::with(&["--amqp", "127.0.0.1:0+proxy", "--set", "limits.handshake=2s"])
}

fn binary(family: u8, rest: &[u8]) -> Vec<u8> {
    let head = [
        b"\r\n\r\n\0\r\nQUIT\n\x21".as_slice(),
        &[family, 0, u8::try_from(rest.len()).unwrap()],
    ]
    .concat();
    [&head, rest].concat()
}

/// `guest` may come from loopback only: whether it may log in says which address the broker has seen.
#[test]
fn the_address_is_the_one_in_the_header() {
    let Some(served) = serve() else { return };
    let far = [192, 0, 2, 7, 198, 51, 100, 1, 0x1f, 0x90, 0x16, 0x28];
    let near = [127, 0, 0, 1, 127, 0, 0, 1, 0x1f, 0x90, 0x16, 0x28];
    for (header, login) in [
        (b"PROXY TCP4 127.0.0.1 127.0.0.1 8080 5672\r\n".to_vec(), Login::Open),
        (b"PROXY TCP6 ::1 ::1 8080 5672\r\n".to_vec(), Login::Open),
        (b"PROXY UNKNOWN\r\n".to_vec(), Login::Open),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 8080 5672\r\n".to_vec(), Login::Refused(403)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 8080 5672\r\n".to_vec(), Login::Refused(403)),
        (binary(0x11, &near), Login::Open),
        (binary(0x11, &far), Login::Refused(403)),
        (binary(0x00, &[]), Login::Open),
    ] {
        let mut raw = Raw::connect(served.amqp());
        raw.send(&header);
        assert_eq!(guest(&mut raw), login, "{}", header.escape_ascii());
    }
    served.says("peer=192.0.2.7:8080");
    served.says("peer=[2001:db8::7]:8080");
}

/// In one segment with what follows, and octet by octet.
#[test]
fn a_header_comes_in_any_portions() {
    let Some(served) = serve() else { return };
    let header = b"PROXY TCP4 127.0.0.1 127.0.0.1 8080 5672\r\n";
    let mut raw = Raw::connect(served.amqp());
    raw.send(&[header.as_slice(), b"AMQP\0\0\x09\x01"].concat());
    raw.expect(10, 10);
    let mut raw = Raw::connect(served.amqp());
    header.iter().for_each(|octet| raw.send(&[*octet]));
    assert_eq!(guest(&mut raw), Login::Open);
}

#[test]
fn what_is_no_header_is_closed() {
    let Some(served) = serve() else { return };
    for (sent, said) in [
        (b"AMQP\0\0\x09\x01".to_vec(), "does not begin with a header"),
        (b"PROXY TCP4 nonsense\r\n".to_vec(), "malformed line"),
        ([b"PROXY ".to_vec(), vec![b'x'; 200]].concat(), "without an end"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0".to_vec(), "version 3"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(), "more than"),
        (b"PROXY TCP4".to_vec(), "came in time"),
    ] {
        let mut raw = Raw::connect(served.amqp());
        raw.send(&sent);
        assert_eq!(raw.octets(1), b"", "{}", sent.escape_ascii());
        served.says(said);
    }
}

/// Without `+proxy` such a header is nothing but a wrong protocol header.
#[test]
fn a_header_that_nobody_expects_is_refused() {
    let Some(served) = Served::with(&[]) else { return };
    let mut raw = Raw::connect(served.amqp());
    raw.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 8080 5672\r\n");
    assert_eq!(raw.octets(9), b"AMQP\0\0\x09\x01");
}
