//! The command line and the environment, and what they ask of the machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use stoa_server::{Compat, Config};

/// A message broker: queues and pub/sub for any AMQP 0-9-1 client, over one durable store.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker (what happens without a command, too).
    Serve(ServeArgs),
}

impl Cli {
    pub(crate) fn serve_args(self) -> ServeArgs {
        match self.command {
            Some(Command::Serve(args)) => args,
            None => self.serve,
        }
    }
}

/// How to run the broker.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// The data directory; made if it does not exist. Default: `stoa` below the user's data directory.
    #[arg(long, env = "STOA_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to speak AMQP; port 0 takes any free one.
    #[arg(long, env = "STOA_AMQP", value_name = "ADDR:PORT", default_value = "127.0.0.1:5672")]
    amqp: SocketAddr,
    /// Where to speak HTTP; port 0 takes any free one.
    #[arg(long, env = "STOA_HTTP", value_name = "ADDR:PORT", default_value = "127.0.0.1:15672")]
    pub(crate) http: SocketAddr,
    /// Messages kept in memory, in MiB; what exceeds it is paged out to disk.
    #[arg(long, env = "STOA_MEMORY", value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..))]
    memory: u32,
    /// What AMQP clients are told that this is: `rabbitmq`, because some look at the name, or `stoa`.
    #[arg(long, env = "STOA_COMPAT", value_name = "NAME", default_value_t = Compat::default())]
    compat: Compat,
}

impl ServeArgs {
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => default_data_dir().context("cannot tell the user's data directory: HOME is not set; choose one with --data")?,
        };
        let mut config = Config::new(data, self.amqp);
        config.limits.memory_bytes_max = self.memory as usize * (1 << 20);
        config.compat = self.compat;
        Ok(config)
    }
}

/// `$XDG_DATA_HOME/stoa`, which is `~/.local/share/stoa` where that is not set.
fn default_data_dir() -> Option<PathBuf> {
    let data_home = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let data_home = data_home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))?;
    Some(data_home.join("stoa"))
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
