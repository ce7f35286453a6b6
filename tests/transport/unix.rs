//! Unix sockets, and several listeners at once.

use std::os::unix::net::UnixListener;

use crate::login::{Login, guest};
use crate::served::Served;
use crate::support::Broker;
use crate::support::broker::Process;
use crate::support::lapin::{channel_on, connect_to, declare, get, publish};
use crate::support::raw::Raw;
use crate::tunnel;

#[tokio::test]
async fn lapin_over_a_unix_socket() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("amqp.sock");
    // left behind by a process that was killed
    drop(UnixListener::bind(&path).unwrap());
    let Some(mut served) = Served::with(&["--amqp-unix", path.to_str().unwrap()]) else {
        return;
    };
    assert!(served.ready.contains(&format!("unix:{}", path.display())), "{}", served.ready);
    let uri = format!("amqp://guest:guest@{}/%2f", tunnel::unix(&path));
    let channel = channel_on(&connect_to(&uri).await).await;
    let queue = declare(&channel, "unix", Default::default()).await;
    for size in [0, 10, 1_000_000] {
        publish(&channel, &queue, vec![7; size]).await;
        let delivery = loop {
            if let Some(delivery) = get(&channel, &queue, Default::default()).await {
                break delivery;
            }
        };
        assert_eq!(delivery.data, vec![7; size]);
    }
    assert!(served.process.terminate().0.success());
    assert!(!path.exists(), "the socket is still there");
}

#[test]
fn a_socket_that_is_in_use_or_no_socket_is_left_alone() {
    if Broker::is_external() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (used, file) = (place.path().join("used"), place.path().join("file"));
    let _listener = UnixListener::bind(&used).unwrap();
    std::fs::write(&file, "dear").unwrap();
    for path in [&used, &file] {
        let data = tempfile::tempdir().unwrap();
        let arguments = [
            "serve",
            "--data",
            data.path().to_str().unwrap(),
            "--amqp-unix",
            path.to_str().unwrap(),
        ];
        let (status, said) = Process::spawn(arguments).ended();
        assert!(!status.success() && said.contains(path.to_str().unwrap()), "{said}");
        assert!(path.exists());
    }
}

#[test]
fn several_listeners() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("amqp.sock");
    let Some(served) = Served::with(&["--amqp", "127.0.0.1:0,[::1]:0,127.0.0.2:0", "--amqp-unix", path.to_str().unwrap()]) else {
        return;
    };
    let addresses: Vec<_> = served.ready.split("amqp://").skip(1).take(3).collect();
    for (rest, ip) in addresses.into_iter().zip(["127.0.0.1", "[::1]", "127.0.0.2"]) {
        assert!(rest.starts_with(ip), "{rest}");
        let address = rest[..rest.find([' ', ',']).unwrap()].parse().unwrap();
        assert_eq!(guest(&mut Raw::connect(address)), Login::Open, "{address}");
    }
    assert_eq!(guest(&mut Raw::connect(tunnel::unix(&path))), Login::Open);
    let Some(served) = Served::with(&["--amqp", "off", "--amqp-unix", path.with_extension("2").to_str().unwrap()]) else {
        return;
    };
    assert!(!served.ready.contains("amqp://"), "{}", served.ready);
}
