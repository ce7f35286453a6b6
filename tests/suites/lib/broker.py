"""The broker that a suite is run against: one that is started here on free ports, or one that somebody else runs."""

import re
import socket
import subprocess
import tempfile
from pathlib import Path

from .missing import Missing

ROOT = Path(__file__).resolve().parents[3]


class Broker:
    def __init__(self, host, port, http=None, process=None, data=None):
        self.host, self.port, self.http = host, int(port), http
        self.process, self.data = process, data

    @classmethod
    def given(cls, address, http=None):
        host, port = address.rsplit(":", 1)
        return cls(host, port, http)

    @classmethod
    def start(cls, binary, setting, default_ports=False):
        """Starts Stoa with a directory of its own, and waits for the line that says that it is ready."""
        data = tempfile.TemporaryDirectory(prefix="stoa-suites-")
        log = open(setting.cache / "stoa.log", "ab")
        amqp, http = ("127.0.0.1:0", "127.0.0.1:0") if not default_ports else default_addresses()
        command = [binary or newest_binary(), "serve", "--data", data.name, "--amqp", amqp, "--http", http]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in process.stdout:
            ready = re.search(r"amqp://([\d.]+):(\d+)(?:, \S+)? and http://([\d.]+:\d+)", line)
            if ready:
                return cls(ready[1], ready[2], ready[3], process, data)
        raise SystemExit("the broker did not get ready: see " + log.name)

    @property
    def uri(self):
        return f"amqp://guest:guest@{self.host}:{self.port}/"

    @property
    def environment(self):
        """What suites take the address from."""
        return {
            "AMQP_URL": self.uri,
            "AMQP_ADDR": self.uri + "%2f",
            "STOA_SUITE_HOST": self.host,
            "STOA_SUITE_PORT": str(self.port),
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
            self.data.cleanup()


def default_addresses():
    """Those of RabbitMQ, if nobody has them; those of IPv6 as well, because some clients take `localhost` for it."""
    for port in (5672, 15672):
        if not free("127.0.0.1", port):
            raise Missing(f"it wants port {port}, which is taken: stop what listens there, or name that broker with --amqp and --http")
    return "127.0.0.1:5672" + (",[::1]:5672" if free("::1", 5672) else ""), "127.0.0.1:15672"


def free(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        return True
    except OSError:
        return False


def newest_binary():
    import os

    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "release/stoa", target / "debug/stoa") if path.exists()]
    if not built:
        raise SystemExit("there is no stoa below the target directory: build it, or name one with --stoa")
    return max(built, key=lambda path: path.stat().st_mtime)
