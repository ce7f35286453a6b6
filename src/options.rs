//! The command line and the environment, and what they ask of the machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser, Subcommand, ValueEnum};
use stoa_server::{ClientCertificates, Compat, TcpListen, UnixListen, parse_bytes};

use crate::configuration::Configuration;

/// A message broker: queues and pub/sub for any AMQP 0-9-1 client, over one durable store.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker (what happens without a command, too).
    Serve(Box<ServeArgs>),
    /// Look at the configuration without running the broker.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What is asked of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print all of it, as file, environment and flags make it, as a file.
    Show(Box<ServeArgs>),
    /// Say whether a broker can run with it.
    Check(Box<ServeArgs>),
}

impl Cli {
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Serve(Box::new(self.serve)))
    }
}

/// How to run the broker.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// A configuration file (TOML). The environment goes over it, and flags over both.
    #[arg(long, env = "STOA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; made if it does not exist. Default: `stoa` below the user's data directory.
    #[arg(long, env = "STOA_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to speak AMQP; several with commas, `off` for nowhere. Port 0 takes any free one; `+proxy` behind it expects a header of the PROXY
    /// protocol. Default: 127.0.0.1:5672.
    #[arg(long, env = "STOA_AMQP", value_name = "ADDR:PORT", value_delimiter = ',', value_parser = listen)]
    amqp: Option<Vec<Option<TcpListen>>>,
    /// Where to speak AMQP over TLS; as --amqp. Default: nowhere.
    #[arg(long, env = "STOA_AMQPS", value_name = "ADDR:PORT", value_delimiter = ',', value_parser = listen)]
    amqps: Option<Vec<Option<TcpListen>>>,
    /// Unix sockets to speak AMQP on; several with commas. Default: none.
    #[arg(long, env = "STOA_AMQP_UNIX", value_name = "PATH", value_delimiter = ',')]
    amqp_unix: Option<Vec<UnixListen>>,
    /// Where to speak HTTP; port 0 takes any free one. Default: 127.0.0.1:15672.
    #[arg(long, env = "STOA_HTTP", value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// Where to serve metrics for Prometheus without a login, as RabbitMQ's plugin does on port 15692; several with commas. Default: nowhere; the HTTP
    /// address has them, too.
    #[arg(long, env = "STOA_PROMETHEUS", value_name = "ADDR:PORT", value_delimiter = ',')]
    prometheus: Option<Vec<SocketAddr>>,
    /// The broker's certificate (PEM), followed by those that lead to its authority.
    #[arg(long, env = "STOA_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, env = "STOA_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The authorities that may sign clients' certificates (PEM).
    #[arg(long, env = "STOA_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Whether clients must show a certificate. Default: none.
    #[arg(long, env = "STOA_TLS_CLIENT_CERTIFICATES", value_name = "WHETHER")]
    tls_client_certificates: Option<Wanted>,
    /// Messages kept in memory, in MiB; what exceeds it is paged out to disk. Default: 256.
    #[arg(long, env = "STOA_MEMORY", value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..))]
    memory: Option<u32>,
    /// Free space on the disk of the data directory below which publishers are blocked, such as 2GB. Default: what the journal and the memory may still
    /// need, and 1 GB at least.
    #[arg(long, env = "STOA_DISK_FREE_MIN", value_name = "SIZE", value_parser = parse_bytes)]
    disk_free_min: Option<u64>,
    /// What AMQP clients are told that this is: `rabbitmq`, because some look at the name, or `stoa`. Default: rabbitmq.
    #[arg(long, env = "STOA_COMPAT", value_name = "NAME")]
    compat: Option<Compat>,
    /// Sets anything by the name that it has in the file, such as `limits.frame_max=65536`; over everything else. Can be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// [`ClientCertificates`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wanted {
    None,
    Optional,
    Required,
}

/// `None` stands for "nowhere".
fn listen(text: &str) -> Result<Option<TcpListen>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: stoa_server::ListenError| error.to_string())
}

impl ServeArgs {
    /// File, environment and flags, each over what comes before it.
    pub(crate) fn configuration(self) -> anyhow::Result<Configuration> {
        let mut all = match &self.config {
            Some(file) => Configuration::read(file)?,
            None => Configuration::default(),
        };
        let listeners = |given: Vec<Option<TcpListen>>| given.into_iter().flatten().collect();
        put(&mut all.data, self.data);
        put(&mut all.amqp, self.amqp.map(listeners));
        put(&mut all.amqps, self.amqps.map(listeners));
        put(&mut all.amqp_unix, self.amqp_unix);
        put(&mut all.http, self.http);
        put(&mut all.prometheus, self.prometheus);
        put(&mut all.tls.cert, self.tls_cert);
        put(&mut all.tls.key, self.tls_key);
        put(&mut all.tls.ca, self.tls_ca);
        let wanted = self.tls_client_certificates.map(|wanted| match wanted {
            Wanted::None => ClientCertificates::None,
            Wanted::Optional => ClientCertificates::Optional,
            Wanted::Required => ClientCertificates::Required,
        });
        put(&mut all.tls.client_certificates, wanted);
        put(&mut all.limits.memory_bytes_max, self.memory.map(|mib| mib as usize * (1 << 20)));
        put(&mut all.alarms.disk_free_min, self.disk_free_min.map(Some));
        put(&mut all.compat, self.compat);
        for assignment in &self.set {
            all.set(assignment)?;
        }
        Ok(all)
    }
}

fn put<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// This binary uses instructions that x86 processors before 2010 lack (`.cargo/config.toml`).
pub(crate) fn check_cpu() -> anyhow::Result<()> {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
        return Ok(());
    }
    let Ok(cpu) = std::fs::read_to_string("/proc/cpuinfo") else {
        return Ok(());
    };
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    for needed in ["sse4_2", "popcnt", "pclmulqdq"] {
        if !flags.split_whitespace().any(|flag| flag == needed) {
            bail!("this processor has no {needed}: build Stoa for it, without the flags in .cargo/config.toml");
        }
    }
    Ok(())
}

/// Every connection is an open file: takes as many as the system allows.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
}
