"""The suites: where each comes from, how it is pointed at the broker, how it says what came of it."""

from dataclasses import dataclass
from typing import Callable

from . import compiled, erlang, frameworks, management, native, node, programs, python, rabbitmq, ruby, scripted
from .setting import Setting


@dataclass
class Suite:
    name: str
    about: str
    prepare: Callable[[Setting], None]
    run: Callable[[Setting], list]
    quick: bool = False
    # it has no way to be told of other ports than 5672 and 15672
    default_ports: bool = False


def suite(name, about, module, function, **more):
    """A suite whose module has `prepare_X` (which installs, and may do without a broker) and `run_X`."""
    return Suite(name, about, getattr(module, f"prepare_{function}"), getattr(module, f"run_{function}"), **more)


SUITES = {
    entry.name: entry
    for entry in [
        suite("py-amqp", "Python: amqp 5, its integration tests", python, "py_amqp", quick=True),
        suite("kombu", "Python: kombu 5 over AMQP, its integration tests", python, "kombu", quick=True),
        suite("celery", "Python: Celery, an application and its worker", python, "celery", quick=True),
        suite("celery-integration", "Python: Celery's own integration tests with the rpc backend", python, "celery_integration"),
        suite("pika", "Python: pika's acceptance tests (needs --source pika=DIR)", python, "pika"),
        suite("aio-pika", "Python: aio-pika's tests", python, "aio_pika"),
        suite("aiormq", "Python: aiormq's tests", python, "aiormq"),
        suite("amqpstorm", "Python: AMQPStorm's functional tests, which use the HTTP API as well", frameworks, "amqpstorm"),
        suite("rabbitpy", "Python: rabbitpy's integration tests", frameworks, "rabbitpy", quick=True),
        suite("nameko", "Python: nameko's tests, which use the HTTP API as well", frameworks, "nameko"),
        suite("oslo-messaging", "Python: oslo.messaging's functional tests with the rabbit driver", frameworks, "oslo"),
        suite("dramatiq", "Python: dramatiq's tests of its RabbitMQ broker (needs --source dramatiq=DIR)", frameworks, "dramatiq"),
        suite("faststream", "Python: FastStream's tests of its RabbitMQ broker (needs --source faststream=DIR)", frameworks, "faststream"),
        suite("taskiq", "Python: taskiq-aio-pika's tests (needs --source taskiq-aio-pika=DIR)", frameworks, "taskiq"),
        suite("lapin", "Rust: lapin's integration tests", compiled, "lapin"),
        suite("amqprs", "Rust: amqprs' integration and unit tests", compiled, "amqprs"),
        suite("amqp091-go", "Go: rabbitmq/amqp091-go's integration tests", compiled, "amqp091_go"),
        suite("streadway-amqp", "Go: streadway/amqp's integration tests", compiled, "streadway"),
        suite("java-client", "Java: com.rabbitmq.client's own tests", compiled, "java"),
        suite("bunny", "Ruby: Bunny's specs (needs --source bunny=DIR and amq-protocol=DIR)", ruby, "bunny", default_ports=True),
        suite("ruby-amqp", "Ruby: the amqp gem's specs (needs --source evented-spec=DIR)", ruby, "amqp", default_ports=True),
        suite("erlang-amqp_client", "Erlang: the tests of RabbitMQ's own client (needs --source rabbitmq-server=DIR)", erlang, "amqp_client"),
        suite("rabbitmq-c", "C: rabbitmq-c's test against a broker and its examples", native, "rabbitmq_c", quick=True),
        suite("simple-amqp-client", "C++: SimpleAmqpClient's tests (needs --source simple-amqp-client=DIR)", native, "simple_amqp_client", default_ports=True),
        suite("php-amqp", "PHP: the amqp extension's tests", scripted, "php_amqp"),
        suite("php-amqplib", "PHP: php-amqplib's functional tests (needs --source php-amqplib=DIR)", scripted, "php_amqplib"),
        suite("anyevent-rabbitmq", "Perl: AnyEvent::RabbitMQ's tests against a broker", scripted, "anyevent", quick=True),
        suite("mojo-rabbitmq", "Perl: Mojo::RabbitMQ::Client's tests", scripted, "mojo", quick=True),
        suite("net-amqp-rabbitmq", "Perl: Net::AMQP::RabbitMQ's tests (needs --source net-amqp-rabbitmq=DIR)", scripted, "net_amqp_rabbitmq"),
        suite("amqplib", "Node: amqplib's tests (needs --source amqplib=DIR)", scripted, "amqplib"),
        suite("amqp-client.js", "Node: CloudAMQP's amqp-client (needs --source amqp-client.js=DIR)", node, "amqp_client", default_ports=True),
        suite("rabbitmq-client", "Node: rabbitmq-client (needs --source rabbitmq-client=DIR)", node, "rabbitmq_client", default_ports=True),
        suite("rascal", "Node: rascal, on amqplib (needs --source rascal=DIR)", node, "rascal", default_ports=True),
        suite("elixir-amqp", "Elixir: amqp's tests (needs --source elixir-amqp=DIR)", erlang, "elixir", default_ports=True),
        suite("rabbitmq-server", "Erlang: RabbitMQ's tests of itself, as far as they are a client's (needs --source rabbitmq-server=DIR)", erlang, "broker"),
        suite("rabbitmq-links", "Erlang: shovels and federation links of a RabbitMQ that is started beside the broker", rabbitmq, "links"),
        suite("rabbitmqadmin", "HTTP API: the tests of rabbitmqadmin 2, every command of it", management, "admin"),
        suite("rabbitmq-http-client", "HTTP API: the tests of the Rust crate rabbitmq_http_client", management, "client"),
        suite("schemathesis", "HTTP API: requests made up from its OpenAPI document", management, "schemathesis"),
        *[suite(f"program-{name}", about, programs, name, quick=True) for name, about in programs.ABOUT.items()],
    ]
}
