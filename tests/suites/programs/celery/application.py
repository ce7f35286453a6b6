"""The Celery application that the tests run a worker of."""

import os

from celery import Celery

application = Celery("application", broker=os.environ["AMQP_URL"] + "/", backend="rpc://")
application.conf.update(
    task_default_queue="celery-" + os.environ.get("STOA_SUITE_RUN", "0"),
    task_queue_max_priority=10,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    result_expires=600,
    result_persistent=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
)

attempts = {}


@application.task
def add(x, y):
    return x + y


@application.task
def total(numbers):
    return sum(numbers)


@application.task
def fail():
    raise ValueError("on purpose")


@application.task(bind=True, max_retries=3)
def succeed_at(self, attempt):
    if self.request.retries < attempt:
        raise self.retry(countdown=0.2)
    return self.request.retries


@application.task(bind=True)
def seen(self, name):
    """Tells in which order tasks were run: results are numbered by the one process that runs them."""
    attempts["order"] = attempts.get("order", 0) + 1
    return attempts["order"]


@application.task
def large(size):
    return "x" * size


@application.task
def pause(seconds):
    import time

    time.sleep(seconds)
