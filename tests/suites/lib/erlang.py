"""Clients of Erlang's machine. RabbitMQ's own client is in Debian's package of the broker, its tests are in RabbitMQ's sources."""

import shutil
from pathlib import Path

from . import results
from .missing import Missing

HERE = Path(__file__).resolve().parents[1]
PLUGINS = "/usr/lib/rabbitmq/lib"


def libraries():
    """Where the client and what it needs is, compiled, beside the broker that it comes with."""
    found = sorted(Path(PLUGINS).glob("rabbitmq_server-*/plugins"))
    if not found:
        raise Missing("the client comes with the Debian package rabbitmq-server, which is not here")
    return {"ERL_LIBS": str(found[-1])}


def prepare_amqp_client(setting):
    setting.checkout("rabbitmq-server")
    setting.need("erl", "erlang-common-test")
    libraries()


def run_amqp_client(setting):
    tests = setting.checkout("rabbitmq-server") / "deps/amqp_client/test"
    return common_test(setting, tests / "system_SUITE.erl", ["network_connection_tests"])


def common_test(setting, suite, groups=None):
    """Runs a suite with what stands in for RabbitMQ's helpers; without groups all of it."""
    folder = setting.scratch / suite.stem
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "standins/erlang", folder)
    # the report gets the names of tests that run at once mixed up
    (folder / suite.name).write_text(suite.read_text().replace(" [parallel],", " [],"))
    environment = {**libraries(), "STOA_SUITE_HTTP": setting.http()}
    include = next(Path(environment["ERL_LIBS"]).glob("amqp_client-*/include"))
    setting.command(["erlc", "-W0", "-I", include, *folder.glob("*.erl")], folder, environment=environment, check=True)
    chosen = f"{{group, [{', '.join(groups)}]}}, " if groups else ""
    options = f'{{dir, "."}}, {{suite, {suite.stem}}}, {chosen}{{logdir, "."}}, {{auto_compile, false}}, {{ct_hooks, [cth_surefire]}}'
    start = f"logger:set_primary_config(level, none), ct:run_test([{options}]), halt()."
    said = setting.command(["erl", "-noshell", "-pa", ".", "-eval", start], folder, 900, environment)
    report = next(folder.glob("ct_run*/junit_report.xml"), None)
    return results.of_junit(report) if report else [results.Result(suite.stem, results.FAILED, said)]
