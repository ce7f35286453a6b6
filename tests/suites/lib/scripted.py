"""Clients of PHP, Perl and Node."""

import glob
import shutil
from pathlib import Path

from . import results
from .missing import Missing

HERE = Path(__file__).resolve().parents[1]


def prepare_php_amqp(setting):
    setting.need("php", "php-cli")
    setting.need_file("/etc/php/8.2/mods-available/amqp.ini", "php-amqp")
    if not run_tests():
        setting.debian("php8.2-dev")
    if not run_tests():
        raise Missing("PHP's run-tests.php is not here, and neither is the Debian package php8.2-dev")
    setting.debian_source("php-amqp")


def run_tests():
    return next(iter(glob.glob("/usr/lib/php/*/build/run-tests.php")), None)


def run_php_amqp(setting):
    source = setting.debian_source("php-amqp")
    tests = next(source.glob("**/tests/_test_helpers.php.inc")).parent
    folder = setting.copy(tests, "php-amqp")
    address = ["-d", f"amqp.host={setting.broker.host}", "-d", f"amqp.port={setting.broker.port}"]
    php = shutil.which("php")
    environment = {"NO_INTERACTION": "1", "TEST_PHP_EXECUTABLE": php}
    said = setting.command([php, run_tests(), "-q", "-g", "FAIL,SKIP,PASS", *address, folder], folder, 600, environment)
    (setting.scratch / "php-amqp.log").write_text(said)
    found = results.of_phpt(said)
    for result in found:
        difference = folder / result.name.replace(".phpt", ".diff")
        if result.outcome == results.FAILED and difference.exists():
            result.detail = difference.read_text(errors="replace")
    return found


def prepare_php_amqplib(setting):
    setting.checkout("php-amqplib")
    setting.need("phpunit", "phpunit")


def run_php_amqplib(setting):
    folder = setting.copy(setting.checkout("php-amqplib"), "php-amqplib")
    (folder / "vendor").mkdir(exist_ok=True)
    shutil.copy(HERE / "standins" / "autoload.php", folder / "vendor" / "autoload.php")
    report = folder / "report.xml"
    address = {"TEST_RABBITMQ_HOST": setting.broker.host, "TEST_RABBITMQ_PORT": str(setting.broker.port)}
    said = setting.command(["phpunit", "--bootstrap", "tests/bootstrap.php", "--no-configuration", "--log-junit", report, "tests/Functional"], folder, 900, address)
    return results.of_junit(report) if report.exists() and report.stat().st_size else [results.Result("phpunit", results.FAILED, said)]


def prepare_amqplib(setting):
    setting.checkout("amqplib")
    setting.need("node", "nodejs")


def run_amqplib(setting):
    folder = setting.copy(setting.checkout("amqplib"), "amqplib", {"5672": str(setting.broker.port)}, "lib/connect.js")
    tests = [folder / "test" / f"{name}.test.js" for name in ("channel_api", "callback_api", "recovery", "connect")]
    report = folder / "junit.xml"
    # Node counts the time-out for a whole file, too
    options = ["--test-reporter=junit", f"--test-reporter-destination={report}", "--test-timeout=300000", "--test-concurrency=1"]
    said = setting.command(["node", "--test", *options, *(test for test in tests if test.exists())], folder, 600, {"URL": setting.broker.uri})
    return results.of_junit(report) if report.exists() else [results.Result("node", results.FAILED, said)]


def prepare_anyevent(setting):
    setting.need("prove", "perl")
    setting.need_file("/usr/share/perl5/AnyEvent/RabbitMQ.pm", "libanyevent-rabbitmq-perl")
    setting.need_file("/usr/share/perl5/Test/Exception.pm", "libtest-exception-perl")
    setting.debian_source("libanyevent-rabbitmq-perl")


def run_anyevent(setting):
    address = {"'localhost'": f"'{setting.broker.host}'", "5672": str(setting.broker.port)}
    folder = setting.copy(setting.debian_source("libanyevent-rabbitmq-perl") / "xt", "anyevent", address)
    return perl(setting, folder, [folder / f"{test}.t" for test in ("04_anyevent", "05_multi_channel", "06_close")])


def perl(setting, folder, tests, *options, environment=None):
    """Runs each test by itself, because of what one of them says a plan is worth only to itself."""
    found = []
    for test in tests:
        said = setting.command(["perl", *options, test], folder, 120, environment)
        name = test.stem
        of_test = [results.Result(f"{name}: {result.name}", result.outcome, result.detail) for result in results.of_tap(said)]
        if not any(line.startswith("1..") for line in said.splitlines()):
            of_test.append(results.Result(f"{name} to its end", results.FAILED, said))
        found += of_test
    return found


def prepare_mojo(setting):
    setting.need("perl", "perl")
    setting.need_file("/usr/share/perl5/Mojo/RabbitMQ/Client.pm", "libmojo-rabbitmq-client-perl")
    setting.debian_source("libmojo-rabbitmq-client-perl")


def run_mojo(setting):
    # its tests of a broker make the address from 127.0.0.1:5672 and the names they use
    address = {"127.0.0.1:5672": f"{setting.broker.host}:{setting.broker.port}"}
    folder = setting.copy(setting.debian_source("libmojo-rabbitmq-client-perl") / "t", "mojo", address, "*.t")
    return perl(setting, folder, sorted(folder.glob("*.t")), environment={"TEST_RMQ": "1"})


def prepare_net_amqp_rabbitmq(setting):
    folder = setting.checkout("net-amqp-rabbitmq")
    if not (folder / "blib").exists():
        setting.command(["perl", "Makefile.PL"], folder, check=True)
        setting.command(["make"], folder, check=True)


def run_net_amqp_rabbitmq(setting):
    """The client is rabbitmq-c with a face for Perl; it is built in the checkout, which needs that submodule."""
    folder = setting.checkout("net-amqp-rabbitmq")
    host, port = setting.http().rsplit(":", 1)
    names = {"MQHOST": setting.broker.host, "MQPORT": str(setting.broker.port), "MQUSERNAME": "guest", "MQPASSWORD": "guest", "MQVHOST": "/", "MQSKIPSSL": "1"}
    names |= {"MQADMINPROTOCOL": "http", "MQADMINHOST": host, "MQADMINPORT": port}
    return perl(setting, folder, sorted((folder / "t").glob("*.t")), "-Mblib", environment=names)
