"""Programs of our own that use a client as its users do, for clients whose packages come without tests. Each prints TAP."""

from pathlib import Path

from . import results

HERE = Path(__file__).resolve().parents[1] / "programs"

ABOUT = {
    "bunny": "Ruby: Bunny, from Debian",
    "mono": "C#: RabbitMQ's client for Mono, from Debian",
    "phplib": "PHP: php-amqplib, from Debian",
    "amqplib": "Node: amqplib",
    "rabbitmq_client": "Node: rabbitmq-client",
    "aio_pika": "Python: aio-pika and aiormq",
    "kombu": "Python: kombu's simple queues, mailboxes and pools, Celery's events",
}


def tap(setting, name, command, folder=None, environment=None):
    said = setting.command(command, folder, 300, environment)
    (setting.scratch).mkdir(exist_ok=True)
    (setting.scratch / f"program-{name}.tap").write_text(said)
    found = results.of_tap(said)
    if "\n1.." not in said and not said.startswith("1.."):
        found.append(results.Result(f"{name} to its end", results.FAILED, said))
    return found


def prepare_bunny(setting):
    setting.need("ruby", "ruby")
    setting.need_file("/var/lib/dpkg/info/ruby-bunny.list", "ruby-bunny")


def run_bunny(setting):
    return tap(setting, "bunny", ["ruby", HERE / "bunny.rb"])


MONO_CLIENT = "/usr/lib/mono/4.5/RabbitMQ.Client.dll"


def prepare_mono(setting):
    setting.need("mcs", "mono-mcs")
    setting.need("mono", "mono-runtime")
    setting.need_file(MONO_CLIENT, "libmono-rabbitmq4.0-cil")


def run_mono(setting):
    program = setting.scratch / "program-mono.exe"
    said = setting.command(["mcs", "-nowarn:618", f"-out:{program}", f"-r:{MONO_CLIENT}", HERE / "mono.cs"])
    if not program.exists():
        return [results.Result("mcs", results.FAILED, said)]
    return tap(setting, "mono", ["mono", program])


def prepare_phplib(setting):
    setting.need("php", "php-cli")
    setting.need_file("/usr/share/php/PhpAmqpLib/autoload.php", "php-amqplib")


def run_phplib(setting):
    return tap(setting, "phplib", ["php", HERE / "phplib.php"])


def node(setting, name, script, *packages):
    folder = setting.npm(*packages)
    return tap(setting, name, ["node", HERE / script], environment={"NODE_PATH": str(folder / "node_modules")})


def prepare_amqplib(setting):
    setting.npm("amqplib@0.10.9")


def run_amqplib(setting):
    return node(setting, "amqplib", "amqplib.cjs", "amqplib@0.10.9")


def prepare_rabbitmq_client(setting):
    setting.npm("rabbitmq-client@5")


def run_rabbitmq_client(setting):
    return node(setting, "rabbitmq_client", "rabbitmq_client.cjs", "rabbitmq-client@5")


AIO = ("aio-pika==9.5.5", "aiormq==6.8.1")


def prepare_aio_pika(setting):
    setting.python("program-aio-pika", *AIO)


def run_aio_pika(setting):
    return tap(setting, "aio_pika", [setting.python("program-aio-pika", *AIO), HERE / "aio_pika_program.py"])


KOMBU = ("kombu==5.5.4", "celery==5.5.3")


def prepare_kombu(setting):
    setting.python("program-kombu", *KOMBU)


def run_kombu(setting):
    return tap(setting, "kombu", [setting.python("program-kombu", *KOMBU), HERE / "kombu_program.py"])
