"""Clients of compiled languages: Rust's from their crates, Go's and Java's from Debian's packages."""

from pathlib import Path

from . import results
from .missing import Missing

LAPIN, AMQPRS = "4.12.3", "2.1.5"
GO = "/usr/share/gocode"


def cargo_test(setting, folder, *options):
    # several of the tests use the same queue names
    command = ["cargo", "test", "--no-fail-fast", *options, "--", "--test-threads=1"]
    environment = {"CARGO_TARGET_DIR": str(setting.cache / "crates" / "target"), "NO_COLOR": "1", "RUST_LOG": "off"}
    return results.of_cargo(setting.command(command, folder, 1800, environment))


def prepare_lapin(setting):
    setting.crate("lapin", LAPIN)


def run_lapin(setting):
    return cargo_test(setting, setting.crate("lapin", LAPIN), "--tests")


def prepare_amqprs(setting):
    setting.crate("amqprs", AMQPRS)


def run_amqprs(setting):
    broker = setting.broker
    # its own broker has another user
    words = {"5672": str(broker.port), '"user"': '"guest"', '"bitnami"': '"guest"'}
    folder = setting.copy(setting.crate("amqprs", AMQPRS), "amqprs", words, "**/*.rs")
    return cargo_test(setting, folder, "--tests", "--lib")


def prepare_go(setting, package, path):
    setting.need("go", "golang-go")
    setting.need_file(f"{GO}/src/{path}", package)


def go_test(setting, path):
    environment = {"GO111MODULE": "off", "GOPATH": GO, "GOCACHE": str(setting.cache / "go"), "GOFLAGS": ""}
    return results.of_go(setting.command(["go", "test", "-json", "-tags", "integration", path], "/", 900, environment))


def prepare_amqp091_go(setting):
    prepare_go(setting, "golang-github-rabbitmq-amqp091-go-dev", "github.com/rabbitmq/amqp091-go")


def run_amqp091_go(setting):
    return go_test(setting, "github.com/rabbitmq/amqp091-go")


def prepare_streadway(setting):
    prepare_go(setting, "golang-github-streadway-amqp-dev", "github.com/streadway/amqp")


def run_streadway(setting):
    return go_test(setting, "github.com/streadway/amqp")


JARS = ("amqp-client", "junit4", "hamcrest-core", "slf4j-api", "slf4j-nop")
JAVA_PACKAGES = ("librabbitmq-client-java", "junit4", "libhamcrest-java", "libslf4j-java")

# what does not need rabbitmqctl, a second node, TLS, or libraries that Debian does not have
JAVA_LEFT_OUT = {"Metrics", "ConnectionRecovery", "Policies", "FunctionalTests", "ClusteredTestBase", "BindingLifecycleBase", "ExchangeDeletePredeclared", "Nowait"}
# tests that would restart the broker by a make target are skipped, one before it leaves a queue behind
NO_RESTART = {
    "        tearDown();\n        bareRestart();": "        Assume.assumeTrue(false);",
    "restartingExpiry() throws Exception {": "restartingExpiry() throws Exception { org.junit.Assume.assumeTrue(false);",
}
JAVA_SERVER = ("AbsentQueue", "AlternateExchangeEquivalence", "ChannelLimitNegotiation", "DeadLetterExchangeDurable", "ExclusiveQueueDurability")
JAVA_SERVER += ("PersistenceGuarantees", "PriorityQueues", "XDeathHeaderGrowth")
JAVA_CLIENT = ("BrokenFramesTest", "CloseInMainLoop", "MultiThreadedChannel", "RpcTest", "QueueingConsumerTests", "Bug20004Test")


def prepare_java(setting):
    setting.need("javac", "default-jdk-headless")
    for package, jar in zip(JAVA_PACKAGES, JARS):
        setting.need_file(f"/usr/share/java/{jar}.jar", package)
    setting.debian_source("rabbitmq-java-client")


def run_java(setting):
    port = str(setting.broker.port)
    source = setting.copy(setting.debian_source("rabbitmq-java-client") / "src", "java", {"AMQP.PROTOCOL.PORT": port, "Metrics.class": "Tables.class", **NO_RESTART}, "**/*.java")
    tests, main, out = source / "test/java", source / "main/java", source / "out"
    out.mkdir()
    package = tests / "com/rabbitmq/client/test"
    functional = sorted(file.stem for file in (package / "functional").glob("*.java") if file.stem not in JAVA_LEFT_OUT)
    wanted = [f"functional/{name}" for name in functional] + [f"server/{name}" for name in JAVA_SERVER] + list(JAVA_CLIENT)
    jars = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
    (package / "functional/Metrics.java").unlink()
    # the factory is compiled anew, because it knows the port
    files = [main / "com/rabbitmq/client/ConnectionFactory.java", programs_folder() / "java/Tap.java", *(package / f"{name}.java" for name in wanted)]
    said = setting.command(["javac", "-nowarn", "-d", out, "-cp", jars, "-sourcepath", tests, *files], source)
    if not (out / "Tap.class").exists():
        raise Missing("the tests do not compile: " + said[-400:])
    text = [(name, (package / f"{name}.java").read_text()) for name in wanted]
    classes = ["com.rabbitmq.client.test." + name.replace("/", ".") for name, code in text if "@Test" in code and "abstract class" not in code]
    classes += ["com.rabbitmq.client.test." + name.replace("/", ".") for name, code in text if "@Test" not in code and "extends" in code and "abstract" not in code]
    said = setting.command(["java", "-cp", f"{out}:{jars}", "Tap", *classes], source, 1200)
    (setting.scratch / "java.tap").write_text(said)
    return results.of_tap(said)


def programs_folder():
    return Path(__file__).resolve().parents[1] / "programs"
