"""A Celery application with its worker: results, retries, ETA, expiry, priorities, groups, chains, revocation, inspection."""

import os
import subprocess
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest

os.environ.setdefault("STOA_SUITE_RUN", uuid.uuid4().hex[:8])

from application import add, application, fail, large, pause, seen, succeed_at, total  # noqa: E402
from celery import chain, group  # noqa: E402
from celery.exceptions import TaskRevokedError  # noqa: E402

WAIT = 30


@pytest.fixture(scope="module", autouse=True)
def worker():
    command = [sys.executable, "-m", "celery", "-A", "application", "worker", "--pool=solo", "--loglevel=INFO", "-n", f"w{os.environ['STOA_SUITE_RUN']}@%h"]
    with open("worker.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        assert add.delay(1, 1).get(timeout=60) == 2
        yield process
        process.terminate()
        process.wait(30)


def test_results_come_back():
    results = [add.delay(n, n) for n in range(50)]
    assert [result.get(timeout=WAIT) for result in results] == [2 * n for n in range(50)]


def test_a_failure_comes_back_as_its_exception():
    with pytest.raises(ValueError, match="on purpose"):
        fail.delay().get(timeout=WAIT)


def test_a_task_is_retried():
    assert succeed_at.delay(2).get(timeout=WAIT) == 2


def test_a_task_waits_for_its_countdown():
    start = time.monotonic()
    assert add.apply_async((1, 2), countdown=1).get(timeout=WAIT) == 3
    assert time.monotonic() - start >= 0.9


def test_a_task_waits_for_its_eta():
    due = datetime.now(timezone.utc) + timedelta(seconds=1)
    assert add.apply_async((1, 2), eta=due).get(timeout=WAIT) == 3
    assert datetime.now(timezone.utc) >= due


def test_a_task_that_comes_too_late_is_revoked():
    pause.delay(1)
    with pytest.raises(TaskRevokedError):
        add.apply_async((1, 2), expires=0.2).get(timeout=WAIT)


def test_a_higher_priority_is_run_first():
    pause.delay(1.5)
    time.sleep(0.3)
    low = [seen.apply_async(("low",), priority=1) for _ in range(5)]
    high = [seen.apply_async(("high",), priority=9) for _ in range(5)]
    ran_low = [result.get(timeout=WAIT) for result in low]
    ran_high = [result.get(timeout=WAIT) for result in high]
    # one may have been fetched already when the high ones came
    assert sum(order < max(ran_high) for order in ran_low) <= 1, (ran_low, ran_high)


def test_groups_and_chains():
    assert group(add.s(n, 1) for n in range(10)).apply_async().get(timeout=WAIT) == list(range(1, 11))
    assert chain(add.s(1, 2), add.s(3), add.s(4)).apply_async().get(timeout=WAIT) == 10


def test_a_large_result():
    assert len(large.delay(2_000_000).get(timeout=WAIT)) == 2_000_000


def test_the_worker_answers_over_its_control_exchange():
    replies = application.control.ping(timeout=5)
    assert [list(reply.values()) for reply in replies] == [[{"ok": "pong"}]]
    queues = application.control.inspect(timeout=5).active_queues()
    assert [queue["name"] for queue in next(iter(queues.values()))] == [application.conf.task_default_queue]


def test_a_task_is_revoked_while_it_waits():
    result = add.apply_async((1, 2), countdown=3)
    application.control.revoke(result.id, reply=True, timeout=5)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=WAIT)


def test_purge_counts():
    name = "celery-purge-" + uuid.uuid4().hex
    with application.connection_for_write() as connection:
        for _ in range(7):
            add.apply_async((1, 1), queue=name, connection=connection)
        with connection.channel() as channel:
            assert channel.queue_purge(name) == 7
            assert channel.queue_delete(name) == 0


@pytest.mark.parametrize("persistent", [True, False])
def test_tasks_with_either_delivery_mode(persistent):
    mode = 2 if persistent else 1
    assert add.apply_async((2, 3), delivery_mode=mode).get(timeout=WAIT) == 5


def test_total_of_a_group():
    numbers = group(add.s(n, n) for n in range(5)).apply_async().get(timeout=WAIT)
    assert total.delay(numbers).get(timeout=WAIT) == 20
