//! A way to a broker that does not listen on plain TCP, for clients that know nothing else.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// Copies until the end or the first error, and then ends the other side.
fn copy(mut from: impl Read, mut to: impl Write, end: impl FnOnce()) {
    let mut chunk = vec![0; 65536];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        if to.write_all(&chunk[..n]).and_then(|()| to.flush()).is_err() {
            break;
        }
    }
    drop(to);
    end();
}

fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    address
}

/// Every connection goes through an `openssl s_client` of its own with these arguments.
pub(crate) fn openssl(openssl: &Path, to: SocketAddr, arguments: &[&str]) -> SocketAddr {
    let openssl: PathBuf = openssl.to_owned();
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    listen(move |socket| {
        let mut child = Command::new(&openssl)
            .args(["s_client", "-quiet", "-verify_return_error", "-connect", &to.to_string()])
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (reader, closer, writer) = (socket.try_clone().unwrap(), socket.try_clone().unwrap(), socket);
        thread::spawn(move || copy(reader, input, || {}));
        thread::spawn(move || {
            copy(output, writer, || drop(closer.shutdown(Shutdown::Both)));
            let _ = child.kill();
            let _ = child.wait();
        });
    })
}

/// Every connection goes to a Unix socket.
pub(crate) fn unix(path: &Path) -> SocketAddr {
    let path = path.to_owned();
    listen(move |socket| {
        let Ok(unix) = UnixStream::connect(&path) else { return };
        let (reader, ended) = (socket.try_clone().unwrap(), unix.try_clone().unwrap());
        let (unix_reader, closer) = (unix.try_clone().unwrap(), socket.try_clone().unwrap());
        thread::spawn(move || copy(reader, unix, || drop(ended.shutdown(Shutdown::Write))));
        thread::spawn(move || copy(unix_reader, socket, || drop(closer.shutdown(Shutdown::Both))));
    })
}
