//! The configuration as a file: what `--config` names, what `config show` prints. Environment and flags go over it (`options.rs`).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use stoa_server::{
    AlarmConfig, Compat, Config, Interceptors, Limits, ManagementConfig, SaslConfig, StoreConfig, TcpListen, TlsConfig, UnixListen,
};

/// Everything that can be set. docs/configuration.md explains it, and a test holds the two together.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Empty: `stoa` below the user's data directory.
    pub(crate) data: PathBuf,
    pub(crate) amqp: Vec<TcpListen>,
    pub(crate) amqps: Vec<TcpListen>,
    pub(crate) amqp_unix: Vec<UnixListen>,
    pub(crate) http: SocketAddr,
    pub(crate) prometheus: Vec<SocketAddr>,
    pub(crate) threads: usize,
    pub(crate) compat: Compat,
    pub(crate) statistics: bool,
    pub(crate) limits: Limits,
    pub(crate) store: StoreConfig,
    pub(crate) tls: TlsConfig,
    pub(crate) sasl: SaslConfig,
    pub(crate) alarms: AlarmConfig,
    pub(crate) management: ManagementConfig,
    pub(crate) message_interceptors: Interceptors,
}

impl Default for Configuration {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            data: PathBuf::new(),
            amqp: vec![local(5672).into()],
            amqps: Vec::new(),
            amqp_unix: Vec::new(),
            http: local(15672),
            prometheus: Vec::new(),
            threads: Config::default_threads(),
            compat: Compat::default(),
            statistics: true,
            limits: Limits::default(),
            store: StoreConfig::default(),
            tls: TlsConfig::default(),
            sasl: SaslConfig::default(),
            alarms: AlarmConfig::default(),
            management: ManagementConfig::default(),
            message_interceptors: Interceptors::default(),
        }
    }
}

impl Configuration {
    /// Reads a file. What it does not name is as it is by default; a name that is not known is an error.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in the configuration file {}", path.display()))
    }

    /// Sets one setting by its name, such as `limits.frame_max`. The value is what TOML takes, or a text without its quotes.
    pub(crate) fn set(&mut self, assignment: &str) -> anyhow::Result<()> {
        let Some((key, value)) = assignment.split_once('=') else {
            bail!("'{assignment}' is not KEY=VALUE");
        };
        let mut all = toml::Table::try_from(&*self)?;
        let mut table = &mut all;
        let mut names: Vec<&str> = key.trim().split('.').collect();
        let last = names.pop().unwrap_or_default();
        for name in names {
            let inner = table.get_mut(name).and_then(toml::Value::as_table_mut);
            table = inner.with_context(|| format!("there is no setting '{key}'"))?;
        }
        if !table.contains_key(last) {
            bail!("there is no setting '{key}'");
        }
        table.insert(last.to_owned(), value_of(value.trim()));
        *self = all.try_into().with_context(|| format!("setting '{key}'"))?;
        Ok(())
    }

    /// As the file that says all of it.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }

    /// What the broker is started with.
    pub(crate) fn into_config(self) -> anyhow::Result<Config> {
        let data = if self.data.as_os_str().is_empty() {
            default_data_dir().context("cannot tell the user's data directory: HOME is not set; choose one with --data")?
        } else {
            self.data
        };
        Ok(Config {
            amqp: self.amqp,
            amqps: self.amqps,
            amqp_unix: self.amqp_unix,
            threads: self.threads,
            compat: self.compat,
            statistics: self.statistics,
            limits: self.limits,
            store: self.store,
            tls: self.tls,
            sasl: self.sasl,
            alarms: self.alarms,
            management: self.management,
            message_interceptors: self.message_interceptors,
            ..Config::new(data)
        })
    }
}

fn value_of(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// `$XDG_DATA_HOME/stoa`, which is `~/.local/share/stoa` where that is not set.
fn default_data_dir() -> Option<PathBuf> {
    let data_home = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let data_home = data_home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))?;
    Some(data_home.join("stoa"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every setting with its default, by its full name.
    fn settings() -> BTreeMap<String, String> {
        fn walk(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
            for (name, value) in table {
                match value {
                    toml::Value::Table(inner) => walk(&format!("{prefix}{name}."), inner, into),
                    value => drop(into.insert(format!("{prefix}{name}"), value.to_string())),
                }
            }
        }
        let mut found = BTreeMap::new();
        walk("", &toml::Table::try_from(Configuration::default()).unwrap(), &mut found);
        found
    }

    #[test]
    fn the_documentation_has_every_setting_with_its_default() {
        let document = include_str!("../docs/configuration.md");
        let documented: BTreeMap<_, _> = document
            .lines()
            .filter_map(|line| {
                let mut cells = line
                    .strip_prefix("| `")?
                    .split('|')
                    .map(|cell| cell.trim().trim_matches('`').to_owned());
                Some((cells.next()?, cells.next()?))
            })
            .collect();
        let mut actual = settings();
        // It depends on the machine.
        actual.insert("threads".into(), "one per core".into());
        assert_eq!(documented, actual, "docs/configuration.md (left) and the code (right) differ");
        assert!(
            document
                .lines()
                .filter(|line| line.starts_with("| `"))
                .all(|line| line.split('|').count() == 5)
        );
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let shown = Configuration::default().to_toml().unwrap();
        let read: Configuration = toml::from_str(&shown).unwrap();
        assert_eq!(read.to_toml().unwrap(), shown);
    }

    #[test]
    fn every_setting_is_an_error_if_its_value_is_nonsense() {
        for key in settings().into_keys() {
            let is_text = ["data", "tls.cert", "tls.key", "tls.ca", "tls.crl", "sasl.anonymous_user"].contains(&key.as_str());
            let nonsense = if is_text { "[1]" } else { "nonsense" };
            let error = Configuration::default().set(&format!("{key}={nonsense}")).unwrap_err();
            assert!(format!("{error:#}").contains(&key), "{key}: {error:#}");
        }
    }

    #[test]
    fn settings_are_set_by_name() {
        let mut configuration = Configuration::default();
        for assignment in [
            "limits.frame_max = 8192",
            "limits.handshake=2s",
            "alarms.disk_free_min=1GB",
            "amqp=[\"[::1]:0+proxy\"]",
            "tls.version_min=\"1.3\"",
            "store.sync=200ms",
        ] {
            configuration.set(assignment).unwrap();
        }
        let shown = configuration.to_toml().unwrap();
        for line in [
            "frame_max = \"8KiB\"",
            "handshake = \"2s\"",
            "disk_free_min = \"1000000000\"",
            "amqp = [\"[::1]:0+proxy\"]",
            "version_min = \"1.3\"",
            "sync = \"200ms\"",
        ] {
            assert!(shown.contains(line), "{line} in\n{shown}");
        }
        for assignment in ["limits", "limits.frame_mx=1", "limit.frame_max=1", "frame_max=1", "=1", "data.x=1"] {
            assert!(configuration.set(assignment).is_err(), "{assignment}");
        }
    }

    #[test]
    fn an_unknown_name_in_the_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stoa.toml");
        for (text, named) in [
            ("[limits]\nframe_mx = 1\n", "frame_mx"),
            ("limit = 1\n", "limit"),
            ("[limits]\nhandshake = \"10\"\n", "'10' is not a time"),
            ("amqp = [\"localhost\"]\n", "'localhost' is not ADDR:PORT"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", Configuration::read(&file).unwrap_err());
            assert!(error.contains(named) && error.contains("stoa.toml"), "{error}");
        }
        std::fs::write(&file, "http = \"127.0.0.1:8080\"\n[limits]\nmemory_bytes_max = \"64MiB\"\n").unwrap();
        let read = Configuration::read(&file).unwrap();
        assert_eq!((read.http.port(), read.limits.memory_bytes_max), (8080, 64 << 20));
    }
}
