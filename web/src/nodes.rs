//! `/api/nodes`: this node, which is the only one.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{ExchangeKind, RABBITMQ_VERSION};

use crate::failure::Failure;
use crate::names::NODE;
use crate::query::Query;
use crate::samples::Ages;
use crate::{Api, Site, listing, sampled};

/// Every type of exchange, as RabbitMQ shows it.
pub(crate) fn exchange_types() -> Vec<Value> {
    let kinds = ExchangeKind::ALL.iter().map(|kind| kind.name());
    kinds
        .map(|name| json!({"name": name, "description": format!("exchange type {name}"), "enabled": true}))
        .collect()
}

/// What the operating system says of this process; where it does not, zero.
pub(crate) struct Process {
    pub(crate) files: u64,
    pub(crate) files_max: u64,
    pub(crate) sockets: u64,
    pub(crate) resident: u64,
    pub(crate) threads: u64,
    pub(crate) threads_max: u64,
}

impl Process {
    pub(crate) fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let status = read("/proc/self/status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            number(line.unwrap_or_default())
        };
        let limit = |name: &str| {
            let limits = read("/proc/self/limits");
            let line = limits.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            number(&line.unwrap_or_default())
        };
        let files: Vec<_> = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().collect();
        let is_socket = |file: &&std::fs::DirEntry| {
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            target.to_string_lossy().starts_with("socket:")
        };
        Self {
            files: files.len() as u64,
            files_max: limit("Max open files"),
            sockets: files.iter().filter(is_socket).count() as u64,
            resident: field("VmRSS") * 1024,
            threads: field("Threads"),
            threads_max: limit("Max processes"),
        }
    }
}

/// Processes that want to run, of the whole machine.
fn load() -> u64 {
    let average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let running = average.split([' ', '/']).nth(3);
    running.and_then(|running| running.parse().ok()).unwrap_or(0)
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn view(api: &Api, query: &Query) -> Value {
    let (alarms, process) = (api.broker.alarms(), Process::look());
    let (ages, seen) = (Ages::of(query), api.broker.overview());
    let figures = api.samples.node(&sampled::node(&api.broker, &process), ages);
    let (_, churn) = api.samples.beside(&seen, ages);
    let mut value = json!({
        "name": NODE,
        "type": "disc",
        "running": true,
        "being_drained": false,
        "partitions": [],
        "os_pid": std::process::id().to_string(),
        "uptime": api.broker.uptime().as_millis() as u64,
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "run_queue": load(),
        "rates_mode": "basic",
        "net_ticktime": 60,
        "exchange_types": exchange_types(),
        "auth_mechanisms": [
            {"name": "AMQPLAIN", "description": "QPid AMQPLAIN mechanism", "enabled": true},
            {"name": "PLAIN", "description": "SASL PLAIN authentication mechanism", "enabled": true},
        ],
        "applications": [{"name": "stoa", "description": "Stoa", "version": env!("CARGO_PKG_VERSION")}],
        "contexts": [],
        "enabled_plugins": ["rabbitmq_management", "rabbitmq_consistent_hash_exchange", "rabbitmq_delayed_message_exchange"],
        "config_files": [],
        "log_files": [],
        "db_dir": api.broker.config().data.display().to_string(),
        "cluster_links": [],
        "rabbitmq_version": RABBITMQ_VERSION,
        "mem_limit": alarms.memory_max,
        "mem_alarm": alarms.memory,
        "mem_calculation_strategy": "rss",
        "disk_free_limit": alarms.disk_free_min,
        "disk_free_alarm": alarms.disk,
        "fd_total": process.files_max,
        "sockets_total": process.files_max,
        "proc_total": process.threads_max,
    });
    if let Value::Object(fields) = &mut value {
        fields.extend(figures);
        fields.extend(churn);
    }
    value
}

pub(crate) async fn list(State(api): Site, query: Query) -> Result<Response, Failure> {
    listing::list(vec![view(&api, &query)], &query).await
}

fn check(name: &str) -> Result<(), Failure> {
    if name == NODE { Ok(()) } else { Err(Failure::not_found()) }
}

pub(crate) async fn get(State(api): Site, Path(name): Path<String>, query: Query) -> Result<Response, Failure> {
    check(&name)?;
    let mut node = view(&api, &query);
    if query.flag("memory") {
        node["memory"] = memory();
    }
    Ok(listing::object(node, &query))
}

/// RabbitMQ's breakdown is Erlang's; here there is one figure, which is all of it.
fn memory() -> Value {
    let resident = Process::look().resident;
    let mut memory = json!({"total": {"rss": resident, "allocated": resident, "erlang": resident}, "strategy": "rss"});
    let parts = [
        "connection_readers",
        "connection_writers",
        "connection_channels",
        "connection_other",
        "queue_procs",
        "queue_slave_procs",
        "quorum_queue_procs",
        "stream_queue_procs",
        "stream_queue_replica_reader_procs",
        "stream_queue_coordinator_procs",
        "plugins",
        "metadata_store",
        "other_proc",
        "metrics",
        "mgmt_db",
        "mnesia",
        "quorum_ets",
        "metadata_store_ets",
        "other_ets",
        "binary",
        "msg_index",
        "code",
        "atom",
        "other_system",
        "allocated_unused",
        "reserved_unallocated",
    ];
    for part in parts {
        memory[part] = json!(0);
    }
    memory["binary"] = json!(resident);
    memory
}

pub(crate) async fn get_memory(Path(name): Path<String>, query: Query) -> Result<Response, Failure> {
    check(&name)?;
    Ok(listing::object(json!({"memory": memory()}), &query))
}
