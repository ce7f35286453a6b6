"""Python's clients. Their source packages from PyPI contain the tests, except pika's, aio-pika's and aiormq's."""

import shutil
from pathlib import Path

from . import results

HERE = Path(__file__).resolve().parents[1]
PYTEST = ("pytest>=8,<10", "pytest-timeout>=2,<3")

PY_AMQP, KOMBU, CELERY = "amqp==5.3.1", "kombu==5.5.4", "celery==5.5.3"


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


CELERY_TESTS = (*PYTEST, "pytest-celery==0.0.0", "pytest-rerunfailures", "pytest-subtests", "pytest-click", CELERY)


def prepare_celery_integration(setting):
    setting.python("celery-integration", *CELERY_TESTS)
    setting.sdist(CELERY)


def run_celery_integration(setting):
    python = setting.python("celery-integration", *CELERY_TESTS)
    folder = setting.copy(setting.sdist(CELERY), "celery-integration")
    environment = {"TEST_BROKER": setting.broker.uri + "/", "TEST_BACKEND": "rpc://"}
    paths = ["t/integration/test_tasks.py", "t/integration/test_inspect.py", "t/integration/test_mem_leak_in_exception_handling.py"]
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


AIO = (*PYTEST, "aiomisc>=18", "aiomisc-pytest", "shortuuid", "pamqp", "yarl", "exceptiongroup", "timeout-decorator")


def prepare_aio_pika(setting):
    setting.checkout("aio-pika")
    setting.python("aio-pika", *AIO, "aiormq>=7")


def run_aio_pika(setting):
    python = setting.python("aio-pika", *AIO, "aiormq>=7")
    return with_docker_stand_in(setting, python, "aio-pika", "--ignore=tests/test_amqps.py", "--ignore=tests/test_amqp_robust_proxy.py", "--ignore=tests/test_memory_leak.py")


def prepare_aiormq(setting):
    setting.checkout("aiormq")
    setting.python("aiormq", *AIO)


def run_aiormq(setting):
    return with_docker_stand_in(setting, setting.python("aiormq", *AIO), "aiormq")


def with_docker_stand_in(setting, python, name, *options):
    folder = setting.copy(setting.checkout(name), name)
    shutil.copy(HERE / "standins" / "docker_client.py", folder / "tests" / "docker_client.py")
    return pytest(setting, python, folder, ["tests"], *options, environment={"PYTHONPATH": str(folder)})
