//! Programs from outside: finding them, installing them where that is possible, running them with a deadline.
//!
//! A machine without them skips the tests that need them, unless `STOA_TEST_TOOLS=required` says that it must have them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use super::DEADLINE;

/// A program that tests can run, or None if the machine has no way to it.
pub fn find(program: &str, debian_package: &str) -> Option<PathBuf> {
    let path = on_path(program).or_else(|| {
        apt_get(debian_package);
        on_path(program)
    });
    or_skip(
        path,
        &format!("{program} is not here, and neither is the Debian package {debian_package}"),
    )
}

/// Python with pika, in a virtual environment below the target directory. It is made once, and needs PyPI for that.
pub fn python_with_pika() -> Option<PathBuf> {
    python_with("pika", "pika>=1.3,<2")
}

/// The same with another module, and the package that it comes in.
pub fn python_with(module: &str, package: &str) -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join(module);
    let python = venv.join("bin/python");
    let has_module = || succeeds(Command::new(&python).arg("-c").arg(format!("import {module}")));
    if !has_module() {
        let system = find("python3", "python3-venv")?;
        if !succeeds(Command::new(&system).args(["-m", "venv", "--clear"]).arg(&venv)) {
            apt_get("python3-venv");
            succeeds(Command::new(&system).args(["-m", "venv", "--clear"]).arg(&venv));
        }
        succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]));
    }
    or_skip(has_module().then_some(python), &format!("{module} cannot be installed from PyPI"))
}

/// Runs to the end, within the deadline. Its standard output; on failure the test fails with all that it said.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Runs to the end, within the deadline.
pub fn output(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let id = child.id();
    let (send, done) = mpsc::channel();
    let waiter = thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = done.recv_timeout(2 * DEADLINE) else {
        let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        let _ = waiter.join();
        panic!("{command:?} did not end")
    };
    output.unwrap()
}

/// What was found; without it the test is skipped, or fails where everything has to be there.
pub fn or_skip<T>(found: Option<T>, missing: &str) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var("STOA_TEST_TOOLS").as_deref() != Ok("required"), "{missing}");
        println!("skipped: {missing}");
    }
    found
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Works for root on Debian and its kin; elsewhere it does nothing.
fn apt_get(package: &str) {
    let lock = "DPkg::Lock::Timeout=120";
    let apt = |arguments: &[&str]| {
        let quiet = ["-qq", "-o", lock];
        succeeds(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(quiet)
                .args(arguments),
        )
    };
    let install = ["install", "-y", "--no-install-recommends", package];
    if !apt(&install) && apt(&["update"]) {
        apt(&install);
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}
