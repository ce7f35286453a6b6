//! The binary `stoa`: command line, tracing, signals. It composes the crates and does nothing else.

mod configuration;
mod options;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use configuration::Configuration;
use options::{Cli, Command, ConfigCommand};
use stoa_server::Listening;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("STOA_LOG").unwrap_or_else(|_| "info".into());
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .init();
    match run(cli.command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve(args.configuration()?),
        Command::Config(ConfigCommand::Show(args)) => {
            let shown = args.configuration()?.to_toml()?;
            Ok(std::io::stdout().write_all(shown.as_bytes())?)
        }
        Command::Config(ConfigCommand::Check(args)) => {
            args.configuration()?.into_config()?.check_files()?;
            Ok(writeln!(std::io::stdout(), "the configuration is good")?)
        }
    }
}

fn serve(configuration: Configuration) -> anyhow::Result<()> {
    options::check_cpu()?;
    options::raise_open_files();
    let http = bind(configuration.http, "http")?;
    let http_address = http.local_addr()?;
    let prometheus: Vec<_> = configuration
        .prometheus
        .iter()
        .map(|at| bind(*at, "prometheus"))
        .collect::<Result<_, _>>()?;
    let prometheus_addresses: Vec<_> = prometheus.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
    let broker = stoa_server::start(configuration.into_config()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signal = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        let listener = tokio::net::TcpListener::from_std(http)?;
        let prometheus = prometheus
            .into_iter()
            .map(tokio::net::TcpListener::from_std)
            .collect::<Result<_, _>>()?;
        let web = stoa_web::serve(broker.broker.clone(), listener, prometheus);
        tokio::pin!(web);
        announce(&broker, http_address, &prometheus_addresses);
        loop {
            tokio::select! {
                ended = &mut web => return ended.map(|()| "the end of the HTTP server"),
                _ = interrupt.recv() => return Ok("SIGINT"),
                _ = terminate.recv() => return Ok("SIGTERM"),
                _ = hang_up.recv() => broker.broker.reload_certificates(),
            }
        }
    })?;
    tracing::info!("stopping on {signal}");
    broker.stop();
    Ok(())
}

/// Listens for HTTP; `flag` says where.
fn bind(at: SocketAddr, flag: &str) -> anyhow::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(at).with_context(|| {
        format!("cannot listen for HTTP on {at}; is another broker running there? choose another address with --{flag}")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The one line on standard output.
fn announce(broker: &stoa_server::Running, http: SocketAddr, prometheus: &[SocketAddr]) {
    let listening: Vec<String> = broker.listening.iter().map(ToString::to_string).collect();
    let mut line = format!("Stoa is ready: {}", listening.join(", "));
    line.push_str(if listening.is_empty() { "" } else { " and " });
    line.push_str(&format!("http://{http} (user guest, password guest)."));
    for at in prometheus {
        line.push_str(&format!(" Metrics: http://{at}/metrics."));
    }
    if let Some(amqp) = broker.listening.iter().find(|at| matches!(at, Listening::Amqp(_))) {
        line.push_str(&format!(
            " First message: amqp-declare-queue -u {amqp} -d -q hello && amqp-publish -u {amqp} -r hello -b 'Hello'"
        ));
    }
    // Whoever started the broker may have closed its standard output: that is no reason to stop.
    drop(writeln!(std::io::stdout(), "{line}"));
}
