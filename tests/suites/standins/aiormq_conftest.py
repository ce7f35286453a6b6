"""Stands in for the file above aiormq's tests that its package leaves out: where the broker is."""

import os
from types import SimpleNamespace

import pytest
from yarl import URL


@pytest.fixture(scope="session")
def rabbitmq_container():
    port = int(os.environ["STOA_SUITE_PORT"])
    return SimpleNamespace(id="broker", ports={"5672/tcp": port, "5671/tcp": 1}, host=os.environ["STOA_SUITE_HOST"])


@pytest.fixture(scope="session")
def amqp_direct_url(rabbitmq_container):
    port = rabbitmq_container.ports["5672/tcp"]
    return URL.build(scheme="amqp", user="guest", password="guest", path="//", host=rabbitmq_container.host, port=port)
