"""A RabbitMQ of Debian's beside the broker, with plugins that connect to the broker as clients: shovels and federation links."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from .missing import Missing
from .programs import HERE, tap

# the script behind Debian's wrapper, which would run it as another user
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PLUGINS = ("rabbitmq_management", "rabbitmq_shovel", "rabbitmq_shovel_management", "rabbitmq_federation", "rabbitmq_federation_management")
START_SECONDS = 120


class RabbitMq:
    def __init__(self, setting):
        self.home = setting.scratch / "rabbitmq"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.amqp, self.http = free_port(), free_port()

    def __enter__(self):
        home = self.home
        (home / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].")
        (home / "rabbitmq.conf").write_text(f"management.tcp.port = {self.http}\nmanagement.tcp.ip = 127.0.0.1\n")
        names = {"HOME": home, "RABBITMQ_NODENAME": f"stoa-suites-{os.getpid()}@localhost", "RABBITMQ_MNESIA_BASE": home / "mnesia"}
        names |= {"RABBITMQ_LOG_BASE": home / "logs", "RABBITMQ_ENABLED_PLUGINS_FILE": home / "enabled_plugins", "RABBITMQ_PID_FILE": home / "pid"}
        names |= {"RABBITMQ_CONFIG_FILE": home / "rabbitmq.conf", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": self.amqp}
        names |= {"RABBITMQ_DIST_PORT": free_port(), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1"}
        environment = {**os.environ, **{name: str(value) for name, value in names.items()}}
        with open(home / "log", "wb") as log:
            self.process = subprocess.Popen([SERVER], cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.__exit__()
                raise Missing("RabbitMQ does not start: " + (home / "log").read_text(errors="replace")[-400:])
            time.sleep(0.2)
        return self

    def answers(self):
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{self.http}/api/overview", headers={"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="})
            return urllib.request.urlopen(request, timeout=5).status == 200
        except OSError:
            return False

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


PIKA = "pika==1.3.2"


def prepare_links(setting):
    if not SERVER.exists():
        raise Missing("the Debian package rabbitmq-server is not here")
    setting.python("program-links", PIKA)


def run_links(setting):
    with RabbitMq(setting) as other:
        python = setting.python("program-links", PIKA)
        environment = {"STOA_SUITE_HTTP": setting.http(), "OTHER_AMQP": str(other.amqp), "OTHER_HTTP": f"127.0.0.1:{other.http}"}
        return tap(setting, "links", [python, HERE / "links.py"], environment=environment)
