"""Clients of Node whose npm packages leave their tests out: checkouts, with what they need from npm beside them."""

from pathlib import Path

from . import results

HERE = Path(__file__).resolve().parents[1]


def with_modules(setting, name, *packages):
    """A copy of a checkout that finds these packages."""
    folder = setting.copy(setting.checkout(name), name)
    (folder / "node_modules").symlink_to(setting.npm(*packages) / "node_modules")
    return folder


def prepared(setting, name, *packages):
    setting.checkout(name)
    setting.need("node", "nodejs")
    setting.npm(*packages)


AMQP_CLIENT = ("vitest@3.2.7", "typescript@5", "@types/node@18")


def prepare_amqp_client(setting):
    prepared(setting, "amqp-client.js", *AMQP_CLIENT)


def run_amqp_client(setting):
    folder = with_modules(setting, "amqp-client.js", *AMQP_CLIENT)
    report = folder / "report.xml"
    said = setting.command([folder / "node_modules/.bin/vitest", "run", "--reporter=junit", f"--outputFile={report}", "--retry=0"], folder)
    return results.of_junit(report) if report.exists() else [results.Result("vitest", results.FAILED, said)]


RABBITMQ_CLIENT = ("ts-node@10", "typescript@5", "@types/node@18")


def prepare_rabbitmq_client(setting):
    prepared(setting, "rabbitmq-client", *RABBITMQ_CLIENT)


def run_rabbitmq_client(setting):
    folder = with_modules(setting, "rabbitmq-client", *RABBITMQ_CLIENT)
    environment = {"RABBITMQ_URL": setting.broker.uri, "RABBITMQ_HTTP_URL": f"http://guest:guest@{setting.http()}", "TS_NODE_TRANSPILE_ONLY": "1"}
    said = setting.command(["node", "-r", "ts-node/register", "--test", *sorted((folder / "test").glob("*.ts"))], folder, 900, environment)
    (setting.scratch / "rabbitmq-client.tap").write_text(said)
    return results.of_tap("\n".join(line.strip() for line in said.splitlines()))


RASCAL = ("amqplib@0.10.9", "zunit@4", "chalk@4", "chance@1", "async@3", "debug@4", "forward-emitter@0.1", "generic-pool@3", "lodash@4", "lru-cache@7")
RASCAL += ("safe-json-parse@4", "stashback@2", "uuid@8", "xregexp@5")


def prepare_rascal(setting):
    prepared(setting, "rascal", *RASCAL)


def run_rascal(setting):
    folder = with_modules(setting, "rascal", *RASCAL)
    modules = {"NODE_PATH": f"{folder / 'node_modules'}:{HERE / 'standins/node'}"}
    said = setting.command(["node", HERE / "standins/node/zunit_tap.cjs"], folder, 900, modules)
    (setting.scratch / "rascal.tap").write_text(said)
    return results.of_tap(said) if "TAP version" in said else [results.Result("zUnit", results.FAILED, said)]
