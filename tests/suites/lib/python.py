"""Python's clients. Their source packages from PyPI contain the tests, except pika's."""

import shutil
from pathlib import Path

from . import results

HERE = Path(__file__).resolve().parents[1]
PYTEST = ("pytest>=8,<10", "pytest-timeout>=2,<3")

PY_AMQP, KOMBU, CELERY = "amqp==5.3.1", "kombu==5.5.4", "celery==5.5.3"
AIO_PIKA, AIORMQ = "aio_pika==10.2.1", "aiormq==7.2.4"


def pytest(setting, python, folder, paths, *options, environment=None, deadline=900):
    """Runs the tests below these paths, and reads the report; what pytest itself said is kept beside it."""
    report = setting.scratch / "pytest.xml"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=120", f"--junitxml={report}", *options, *paths]
    said = setting.command(command, folder, deadline, environment)
    (report.parent / "pytest.log").write_text(said)
    if not report.exists():
        return [results.Result("pytest", results.FAILED, said)]
    return results.of_junit(report)


def address(setting):
    return {"RABBITMQ_HOST": setting.broker.host, "RABBITMQ_5672_TCP": str(setting.broker.port)}


def prepare_py_amqp(setting):
    setting.python("py-amqp", *PYTEST, "pytest-rerunfailures", PY_AMQP)
    setting.sdist(PY_AMQP)


def run_py_amqp(setting):
    python = setting.python("py-amqp", *PYTEST, "pytest-rerunfailures", PY_AMQP)
    # those with TLS want certificates and a port that this broker is not given
    return pytest(setting, python, setting.sdist(PY_AMQP), ["t/integration"], "-k", "not tls", environment=address(setting))


def prepare_kombu(setting):
    setting.python("kombu", *PYTEST, "pytest-rerunfailures", KOMBU)
    setting.sdist(KOMBU)


def run_kombu(setting):
    python = setting.python("kombu", *PYTEST, "pytest-rerunfailures", KOMBU)
    return pytest(setting, python, setting.sdist(KOMBU), ["t/integration/test_py_amqp.py"], environment=address(setting))


def prepare_celery(setting):
    setting.python("celery", *PYTEST, CELERY)


def run_celery(setting):
    python = setting.python("celery", *PYTEST, CELERY)
    folder = setting.copy(HERE / "programs" / "celery", "celery")
    return pytest(setting, python, folder, ["."], environment={"PYTHONPATH": str(folder)})


CELERY_TESTS = (*PYTEST, "pytest-celery==0.0.0", "pytest-rerunfailures", "pytest-subtests", "pytest-click", "pydantic>=2,<3", "redis", CELERY)


def prepare_celery_integration(setting):
    setting.python("celery-integration", *CELERY_TESTS)
    setting.sdist(CELERY)


def run_celery_integration(setting):
    python = setting.python("celery-integration", *CELERY_TESTS)
    folder = setting.copy(setting.sdist(CELERY), "celery-integration")
    environment = {"TEST_BROKER": setting.broker.uri + "/", "TEST_BACKEND": "rpc://"}
    paths = ["t/integration/test_tasks.py", "t/integration/test_inspect.py"]
    return pytest(setting, python, folder, paths, environment=environment)


def prepare_pika(setting):
    setting.checkout("pika")
    setting.python("pika", *PYTEST, "tornado", "gevent", "twisted")


def run_pika(setting):
    python = setting.python("pika", *PYTEST, "tornado", "gevent", "twisted")
    folder = setting.copy(setting.checkout("pika"), "pika", {"5672": str(setting.broker.port)}, "tests/**/*.py")
    tests = ["tests/acceptance/blocking_adapter_test.py", "tests/acceptance/async_adapter_tests.py"]
    tests += [path for path in ("tests/acceptance/thread_safe_connection_test.py", "tests/acceptance/enforce_one_basicget_test.py") if (folder / path).exists()]
    return pytest(setting, python, folder, tests, environment={"PYTHONPATH": str(folder)})


# a file of the tests wants timeout_decorator
AIO = (*PYTEST, "aiomisc>=18", "aiomisc-pytest", "shortuuid", "timeout-decorator")


def prepare_aio_pika(setting):
    setting.python("aio-pika", *AIO, AIO_PIKA)
    setting.sdist(AIO_PIKA)


def run_aio_pika(setting):
    folder = setting.copy(setting.sdist(AIO_PIKA), "aio-pika")
    shutil.copy(HERE / "standins" / "docker_client.py", folder / "tests" / "docker_client.py")
    # TLS wants certificates, the proxy a second container
    left_out = [f"--ignore=tests/{name}.py" for name in ("test_amqps", "test_amqp_robust_proxy", "test_memory_leak")]
    python = setting.python("aio-pika", *AIO, AIO_PIKA)
    return pytest(setting, python, folder, ["tests"], *left_out, environment={"PYTHONPATH": str(folder)})


def prepare_aiormq(setting):
    setting.python("aiormq", *AIO, AIORMQ)
    setting.sdist(AIORMQ)


def run_aiormq(setting):
    folder = setting.copy(setting.sdist(AIORMQ), "aiormq")
    shutil.copy(HERE / "standins" / "aiormq_conftest.py", folder / "conftest.py")
    # the addresses with TLS want certificates
    python = setting.python("aiormq", *AIO, AIORMQ)
    return pytest(setting, python, folder, ["tests"], "-k", "not amqps and not ssl_context", environment={"PYTHONPATH": str(folder)})
