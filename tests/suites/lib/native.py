"""Clients of C and C++, against Debian's rabbitmq-c."""

import re

from . import results


def prepare_rabbitmq_c(setting):
    setting.need("cc", "gcc")
    setting.need_file("/usr/include/amqp.h", "librabbitmq-dev")
    setting.debian_source("librabbitmq")


def run_rabbitmq_c(setting):
    """Of its own tests the one that speaks to a broker, and its examples as far as they end by themselves."""
    broker = setting.broker
    folder = setting.copy(setting.debian_source("librabbitmq"), "rabbitmq-c", {'"localhost", AMQP_PROTOCOL_PORT': f'"{broker.host}", {broker.port}'}, "tests/*.c")
    found = [program(setting, folder, "tests/test_basic", [], "librabbitmq/amqp_time.c")]
    address = [broker.host, broker.port]
    examples = {
        "amqp_exchange_declare": [*address, "rabbitmq-c", "direct"],
        "amqp_sendstring": [*address, "amq.direct", "key", "hello"],
        "amqp_producer": [*address, 1000, 100],
        "amqp_connect_timeout": [*address, 5],
    }
    for name, arguments in examples.items():
        found.append(program(setting, folder, f"examples/{name}", arguments, "examples/utils.c", "examples/unix/platform_utils.c"))
    return found


def program(setting, folder, name, arguments, *more):
    """A program that says by how it ends whether all went well."""
    file = folder / name.replace("/", "-")
    included = ["-I", folder / "librabbitmq", "-I", folder / "librabbitmq/unix", "-I", folder / "examples"]
    said = setting.command(["cc", "-DHAVE_CONFIG_H", "-o", file, *included, folder / f"{name}.c", *(folder / part for part in more), "-lrabbitmq"], folder)
    said += setting.command(["sh", "-c", '"$@" && echo ended well', "sh", file, *arguments], folder, 60)
    return results.Result(name, results.PASSED if said.rstrip().endswith("ended well") else results.FAILED, said)


BOOST = ("libboost-chrono-dev", "libboost-system-dev")


def prepare_simple_amqp_client(setting):
    setting.checkout("simple-amqp-client")
    setting.need("c++", "g++")
    for path, package in (("/usr/include/amqp.h", "librabbitmq-dev"), ("/usr/include/boost/chrono.hpp", BOOST[0]), ("/usr/include/gtest/gtest.h", "libgtest-dev")):
        setting.need_file(path, package)
    program = setting.cache / "simple-amqp-client"
    if not program.exists():
        source = setting.checkout("simple-amqp-client")
        files = [*sorted((source / "src").glob("*.cpp")), *sorted((source / "testing").glob("*.cpp"))]
        libraries = ["-lrabbitmq", "-lboost_chrono", "-lboost_system", "-lgtest", "-lgtest_main", "-lpthread"]
        setting.command(["c++", "-std=c++17", "-w", "-o", program, "-I", source / "src", *files, *libraries], source, 1800, check=True)


def run_simple_amqp_client(setting):
    said = setting.command([setting.cache / "simple-amqp-client"], environment={"AMQP_BROKER": setting.broker.host}, deadline=300)
    (setting.scratch / "simple-amqp-client.log").write_text(said)
    outcomes = {"OK": results.PASSED, "FAILED": results.FAILED, "SKIPPED": results.SKIPPED}
    found = re.findall(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (\S+) \(", said, re.M)
    return [results.Result(name, outcomes[outcome], detail(said, name)) for outcome, name in found] or [results.Result("simple-amqp-client", results.FAILED, said)]


def detail(said, name):
    lines = re.search(rf"^\[ RUN      \] {re.escape(name)}\n(.*?)^\[\s*(?:OK|FAILED|SKIPPED)", said, re.M | re.S)
    return lines[1] if lines else ""
