//! The binary `stoa`: command line, tracing, signals. It composes the crates and does nothing else.

mod options;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use options::{Cli, ServeArgs};
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
    match serve(&cli.serve_args()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    options::check_cpu()?;
    options::raise_open_files();
    let http = std::net::TcpListener::bind(args.http).with_context(|| {
        format!(
            "cannot listen for HTTP on {}; is another broker running there? choose another address with --http",
            args.http
        )
    })?;
    http.set_nonblocking(true)?;
    let http_address = http.local_addr()?;
    let broker = stoa_server::start(args.config()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signal = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let listener = tokio::net::TcpListener::from_std(http)?;
        announce(&broker, http_address);
        tokio::select! {
            ended = stoa_web::serve(broker.broker.clone(), listener) => ended.map(|()| "the end of the HTTP server"),
            _ = interrupt.recv() => Ok("SIGINT"),
            _ = terminate.recv() => Ok("SIGTERM"),
        }
    })?;
    tracing::info!("stopping on {signal}");
    broker.stop();
    Ok(())
}

/// The one line on standard output.
fn announce(broker: &stoa_server::Running, http: std::net::SocketAddr) {
    let amqp = format!("amqp://{}", broker.amqp);
    let line = format!(
        "Stoa is ready: {amqp} and http://{http} (user guest, password guest). \
         First message: amqp-declare-queue -u {amqp} -d -q hello && amqp-publish -u {amqp} -r hello -b 'Hello'"
    );
    // Whoever started the broker may have closed its standard output: that is no reason to stop.
    drop(writeln!(std::io::stdout(), "{line}"));
}
