"""Tools of the HTTP API: rabbitmqadmin 2 and the Rust client below it, from their crates, which contain the tests; and schemathesis, which makes requests up
from the OpenAPI document."""

from pathlib import Path
from urllib.parse import quote

from . import results
from .compiled import cargo_test
from .results import FAILED, Result

ADMIN, CLIENT, SCHEMATHESIS = "2.35.0", "0.93.0", "4.32.5"

# what the setup scripts of both suites make by rabbitmqctl
VHOST = "rust/http/api/client"
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


def furnish(setting):
    setting.api("PUT", f"vhosts/{quote(VHOST, '')}", {})
    setting.api("PUT", f"permissions/{quote(VHOST, '')}/guest", ALL)
    setting.api("PUT", "users/rust3", {"password": "rust3", "tags": ""})
    setting.api("PUT", "permissions/%2F/rust3", ALL)
    setting.api("PUT", "cluster-name", {"name": "rabbitmq@localhost"})


def at_the_broker(setting, name, version):
    """A copy that knows the broker's ports."""
    words = {"15672": setting.http().rsplit(":", 1)[1], "localhost:5672": f"localhost:{setting.broker.port}"}
    return setting.copy(setting.crate(name, version), name, words, "**/*.rs")


def prepare_admin(setting):
    setting.crate("rabbitmqadmin", ADMIN)


def run_admin(setting):
    furnish(setting)
    return cargo_test(setting, at_the_broker(setting, "rabbitmqadmin", ADMIN), "--test", "integration")


def prepare_client(setting):
    setting.crate("rabbitmq_http_client", CLIENT)


def run_client(setting):
    furnish(setting)
    return cargo_test(setting, at_the_broker(setting, "rabbitmq_http_client", CLIENT), "--test", "integration", "--features", "async,blocking,tabled,zeroize")


def prepare_schemathesis(setting):
    setting.python("schemathesis", f"schemathesis=={SCHEMATHESIS}")


def run_schemathesis(setting):
    """Every route is one test: no server error, and nothing that the document does not say."""
    command = [setting.cache / "python/schemathesis/bin/schemathesis", "--config-file", Path(__file__).resolve().parents[1] / "schemathesis.toml", "run"]
    report = setting.scratch / "schemathesis.xml"
    address = f"http://{setting.http()}/api/openapi.json"
    said = setting.command([*command, address, "--report", "junit", "--report-junit-path", report], setting.scratch, 1800)
    if not report.exists():
        return [Result("schemathesis", FAILED, said)]
    return results.of_junit(report)
