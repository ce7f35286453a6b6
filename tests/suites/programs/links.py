"""RabbitMQ's shovels and federation links with the broker at the other end: what a RabbitMQ that is being replaced, or stays beside, would do. Prints TAP."""

import base64
import json
import os
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pika

BROKER = f"{os.environ['STOA_SUITE_HOST']}:{os.environ['STOA_SUITE_PORT']}"
RABBITMQ = f"127.0.0.1:{os.environ['OTHER_AMQP']}"
CHECKS = []
SECONDS = 60


def check(name):
    return lambda body: CHECKS.append((name, body))


def unique(stem):
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def uri(address):
    return f"amqp://guest:guest@{address}/%2f"


def api(method, path, body=None, http=os.environ["OTHER_HTTP"]):
    headers = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(), "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{http}/api/{path}", None if body is None else json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()}") from error
    return json.loads(text) if text else None


def shovel(**value):
    name = unique("shovel")
    api("PUT", f"parameters/shovel/%2f/{name}", {"value": {key.replace("_", "-"): what for key, what in value.items()}})
    return name


def eventually(what, condition):
    deadline = time.monotonic() + SECONDS
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come to be: {value!r}"
        time.sleep(0.1)


def take(channel, queue, count):
    """So many messages, in their order."""
    got = []
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=SECONDS):
        assert method is not None, f"only {len(got)} of {count} messages came"
        got.append((method, properties, body))
        if len(got) == count:
            break
    channel.cancel()
    return got


def publish(channel, queue, count, exchange="", **properties):
    for n in range(count):
        channel.basic_publish(exchange, queue, str(n).encode(), pika.BasicProperties(delivery_mode=2, message_id=str(n), **properties), mandatory=not exchange)


def bodies(messages):
    return [body for _, _, body in messages]


def numbers(count):
    return [str(n).encode() for n in range(count)]


def move(here, there, source, target, **options):
    """A shovel between queues of two brokers moves a thousand messages in their order, and what they say."""
    queue, copy = unique("from"), unique("to")
    here.queue_declare(queue, durable=True)
    there.queue_declare(copy, durable=True)
    publish(here, queue, 1000, headers={"of": "all", "kinds": [1, True, "x", {"in": None}]}, priority=3, correlation_id="c")
    name = shovel(src_uri=uri(source), src_queue=queue, dest_uri=uri(target), dest_queue=copy, **options)
    got = take(there, copy, 1000)
    assert bodies(got) == numbers(1000)
    _, properties, _ = got[7]
    assert (properties.message_id, properties.priority, properties.correlation_id, properties.delivery_mode) == ("7", 3, "c", 2)
    assert properties.headers["kinds"] == [1, True, "x", {"in": None}], properties.headers
    if options.get("ack_mode") != "no-ack":
        eventually("an empty source", lambda: here.queue_declare(queue, passive=True).method.message_count == 0)
    if "src_delete_after" not in options:
        api("DELETE", f"parameters/shovel/%2f/{name}")
    return name, got


@check("a shovel takes from the broker, with confirms of RabbitMQ's")
def _(broker, rabbitmq):
    move(broker, rabbitmq, BROKER, RABBITMQ, ack_mode="on-confirm")


@check("a shovel brings to the broker, with its confirms")
def _(broker, rabbitmq):
    move(rabbitmq, broker, RABBITMQ, BROKER, ack_mode="on-confirm")


@check("a shovel brings to the broker without confirms")
def _(broker, rabbitmq):
    move(rabbitmq, broker, RABBITMQ, BROKER, ack_mode="on-publish")


@check("a shovel takes without acknowledging")
def _(broker, rabbitmq):
    move(broker, rabbitmq, BROKER, RABBITMQ, ack_mode="no-ack")


@check("a shovel within the broker, which notes where messages came from")
def _(broker, _):
    _, got = move(broker, broker, BROKER, BROKER, ack_mode="on-confirm", dest_add_forward_headers=True, src_prefetch_count=10)
    shovelled = got[0][1].headers["x-shovelled"]
    assert shovelled[0]["shovel-type"] == "dynamic" and shovelled[0]["shovel-vhost"] == "/", shovelled


@check("a shovel that moves what is there, then goes")
def _(broker, rabbitmq):
    name, _ = move(broker, rabbitmq, BROKER, RABBITMQ, ack_mode="on-confirm", src_delete_after="queue-length")
    eventually("a shovel that is gone", lambda: name not in [entry["name"] for entry in api("GET", "parameters/shovel")])


@check("a shovel from an exchange of the broker, by a key")
def _(broker, rabbitmq):
    exchange, copy = unique("events"), unique("copy")
    broker.exchange_declare(exchange, "topic", durable=True)
    rabbitmq.queue_declare(copy, durable=True)
    name = shovel(src_uri=uri(BROKER), src_exchange=exchange, src_exchange_key="order.*", dest_uri=uri(RABBITMQ), dest_queue=copy)
    eventually("a running shovel", lambda: [entry for entry in api("GET", "shovels") if entry["name"] == name and entry["state"] == "running"])
    publish(broker, "order.new", 3, exchange)
    publish(broker, "customer.new", 1, exchange)
    publish(broker, "order.paid", 2, exchange)
    assert bodies(take(rabbitmq, copy, 5)) == [b"0", b"1", b"2", b"0", b"1"]
    api("DELETE", f"parameters/shovel/%2f/{name}")


@check("a shovel comes back when its connection to the broker was closed")
def _(broker, rabbitmq):
    queue, copy = unique("from"), unique("to")
    broker.queue_declare(queue, durable=True)
    rabbitmq.queue_declare(copy, durable=True)
    name = shovel(src_uri=uri(BROKER), src_queue=queue, dest_uri=uri(RABBITMQ), dest_queue=copy, reconnect_delay=1)
    publish(broker, queue, 1)
    take(rabbitmq, copy, 1)
    http = os.environ["STOA_SUITE_HTTP"]
    consumer = eventually("a consumer", lambda: [entry for entry in api("GET", "consumers", http=http) if entry["queue"]["name"] == queue])[0]
    connection = urllib.parse.quote(consumer["channel_details"]["connection_name"], safe="")
    api("DELETE", f"connections/{connection}", http=http)
    publish(broker, queue, 5)
    assert bodies(take(rabbitmq, copy, 5)) == numbers(5)
    api("DELETE", f"parameters/shovel/%2f/{name}")


def federate(pattern, to, **upstream):
    name = unique("upstream")
    api("PUT", f"parameters/federation-upstream/%2f/{name}", {"value": {"uri": uri(BROKER), **{key.replace("_", "-"): what for key, what in upstream.items()}}})
    api("PUT", f"policies/%2f/{name}", {"pattern": f"^{pattern}$", "definition": {"federation-upstream": name}, "apply-to": to})
    return name


def link(name):
    return eventually("a running link", lambda: [entry for entry in api("GET", "federation-links") if entry["upstream"] == name and entry["status"] == "running"])


def part(name):
    api("DELETE", f"policies/%2f/{name}")
    api("DELETE", f"parameters/federation-upstream/%2f/{name}")


@check("a federated exchange gets what is published to the broker's, for as long as it is bound")
def _(broker, rabbitmq):
    exchange, queue = unique("federated"), unique("bound")
    rabbitmq.exchange_declare(exchange, "topic", durable=True)
    rabbitmq.queue_declare(queue, durable=True)
    name = federate(exchange, "exchanges", ack_mode="on-confirm", expires=60000)
    rabbitmq.queue_bind(queue, exchange, "a.*")
    link(name)
    http = os.environ["STOA_SUITE_HTTP"]
    keys = lambda: [entry["routing_key"] for entry in api("GET", f"exchanges/%2f/{exchange}/bindings/source", http=http)]
    eventually("a binding at the broker", lambda: "a.*" in keys())
    publish(broker, "a.b", 500, exchange)
    publish(broker, "b.b", 1, exchange)
    got = take(rabbitmq, queue, 500)
    assert bodies(got) == numbers(500)
    received = got[0][1].headers["x-received-from"]
    assert received[0]["exchange"] == exchange and received[0]["uri"] == f"amqp://{BROKER}/%2f", received
    rabbitmq.queue_bind(queue, exchange, "c.#")
    eventually("another binding at the broker", lambda: "c.#" in keys())
    rabbitmq.queue_unbind(queue, exchange, "a.*")
    eventually("no more of a binding at the broker", lambda: "a.*" not in keys())
    publish(broker, "a.b", 1, exchange)
    publish(broker, "c", 1, exchange, headers={"last": True})
    assert take(rabbitmq, queue, 1)[0][1].headers["last"] is True
    part(name)
    eventually("no queue of the link's", lambda: not [entry for entry in api("GET", "queues", http=http) if entry["name"].startswith(f"federation: {exchange}")])


@check("messages go round between two exchanges that are federated with each other no more than once")
def _(broker, rabbitmq):
    exchange, queue = unique("ring"), unique("bound")
    rabbitmq.exchange_declare(exchange, "fanout", durable=True)
    rabbitmq.queue_declare(queue, durable=True)
    rabbitmq.queue_bind(queue, exchange)
    name = federate(exchange, "exchanges", max_hops=1)
    link(name)
    publish(broker, "", 3, exchange)
    publish(rabbitmq, "", 2, exchange)
    got = sorted(bodies(take(rabbitmq, queue, 5)))
    assert got == [b"0", b"0", b"1", b"1", b"2"], got
    part(name)


@check("a federated queue takes what is in the broker's while it has consumers")
def _(broker, rabbitmq):
    queue = unique("federated")
    broker.queue_declare(queue, durable=True)
    publish(broker, queue, 300)
    rabbitmq.queue_declare(queue, durable=True)
    name = federate(queue, "queues", prefetch_count=20)
    got = take(rabbitmq, queue, 300)
    assert bodies(got) == numbers(300)
    eventually("an empty queue", lambda: broker.queue_declare(queue, passive=True).method.message_count == 0)
    eventually("no consumer at the broker's", lambda: broker.queue_declare(queue, passive=True).method.consumer_count == 0)
    publish(broker, queue, 1)
    assert broker.queue_declare(queue, passive=True).method.message_count == 1
    part(name)


@check("a wrong password is told to the link")
def _(_, rabbitmq):
    exchange = unique("refused")
    rabbitmq.exchange_declare(exchange, "fanout", durable=True)
    name = federate(exchange, "exchanges")
    api("PUT", f"parameters/federation-upstream/%2f/{name}", {"value": {"uri": f"amqp://guest:wrong@{BROKER}/%2f"}})
    eventually("a refused link", lambda: [entry for entry in api("GET", "federation-links") if entry["upstream"] == name and "refused" in str(entry.get("error"))])
    part(name)


def channel(address):
    host, port = address.split(":")
    channel = pika.BlockingConnection(pika.ConnectionParameters(host, int(port))).channel()
    channel.confirm_delivery()
    return channel


def main():
    for number, (name, body) in enumerate(CHECKS, 1):
        channels = [channel(BROKER), channel(RABBITMQ)]
        try:
            body(*channels)
            print(f"ok {number} - {name}", flush=True)
        except BaseException:
            print(f"not ok {number} - {name}\n" + "".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), flush=True)
        for one in channels:
            if one.connection.is_open:
                one.connection.close()
    print(f"1..{len(CHECKS)}")


main()
