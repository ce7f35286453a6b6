//! RabbitMQ, where it is installed (Debian's `rabbitmq-server`): started on free ports in a directory of its own, for tests that compare.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The script behind Debian's wrapper, which would run it as another user.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// How long it may take to start.
const START: Duration = Duration::from_secs(90);

struct Rabbit {
    address: SocketAddr,
    /// Its standard input is the leash: when this process ends, however that is, the shell at the other end kills the server.
    _leash: Child,
}

/// Where RabbitMQ is spoken to, started by whoever asks first; it ends with the test binary. None: it is not installed, or the tests run against
/// a broker that somebody named.
pub fn address() -> Option<SocketAddr> {
    static RABBIT: OnceLock<Option<Rabbit>> = OnceLock::new();
    RABBIT.get_or_init(|| start("[].", "")).as_ref().map(|rabbit| rabbit.address)
}

/// Where another one, with the plugin `rabbitmq_prometheus`, is asked for its metrics.
pub fn metrics_address() -> Option<SocketAddr> {
    static RABBIT: OnceLock<Option<(Rabbit, SocketAddr)>> = OnceLock::new();
    let started = RABBIT.get_or_init(|| {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let port = format!("prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {}\n", at.port());
        let rabbit = start("[rabbitmq_prometheus].", &port)?;
        wait_for(at, "its metrics");
        Some((rabbit, at))
    });
    started.as_ref().map(|(_, at)| *at)
}

fn wait_for(at: SocketAddr, what: &str) {
    let begun = Instant::now();
    while TcpStream::connect(at).is_err() {
        assert!(begun.elapsed() < START, "RabbitMQ did not start: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start(plugins: &str, configuration: &str) -> Option<Rabbit> {
    if super::Broker::is_external() || !Path::new(SERVER).exists() {
        println!("skipped: the comparison with RabbitMQ, which is not installed");
        return None;
    }
    let (port, distribution) = (free_port(), free_port());
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rabbitmq-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("enabled_plugins"), plugins).unwrap();
    std::fs::write(home.join("rabbitmq.conf"), configuration).unwrap();
    let script = r#"set -m; "$0" > log 2>&1 & read _; kill -9 -$!; cd /; rm -rf "$HOME""#;
    let leash = Command::new("sh")
        .args(["-c", script, SERVER])
        .current_dir(&home)
        .env("HOME", &home)
        .env("RABBITMQ_NODENAME", format!("stoa-test-{}-{port}@localhost", std::process::id()))
        .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", home.join("logs"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"))
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
        .env("RABBITMQ_PID_FILE", home.join("pid"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(
            begun.elapsed() < START,
            "RabbitMQ did not start: {}",
            std::fs::read_to_string(home.join("log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(Rabbit { address, _leash: leash })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
