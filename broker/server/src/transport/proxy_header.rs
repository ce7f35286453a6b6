//! The header of the PROXY protocol as octets. Nothing is read here, and of the broker only `peer.rs` is needed: it is fuzzed as it is (`fuzz/`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::peer::Peer;

/// Version 1 is a line of at most so many octets, its end included.
const LINE_MAX: usize = 107;

/// Version 2 begins with these.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Octets before the addresses of version 2.
const HEAD_SIZE: usize = 16;

/// Octets of addresses and additions that are taken in version 2. The specification lets them be 65,535; what proxies send is some hundred.
const REST_MAX: usize = 4096;

/// Octets that a header can have.
pub(crate) const HEADER_MAX: usize = HEAD_SIZE + REST_MAX;

/// A whole header, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) size: usize,
    /// Whom the proxy speaks for. None: for itself (a health check), or for somebody whose address it cannot say.
    pub(crate) client: Option<Peer>,
}

/// What is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the connection does not begin with a header of the PROXY protocol")]
    Missing,
    #[error("line of version 1 without an end within {LINE_MAX} octets")]
    LineTooLong,
    #[error("malformed line of version 1")]
    Line,
    #[error("version {0} of the binary header, which is not known")]
    Version(u8),
    #[error("command {0} of version 2, which is not known")]
    Command(u8),
    #[error("header of version 2 with {0} octets, which is more than {REST_MAX}")]
    TooLong(usize),
    #[error("header of version 2 with fewer octets than its addresses have")]
    TooShort,
}

/// The header at the beginning. None: it is not complete. That it is none is told as early as it can be known, and at [`HEADER_MAX`] octets at the latest.
pub(crate) fn parse(octets: &[u8]) -> Result<Option<Header>, HeaderError> {
    let begins = |with: &[u8]| octets.iter().zip(with).all(|(a, b)| a == b);
    if begins(b"PROXY ") {
        parse_line(octets)
    } else if begins(&SIGNATURE) {
        parse_binary(octets)
    } else {
        Err(HeaderError::Missing)
    }
}

fn parse_line(octets: &[u8]) -> Result<Option<Header>, HeaderError> {
    let seen = &octets[..octets.len().min(LINE_MAX)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        let complete = octets.len() >= LINE_MAX;
        return if complete { Err(HeaderError::LineTooLong) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&seen[..end]).map_err(|_| HeaderError::Line)?;
    let mut fields = line.split(' ').skip(1);
    let mut next = || fields.next().ok_or(HeaderError::Line);
    let client = match next()? {
        // Whatever follows is to be ignored.
        "UNKNOWN" => None,
        family @ ("TCP4" | "TCP6") => {
            let (source, target) = (address(next()?, family)?, address(next()?, family)?);
            let (source_port, target_port) = (port(next()?)?, port(next()?)?);
            if fields.next().is_some() {
                return Err(HeaderError::Line);
            }
            let _ = (target, target_port);
            Some(Peer::Ip(SocketAddr::new(source, source_port)))
        }
        _ => return Err(HeaderError::Line),
    };
    Ok(Some(Header { size: end + 2, client }))
}

fn address(text: &str, family: &str) -> Result<IpAddr, HeaderError> {
    let address = if family == "TCP4" {
        text.parse().map(IpAddr::V4)
    } else {
        text.parse().map(IpAddr::V6)
    };
    address.map_err(|_| HeaderError::Line)
}

/// Decimal, without a sign or leading zeros.
fn port(text: &str) -> Result<u16, HeaderError> {
    let port: u16 = text.parse().map_err(|_| HeaderError::Line)?;
    if port.to_string() == text {
        Ok(port)
    } else {
        Err(HeaderError::Line)
    }
}

fn parse_binary(octets: &[u8]) -> Result<Option<Header>, HeaderError> {
    let Some(head) = octets.first_chunk::<HEAD_SIZE>() else {
        return Ok(None);
    };
    let [.., version_command, family, high, low] = *head;
    if version_command >> 4 != 2 {
        return Err(HeaderError::Version(version_command >> 4));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_MAX {
        return Err(HeaderError::TooLong(length));
    }
    let size = HEAD_SIZE + length;
    let Some(rest) = octets.get(HEAD_SIZE..size) else {
        return Ok(None);
    };
    let client = match version_command & 0xf {
        // LOCAL: the proxy itself. What it says of addresses is to be ignored.
        0 => None,
        1 => client(family, rest)?,
        other => return Err(HeaderError::Command(other)),
    };
    Ok(Some(Header { size, client }))
}

/// The source address: source and destination are followed by their ports, and by additions (TLVs), which are passed over.
fn client(family: u8, rest: &[u8]) -> Result<Option<Peer>, HeaderError> {
    let port = |at: usize| -> Result<u16, HeaderError> {
        let octets = rest.get(at..at + 2).and_then(|octets| octets.first_chunk());
        Ok(u16::from_be_bytes(*octets.ok_or(HeaderError::TooShort)?))
    };
    Ok(match family >> 4 {
        // AF_INET
        1 => {
            let octets: &[u8; 4] = rest.first_chunk().ok_or(HeaderError::TooShort)?;
            port(10)?;
            Some(Peer::Ip(SocketAddr::new(Ipv4Addr::from(*octets).into(), port(8)?)))
        }
        // AF_INET6
        2 => {
            let octets: &[u8; 16] = rest.first_chunk().ok_or(HeaderError::TooShort)?;
            port(34)?;
            Some(Peer::Ip(SocketAddr::new(Ipv6Addr::from(*octets).into(), port(32)?)))
        }
        // AF_UNIX: two paths of 108 octets
        3 if rest.len() < 216 => return Err(HeaderError::TooShort),
        3 => Some(Peer::Unix),
        // AF_UNSPEC and what is not known: the connection is served, the address is the proxy's.
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> Option<Peer> {
        Some(Peer::Ip(text.parse().unwrap()))
    }

    fn binary(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend([version_command, family]);
        octets.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        octets.extend(rest);
        octets
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x1f, 0x90, 0x16, 0x28];

    #[test]
    fn version_1() {
        for (line, client) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 8080 5672\r\n", ip("192.0.2.7:8080")),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 8080 5672\r\n", ip("[2001:db8::7]:8080")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff:: whatever 1\r\n", None),
        ] {
            let mut octets = line.as_bytes().to_vec();
            let header = Header {
                size: octets.len(),
                client,
            };
            octets.extend(b"AMQP\0\0\x09\x01");
            assert_eq!(parse(&octets), Ok(Some(header)), "{line}");
            for end in 0..line.len() {
                assert_eq!(parse(&octets[..end]), Ok(None), "{line} up to {end}");
            }
        }
        for line in [
            "PROXY\r\n",
            "PROXY \r\n",
            "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
            "PROXY TCP4 ::1 1.1.1.1 1 1\r\n",
            "PROXY TCP6 1.1.1.1 ::1 1 1\r\n",
            "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY TCP4 \u{ff}1.1.1.1 1.1.1.1 1 1\r\n",
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert!(matches!(error, HeaderError::Line | HeaderError::Missing), "{line}: {error}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(LINE_MAX));
        assert_eq!(parse(&endless.as_bytes()[..LINE_MAX - 1]), Ok(None));
        assert_eq!(parse(endless.as_bytes()), Err(HeaderError::LineTooLong));
    }

    #[test]
    fn version_2() {
        let ipv6 = [
            [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7].as_slice(),
            &[1; 16],
            &IPV4[8..],
        ]
        .concat();
        let additions = [IPV4.as_slice(), &[0x04, 0, 3, 1, 2, 3]].concat();
        for (octets, client) in [
            (binary(0x21, 0x11, &IPV4), ip("192.0.2.7:8080")),
            (binary(0x21, 0x21, &ipv6), ip("[2001:db8::7]:8080")),
            (binary(0x21, 0x31, &[0; 216]), Some(Peer::Unix)),
            (binary(0x21, 0x11, &additions), ip("192.0.2.7:8080")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &IPV4), None),
            (binary(0x21, 0x00, &[]), None),
            (binary(0x21, 0x71, &[1, 2, 3]), None),
        ] {
            let header = Header {
                size: octets.len(),
                client,
            };
            assert_eq!(parse(&octets), Ok(Some(header)), "{octets:x?}");
            for end in 0..octets.len() {
                assert_eq!(parse(&octets[..end]), Ok(None), "{octets:x?} up to {end}");
            }
        }
        for (octets, error) in [
            (binary(0x11, 0x11, &IPV4), HeaderError::Version(1)),
            (binary(0x2f, 0x11, &IPV4), HeaderError::Command(15)),
            (binary(0x21, 0x11, &IPV4[..11]), HeaderError::TooShort),
            (binary(0x21, 0x11, &[]), HeaderError::TooShort),
            (binary(0x21, 0x21, &IPV4), HeaderError::TooShort),
            (binary(0x21, 0x31, &[0; 215]), HeaderError::TooShort),
            (binary(0x21, 0x11, &[0; REST_MAX + 1]), HeaderError::TooLong(REST_MAX + 1)),
            (b"AMQP\0\0\x09\x01".to_vec(), HeaderError::Missing),
            (b"\r\n\r\n\0\r\nQUIX".to_vec(), HeaderError::Missing),
            (b"\x16\x03\x01".to_vec(), HeaderError::Missing),
        ] {
            assert_eq!(parse(&octets), Err(error), "{octets:x?}");
        }
    }

    /// Octets that are nearly a header, so that chance gets past the first check.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let random = || proptest::collection::vec(any::<u8>(), 0..300);
        let words = proptest::collection::vec(
            prop_oneof![
                Just("TCP4"),
                Just("TCP6"),
                Just("UNKNOWN"),
                Just("1.2.3.4"),
                Just("::1"),
                Just("80"),
                Just("\r\n"),
                Just("")
            ],
            0..9,
        );
        prop_oneof![
            random(),
            random().prop_map(|rest| [b"PROXY ".as_slice(), &rest].concat()),
            words.prop_map(|words| format!("PROXY {}", words.join(" ")).into_bytes()),
            random().prop_map(|rest| [SIGNATURE.as_slice(), &rest].concat()),
            (0x20..=0x21_u8, any::<u8>(), random()).prop_map(|(command, family, rest)| binary(command, family, &rest)),
        ]
    }

    proptest! {
        /// Nothing panics (invariant 10); a buffer of the size that is read into is always enough to decide; more octets change no decision.
        #[test]
        fn whatever_comes(mut octets in nearly(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let first = parse(&octets);
            if let Ok(Some(header)) = first {
                prop_assert!(header.size <= octets.len());
            }
            octets.extend(more);
            if first != Ok(None) {
                prop_assert_eq!(parse(&octets), first);
            }
            octets.resize(HEADER_MAX, 0);
            prop_assert_ne!(parse(&octets), Ok(None));
        }

        #[test]
        fn what_a_proxy_writes_is_read(source: SocketAddr, target: SocketAddr) {
            let (family, code, pair) = match (source.ip(), target.ip()) {
                (IpAddr::V4(a), IpAddr::V4(b)) => ("TCP4", 0x11, [a.octets().as_slice(), &b.octets()].concat()),
                (IpAddr::V6(a), IpAddr::V6(b)) => ("TCP6", 0x21, [a.octets().as_slice(), &b.octets()].concat()),
                _ => return Ok(()),
            };
            let line = format!("PROXY {family} {} {} {} {}\r\n", source.ip(), target.ip(), source.port(), target.port());
            let rest = [pair.as_slice(), &source.port().to_be_bytes(), &target.port().to_be_bytes()].concat();
            for octets in [line.into_bytes(), binary(0x21, code, &rest)] {
                let read = parse(&octets).unwrap().unwrap();
                let Some(Peer::Ip(client)) = read.client else { panic!("no address") };
                prop_assert_eq!((client.ip(), client.port(), read.size), (source.ip(), source.port(), octets.len()));
            }
        }
    }
}
