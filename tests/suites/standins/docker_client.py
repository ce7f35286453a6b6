"""Stands in for the Docker client of the suites of aio-pika and aiormq: the container that they ask for is the broker that runs already."""

import os
from dataclasses import dataclass


class DockerNotAvailableError(Exception):
    pass


class DockerHostInfo:
    pass


@dataclass
class ContainerInfo:
    id: str
    ports: dict
    host: str


class DockerClient:
    def __init__(self, _info=None):
        pass

    def run(self, _image, ports, environment=None):
        if any("5672" not in port and "5671" not in port for port in ports):
            raise DockerNotAvailableError("only the broker is here")
        port = int(os.environ["STOA_SUITE_PORT"])
        return ContainerInfo("broker", {"5672/tcp": port, "5671/tcp": 1}, os.environ["STOA_SUITE_HOST"])

    def kill(self, _id):
        pass

    def remove(self, _id):
        pass


def check_docker_available():
    return DockerHostInfo()


def __getattr__(name):
    raise AttributeError(name)
