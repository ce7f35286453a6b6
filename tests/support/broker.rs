//! The broker as a process: started on free ports, killed, restarted on its directory, always reaped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use super::DEADLINE;

/// A broker to test against.
pub struct Broker {
    amqp: SocketAddr,
    http: Option<SocketAddr>,
    process: Option<Process>,
    data: Option<tempfile::TempDir>,
    /// What is added to its command line at every start.
    arguments: Vec<&'static str>,
}

impl Broker {
    /// One broker for all tests of a binary that run at the same time and need nothing of it but service. The last one out stops it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(Self::external().unwrap_or_else(|| Self::start(&[])));
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// A broker of the test's own, to be killed at will. None (and the test is to be skipped) when the tests run against another broker.
    pub fn own() -> Option<Self> {
        Self::own_with(&[])
    }

    /// The same with more arguments on its command line.
    pub fn own_with(arguments: &[&'static str]) -> Option<Self> {
        if Self::is_external() {
            println!("skipped: STOA_TEST_AMQP names a running broker, and this test needs one of its own");
            return None;
        }
        Some(Self::start(arguments))
    }

    /// Whether the tests run against a broker that somebody else started.
    pub fn is_external() -> bool {
        std::env::var_os("STOA_TEST_AMQP").is_some()
    }

    fn external() -> Option<Self> {
        let amqp = std::env::var("STOA_TEST_AMQP")
            .ok()?
            .parse()
            .expect("STOA_TEST_AMQP is not host:port");
        Some(Self {
            amqp,
            http: None,
            process: None,
            data: None,
            arguments: Vec::new(),
        })
    }

    fn start(arguments: &[&'static str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (process, amqp, http) = serve(data.path(), arguments);
        Self {
            amqp,
            http: Some(http),
            process: Some(process),
            data: Some(data),
            arguments: arguments.to_vec(),
        }
    }

    /// Where AMQP is spoken.
    pub fn amqp(&self) -> SocketAddr {
        self.amqp
    }

    /// Where HTTP is spoken.
    pub fn http(&self) -> SocketAddr {
        self.http.expect("only a broker of the test's own has a known HTTP port")
    }

    /// For clients that want a URI.
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.amqp)
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.data
            .as_ref()
            .expect("only a broker of the test's own has a known directory")
            .path()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the broker is down")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// A process that starts on the directory of the killed broker, and is not waited for.
    pub fn start_again(&self) -> Process {
        assert!(self.process.is_none(), "the broker is still up");
        Process::serve(self.data(), &self.arguments)
    }

    /// Starts again on the same directory, on other ports.
    pub fn restart(&mut self) {
        self.kill();
        let (process, amqp, http) = serve(self.data(), &self.arguments);
        (self.process, self.amqp, self.http) = (Some(process), amqp, Some(http));
    }
}

fn serve(data: &Path, arguments: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    let mut process = Process::serve(data, arguments);
    let ready = process.ready();
    let address = |scheme: &str| {
        let rest = ready
            .split_once(scheme)
            .unwrap_or_else(|| panic!("no {scheme} in the ready line: {ready}"))
            .1;
        let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c)).unwrap_or(rest.len());
        rest[..end]
            .trim_end_matches('.')
            .parse()
            .unwrap_or_else(|_| panic!("no address after {scheme} in the ready line: {ready}"))
    };
    (process, address("amqp://"), address("http://"))
}

/// A running `stoa`. Dropped, it is killed with SIGKILL and reaped.
pub struct Process {
    child: Child,
    stdout: Mutex<Receiver<String>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_end: Mutex<Receiver<()>>,
    /// Somebody has waited for its end.
    has_ended: bool,
}

impl Process {
    /// Starts `stoa` with these arguments, and with any free ports unless they name some.
    pub fn spawn(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stoa"));
        command
            .env("STOA_AMQP", "127.0.0.1:0")
            .env("STOA_HTTP", "127.0.0.1:0")
            .env_remove("STOA_DATA")
            .args(arguments);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (line, stdout) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        let (end, stderr_end) = mpsc::channel();
        let stderr: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut source, sink) = (child.stderr.take().unwrap(), stderr.clone());
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = source.read(&mut chunk) {
                sink.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
            let _ = end.send(());
        });
        Self {
            child,
            stdout: Mutex::new(stdout),
            stderr,
            stderr_end: Mutex::new(stderr_end),
            has_ended: false,
        }
    }

    /// `stoa serve` on a directory and any free ports.
    pub fn serve(data: &Path, arguments: &[&str]) -> Self {
        let serve = [OsStr::new("serve"), "--data".as_ref(), data.as_ref()];
        Self::spawn(serve.into_iter().chain(arguments.iter().map(OsStr::new)))
    }

    /// Waits for the line that says that the broker is ready.
    pub fn ready(&mut self) -> String {
        loop {
            match self.stdout.get_mut().unwrap().recv_timeout(DEADLINE) {
                Ok(line) if line.contains("ready") => return line,
                Ok(_) => {}
                Err(error) => panic!("the broker did not get ready: {error}"),
            }
        }
    }

    /// Waits until it ends by itself; what it said on standard error.
    pub fn ended(&mut self) -> (ExitStatus, String) {
        self.stderr_end
            .get_mut()
            .unwrap()
            .recv_timeout(DEADLINE)
            .expect("the process goes on, and should have ended");
        self.has_ended = true;
        (self.child.wait().unwrap(), self.stderr())
    }

    /// What it has said on standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM).
    pub fn ask_to_stop(&self) {
        assert!(Command::new("kill").arg(self.id().to_string()).status().unwrap().success());
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub fn terminate(&mut self) -> (ExitStatus, String) {
        self.ask_to_stop();
        self.ended()
    }

    /// Memory that it has, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Sockets that it has open.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(self.proc().join("fd")).unwrap();
        let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// Its directory in /proc.
    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let died = !self.has_ended && !matches!(self.child.try_wait(), Ok(None));
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() || died {
            let _ = self.stderr_end.get_mut().unwrap().recv_timeout(DEADLINE);
            println!(
                "--- the broker's standard error{}:\n{}---",
                if died { " (it ended by itself)" } else { "" },
                self.stderr()
            );
        }
    }
}
