//! AMQPS: versions, certificates of both sides, the login by certificate, the change of certificates under way.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::login::{Login, guest, log_in, mechanisms};
use crate::served::Served;
use crate::support::broker::Process;
use crate::support::raw::Raw;
use crate::support::{Broker, tool};
use crate::tunnel;

/// An authority, and certificates that it has signed.
struct Authority {
    openssl: PathBuf,
    place: tempfile::TempDir,
}

impl Authority {
    fn new() -> Option<Self> {
        let openssl = tool::find("openssl", "openssl")?;
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("config"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
        let authority = Self { openssl, place };
        authority.issue("ca", "/CN=test authority", &["basicConstraints=critical,CA:TRUE"], None);
        authority.sign("broker", "/CN=broker", &["subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        Some(authority)
    }

    fn file(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    fn sign(&self, name: &str, subject: &str, extensions: &[&str]) {
        self.issue(name, subject, extensions, Some("ca"));
    }

    /// `name.pem` and `name.key`.
    fn issue(&self, name: &str, subject: &str, extensions: &[&str], by: Option<&str>) {
        let mut command = Command::new(&self.openssl);
        command.args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ]);
        command.args(["-config", &self.file("config"), "-subj", subject]);
        command.args([
            "-keyout",
            &self.file(&format!("{name}.key")),
            "-out",
            &self.file(&format!("{name}.pem")),
        ]);
        for extension in extensions {
            command.args(["-addext", extension]);
        }
        if let Some(by) = by {
            command.args(["-CA", &self.file(&format!("{by}.pem")), "-CAkey", &self.file(&format!("{by}.key"))]);
        }
        tool::run(&mut command);
    }

    fn serve(&self, more: &[&str]) -> Option<Served> {
        let (cert, key, ca) = (self.file("broker.pem"), self.file("broker.key"), self.file("ca.pem"));
        let listen = ["--amqps", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
        Served::with(&[&listen, more].concat())
    }

    /// A connection through `openssl s_client` with more arguments, and a client certificate if one is named.
    fn connect(&self, served: &Served, certificate: Option<&str>, more: &[&str]) -> Raw {
        let ca = self.file("ca.pem");
        let pair = certificate.map(|name| (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key"))));
        let mut arguments = vec!["-CAfile", &ca];
        arguments.extend(more);
        if let Some((cert, key)) = &pair {
            arguments.extend(["-cert", cert, "-key", key]);
        }
        Raw::connect(tunnel::openssl(&self.openssl, served.amqps(), &arguments))
    }
}

/// pika with its own TLS: floods in both directions, large bodies, confirms.
#[test]
fn pika() {
    let Some(authority) = Authority::new() else { return };
    let Some(python) = tool::python_with_pika() else { return };
    let Some(served) = authority.serve(&[]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/tls.py");
    let port = served.amqps().port().to_string();
    tool::run(
        Command::new(python)
            .arg(script)
            .args(["127.0.0.1", &port, &authority.file("ca.pem")]),
    );
}

/// rabbitmq-c with OpenSSL.
#[test]
fn amqp_tools() {
    let Some(authority) = Authority::new() else { return };
    let Some(publish) = tool::find("amqp-publish", "amqp-tools") else {
        return;
    };
    let Some(served) = authority.serve(&[]) else { return };
    let ca = authority.file("ca.pem");
    let url = format!("amqps://guest:guest@localhost:{}", served.amqps().port());
    let amqp = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(publish.with_file_name(program));
        tool::run(command.args(["--url", &url, "--cacert", &ca]).args(arguments))
    };
    amqp("amqp-declare-queue", &["-d", "-q", "tools"]);
    amqp("amqp-publish", &["-r", "tools", "-b", "over TLS"]);
    assert_eq!(amqp("amqp-get", &["-q", "tools"]), "over TLS");
}

/// The header of a proxy comes before TLS, and may come in one segment with it.
#[test]
fn behind_a_proxy() {
    let Some(authority) = Authority::new() else { return };
    let Some(python) = tool::find("python3", "python3") else { return };
    let (cert, key) = (authority.file("broker.pem"), authority.file("broker.key"));
    let arguments = ["--amqps", "127.0.0.1:0+proxy", "--tls-cert", &cert, "--tls-key", &key];
    let Some(served) = Served::with(&arguments) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/proxied_tls.py");
    let port = served.amqps().port().to_string();
    tool::run(
        Command::new(python)
            .arg(script)
            .args(["127.0.0.1", &port, &authority.file("ca.pem")]),
    );
    served.says("peer=192.0.2.7:8080");
}

#[test]
fn versions() {
    let Some(authority) = Authority::new() else { return };
    let Some(served) = authority.serve(&[]) else { return };
    for (version, login) in [("-tls1_2", Login::Open), ("-tls1_3", Login::Open), ("-tls1_1", Login::Ended)] {
        assert_eq!(guest(&mut authority.connect(&served, None, &[version])), login, "{version}");
    }
    let Some(served) = authority.serve(&["--set", "tls.version_min=\"1.3\""]) else {
        return;
    };
    for (version, login) in [("-tls1_2", Login::Ended), ("-tls1_3", Login::Open)] {
        assert_eq!(
            guest(&mut authority.connect(&served, None, &[version])),
            login,
            "{version} where 1.3 is the least"
        );
    }
}

#[test]
fn certificates_of_clients() {
    let Some(authority) = Authority::new() else { return };
    authority.sign("guest", "/O=Stoa/CN=guest", &["basicConstraints=critical,CA:FALSE"]);
    authority.sign("nobody", "/CN=nobody", &["basicConstraints=critical,CA:FALSE"]);
    authority.issue("other", "/CN=other authority", &["basicConstraints=critical,CA:TRUE"], None);
    authority.issue("forged", "/CN=guest", &["basicConstraints=critical,CA:FALSE"], Some("other"));
    let plain = ("PLAIN", &b"\0guest\0guest"[..]);
    let external = ("EXTERNAL", &b""[..]);
    let with = "PLAIN AMQPLAIN EXTERNAL";
    let without = "PLAIN AMQPLAIN";
    for (wanted, certificate, offered, (mechanism, response), login) in [
        ("none", Some("guest"), Some(without), external, Login::Ended),
        ("none", Some("guest"), Some(without), plain, Login::Open),
        ("optional", None, Some(without), plain, Login::Open),
        ("optional", None, Some(without), external, Login::Ended),
        ("optional", Some("guest"), Some(with), external, Login::Open),
        ("optional", Some("guest"), Some(with), plain, Login::Open),
        ("optional", Some("nobody"), Some(with), external, Login::Refused(403)),
        ("optional", Some("forged"), None, external, Login::Ended),
        ("required", None, None, plain, Login::Ended),
        ("required", Some("guest"), Some(with), external, Login::Open),
        ("required", Some("forged"), None, external, Login::Ended),
    ] {
        let Some(served) = authority.serve(&["--tls-client-certificates", wanted]) else {
            return;
        };
        for version in ["-tls1_2", "-tls1_3"] {
            let mut raw = authority.connect(&served, certificate, &[version]);
            let case = format!("{wanted}, {certificate:?}, {mechanism}, {version}");
            assert_eq!(mechanisms(&mut raw).as_deref(), offered, "{case}");
            if offered.is_some() {
                assert_eq!(log_in(&mut raw, mechanism, response, &[]), login, "{case}");
            }
        }
    }
}

impl Authority {
    /// Writes `crl.pem`, the list of these revoked certificates.
    fn revoke(&self, names: &[&str]) {
        let mut index = String::new();
        for name in names {
            let mut command = Command::new(&self.openssl);
            command.args(["x509", "-noout", "-serial", "-in", &self.file(&format!("{name}.pem"))]);
            let serial = tool::run(&mut command).trim().replace("serial=", "");
            index += &format!("R\t491231235959Z\t260101000000Z\t{serial}\tunknown\t/CN={name}\n");
        }
        std::fs::write(self.file("index"), index).unwrap();
        std::fs::write(self.file("crlnumber"), "01\n").unwrap();
        let config = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={}\ncrlnumber={}\ndefault_md=sha256\ndefault_crl_days=2\n",
            self.file("index"),
            self.file("crlnumber")
        );
        std::fs::write(self.file("ca.config"), config).unwrap();
        let mut command = Command::new(&self.openssl);
        command.args(["ca", "-gencrl", "-config", &self.file("ca.config")]);
        command.args([
            "-keyfile",
            &self.file("ca.key"),
            "-cert",
            &self.file("ca.pem"),
            "-out",
            &self.file("crl.pem"),
        ]);
        tool::run(&mut command);
    }
}

#[test]
fn revoked_certificates_are_refused_and_the_list_is_read_again() {
    let Some(authority) = Authority::new() else { return };
    for name in ["guest", "lost"] {
        authority.sign(name, "/CN=guest", &["basicConstraints=critical,CA:FALSE"]);
    }
    authority.revoke(&["lost"]);
    let set = format!("tls.crl={}", authority.file("crl.pem"));
    let arguments = [
        "--tls-client-certificates",
        "required",
        "--set",
        &set,
        "--set",
        "alarms.interval=20ms",
    ];
    let Some(served) = authority.serve(&arguments) else { return };
    let is_taken = |name: &str, version: &str| mechanisms(&mut authority.connect(&served, Some(name), &[version])).is_some();
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(is_taken("guest", version) && !is_taken("lost", version), "{version}");
    }
    authority.revoke(&["lost", "guest"]);
    served.says("certificates read again");
    assert!(!is_taken("guest", "-tls1_3"));
    let wrong = format!("tls.crl={}", authority.file("ca.pem"));
    let (cert, key) = (authority.file("broker.pem"), authority.file("broker.key"));
    let ca = authority.file("ca.pem");
    let tls = [
        "config",
        "check",
        "--amqps",
        "127.0.0.1:0",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-ca",
        &ca,
    ];
    for (more, words) in [
        (
            &["--tls-client-certificates", "required", "--set", &wrong][..],
            "there is no list of revoked certificates in it",
        ),
        (&["--set", &set], "tls.client_certificates asks for none"),
    ] {
        let (status, said) = Process::spawn([&tls[..], more].concat()).ended();
        assert!(!status.success() && said.contains(words), "{said}");
    }
}

#[test]
fn parts_of_a_certificate_that_name_the_user() {
    let Some(authority) = Authority::new() else { return };
    let end = "basicConstraints=critical,CA:FALSE";
    authority.sign(
        "named",
        "/CN=nobody",
        &[end, "subjectAltName=email:guest,URI:guest,DNS:guest,DNS:nobody"],
    );
    authority.sign("other", "/CN=guest", &[end, "subjectAltName=DNS:nobody,URI:urn:nobody"]);
    for (part, certificate, offered, login) in [
        ("san_dns", "named", true, Login::Open),
        ("san_email", "named", true, Login::Open),
        ("san_uri", "named", true, Login::Open),
        ("common_name", "named", true, Login::Refused(403)),
        ("distinguished_name", "other", true, Login::Refused(403)),
        ("san_dns", "other", true, Login::Refused(403)),
        ("san_email", "other", false, Login::Ended),
        ("common_name", "other", true, Login::Open),
    ] {
        let set = format!("sasl.external_user={part}");
        let Some(served) = authority.serve(&["--tls-client-certificates", "required", "--set", &set]) else {
            return;
        };
        let mut raw = authority.connect(&served, Some(certificate), &[]);
        let has = mechanisms(&mut raw).unwrap().contains("EXTERNAL");
        assert_eq!(has, offered, "{part} of {certificate}");
        assert_eq!(log_in(&mut raw, "EXTERNAL", b"", &[]), login, "{part} of {certificate}");
    }
}

/// Certificates change without a restart: by themselves, or when asked by SIGHUP. Those that are connected stay.
#[test]
fn certificates_change_under_way() {
    let Some(authority) = Authority::new() else { return };
    let Some(served) = authority.serve(&["--set", "alarms.interval=20ms"]) else {
        return;
    };
    let subject = || {
        let mut command = Command::new(&authority.openssl);
        command.args(["s_client", "-connect", &served.amqps().to_string()]);
        let said = String::from_utf8_lossy(&tool::output(&mut command).stdout).into_owned();
        said.lines()
            .find(|line| line.starts_with("subject="))
            .unwrap_or_default()
            .replace(' ', "")
    };
    let mut connected = authority.connect(&served, None, &[]);
    assert_eq!(guest(&mut connected), Login::Open);
    assert_eq!(subject(), "subject=CN=broker");
    authority.sign("next", "/CN=next", &["subjectAltName=IP:127.0.0.1"]);
    let put = |from: &str, to: &str| std::fs::copy(authority.file(from), authority.file(to)).unwrap();
    put("next.pem", "broker.pem");
    put("next.key", "broker.key");
    served.says("certificates read again");
    while subject() != "subject=CN=next" {
        // the thread may have seen the new certificate with the old key first
    }
    std::fs::write(authority.file("broker.key"), "gibberish").unwrap();
    served.says("cannot be used; the ones before stay in use");
    assert_eq!(subject(), "subject=CN=next");
    put("next.key", "broker.key");
    let before = served.process.stderr().matches("certificates read again").count();
    tool::run(Command::new("kill").args(["-HUP", &served.process.id().to_string()]));
    while served.process.stderr().matches("certificates read again").count() <= before {
        std::thread::yield_now();
    }
    assert_eq!(subject(), "subject=CN=next");
    connected.open(1);
}

#[test]
fn what_is_not_tls_is_closed_and_named() {
    let Some(authority) = Authority::new() else { return };
    let Some(served) = authority.serve(&["--set", "limits.handshake=500ms"]) else {
        return;
    };
    let mut raw = Raw::connect(served.amqps());
    raw.send(b"AMQP\0\0\x09\x01");
    assert!(raw.ends());
    served.says("the client speaks AMQP without TLS on a port for TLS");
    let mut raw = Raw::connect(served.amqps());
    raw.send(b"GET / HTTP/1.1\r\n\r\n");
    raw.octets(1000);
    assert!(raw.ends());
    // half a ClientHello, and silence
    for begin in [&b""[..], b"\x16\x03\x01\x02\0\x01"] {
        let mut raw = Raw::connect(served.amqps());
        raw.send(begin);
        assert!(raw.ends());
    }
}

#[test]
fn what_cannot_be_used_is_named_at_the_start() {
    if Broker::is_external() {
        return;
    }
    let Some(authority) = Authority::new() else { return };
    let (cert, key, config, ca) = (
        authority.file("broker.pem"),
        authority.file("broker.key"),
        authority.file("config"),
        authority.file("ca.key"),
    );
    let data = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (vec![], "tls.cert"),
        (vec!["--tls-cert", &cert], "tls.key"),
        (vec!["--tls-cert", "/nowhere.pem", "--tls-key", &key], "/nowhere.pem"),
        (vec!["--tls-cert", &config, "--tls-key", &key], "there is no certificate in it"),
        (vec!["--tls-cert", &cert, "--tls-key", &config], "there is no private key in it"),
        (vec!["--tls-cert", &cert, "--tls-key", &ca], "tls.cert and tls.key"),
        (
            vec!["--tls-cert", &cert, "--tls-key", &key, "--tls-client-certificates", "required"],
            "tls.ca",
        ),
    ] {
        for command in [&["serve", "--data", data.path().to_str().unwrap()][..], &["config", "check"]] {
            let (status, said) = Process::spawn([command, &["--amqps", "127.0.0.1:0"], &arguments].concat()).ended();
            assert!(!status.success() && said.contains(words), "{command:?} {arguments:?}: {said}");
        }
    }
    assert_eq!(
        std::fs::read_dir(data.path()).unwrap().count(),
        0,
        "a refused start leaves nothing behind"
    );
}
