"""Python's frameworks that run over AMQP, and its rarer clients: where the tests of each come from, and how they are told of the broker."""

import os

from .python import HERE, PYTEST, pytest

AMQPSTORM, RABBITPY = "AMQPStorm==3.1.4", "rabbitpy==3.0.2"
NAMEKO, OSLO = "nameko==2.14.1", "oslo_messaging==18.3.1"


def prepare_amqpstorm(setting):
    setting.python("amqpstorm", *PYTEST, "requests", "pamqp>=2,<5")
    setting.sdist(AMQPSTORM)


def run_amqpstorm(setting):
    python = setting.python("amqpstorm", *PYTEST, "requests", "pamqp>=2,<5")
    folder = setting.copy(setting.sdist(AMQPSTORM), "amqpstorm", {"5672": str(setting.broker.port)}, "amqpstorm/connection.py")
    names = {"AMQP_HOST": setting.broker.host, "AMQP_USERNAME": "guest", "AMQP_PASSWORD": "guest", "PYTHONPATH": str(folder)}
    addresses = {"AMQP_URI": setting.broker.uri + "%2F", "AMQP_HTTP_URL": f"http://{setting.http()}"}
    left_out = ["--ignore=amqpstorm/tests/functional/ssl"]
    return pytest(setting, python, folder, ["amqpstorm/tests/functional"], *left_out, environment={**names, **addresses})


def prepare_rabbitpy(setting):
    setting.python("rabbitpy", *PYTEST, "python-dotenv", RABBITPY)
    setting.sdist(RABBITPY)


def run_rabbitpy(setting):
    python = setting.python("rabbitpy", *PYTEST, "python-dotenv", RABBITPY)
    environment = {"RABBITMQ_URL": setting.broker.uri + "%2f"}
    return pytest(setting, python, setting.sdist(RABBITPY), ["tests/test_integration.py", "tests/integration"], environment=environment)


# what its tests wanted when they were written
NAMEKO_TESTS = ("pytest>=7,<8", "pytest-timeout>=2,<3", "websocket-client<1", "setuptools<70", "werkzeug<3", NAMEKO)


def prepare_nameko(setting):
    setting.python("nameko", *NAMEKO_TESTS)
    setting.sdist(NAMEKO)


def run_nameko(setting):
    python = setting.python("nameko", *NAMEKO_TESTS)
    addresses = [f"--amqp-uri={setting.broker.uri.replace('amqp:', 'pyamqp:')}", f"--rabbit-api-uri=http://guest:guest@{setting.http()}"]
    # a proxy that is not here, TLS
    left_out = ["-k", "not toxiproxy and not Disconnect and not ssl and not Ssl and not SSL"]
    patched = ["-p", "eventlet_patched", "--suppress-nameko-eventlet-notification"]
    return pytest(setting, python, setting.sdist(NAMEKO), ["test"], *patched, *addresses, *left_out, environment={"PYTHONPATH": str(HERE / "standins"), "PATH": f"{python.parent}:{os.environ['PATH']}"})


OSLO_TESTS = (*PYTEST, "fixtures", "testscenarios", "testtools", "oslotest", "pifpaf", "confluent-kafka", "eventlet", "stestr", "setuptools<81", OSLO)


def prepare_oslo(setting):
    setting.python("oslo", *OSLO_TESTS)
    setting.sdist(OSLO)


def run_oslo(setting):
    python = setting.python("oslo", *OSLO_TESTS)
    url = setting.broker.uri.replace("amqp:", "rabbit:")
    environment = {"TRANSPORT_DRIVER": "rabbit", "RPC_TRANSPORT_URL": url, "NOTIFY_TRANSPORT_URL": url}
    # the fail-over starts a cluster of RabbitMQ
    left_out = ["--ignore=oslo_messaging/tests/functional/test_rabbitmq.py"]
    return pytest(setting, python, setting.sdist(OSLO), ["oslo_messaging/tests/functional"], *left_out, environment=environment)


DRAMATIQ = (*PYTEST, "pika", "prometheus-client", "redis", "pylibmc", "pytest-benchmark")


def prepare_dramatiq(setting):
    setting.checkout("dramatiq")
    setting.python("dramatiq", *DRAMATIQ)


def run_dramatiq(setting):
    port = setting.broker.port
    words = {'@127.0.0.1"': f'@127.0.0.1:{port}"', 'host="127.0.0.1", cred': f'host="127.0.0.1", port={port}, cred', 'host="127.0.0.1",\n': f'host="127.0.0.1", port={port},\n'}
    folder = setting.copy(setting.checkout("dramatiq"), "dramatiq", words, "tests/**/*.py")
    return pytest(setting, setting.python("dramatiq", *DRAMATIQ), folder, ["tests/test_rabbitmq.py"], "-o", "addopts=", environment={"PYTHONPATH": str(folder)})


FASTSTREAM = (*PYTEST, "pytest-asyncio<1", "faststream[rabbit]==0.5.39", "fastapi<0.116", "httpx", "dirty-equals", "prometheus-client", "opentelemetry-sdk", "typer", "python-multipart")


def prepare_faststream(setting):
    setting.checkout("faststream")
    setting.python("faststream", *FASTSTREAM)


def run_faststream(setting):
    folder = setting.copy(setting.checkout("faststream"), "faststream", {"5672": str(setting.broker.port)}, "**/rabbit/**/*.py")
    python = setting.python("faststream", *FASTSTREAM)
    return pytest(setting, python, folder, ["tests/brokers/rabbit"], "--ignore=tests/brokers/rabbit/test_misconfigure.py", "-m", "rabbit", "-p", "no:warnings", environment={"PYTHONPATH": str(folder)})


TASKIQ = (*PYTEST, "anyio", "taskiq-aio-pika", "aiostream")


def prepare_taskiq(setting):
    setting.checkout("taskiq-aio-pika")
    setting.python("taskiq", *TASKIQ)


def run_taskiq(setting):
    python = setting.python("taskiq", *TASKIQ)
    folder = setting.copy(setting.checkout("taskiq-aio-pika"), "taskiq")
    return pytest(setting, python, folder, ["tests"], environment={"TEST_AMQP_URL": setting.broker.uri[:-1], "PYTHONPATH": str(folder)})
