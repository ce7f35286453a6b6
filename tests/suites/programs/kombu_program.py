"""kombu's own layers above AMQP, as frameworks use them: simple queues, mailboxes, pools, compression, heads of queues, and Celery's events. Prints TAP."""

import os
import socket
import threading
import traceback
import uuid

from celery import Celery
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.pidbox import Mailbox
from kombu.pools import connections, producers

URL = f"amqp://guest:guest@{os.environ['STOA_SUITE_HOST']}:{os.environ['STOA_SUITE_PORT']}//"
CHECKS = []


def check(name):
    return lambda body: CHECKS.append((name, body))


def unique(stem):
    return f"{stem}-{uuid.uuid4().hex}"


@check("a simple queue: put, count, get, requeue, clear")
def _(connection):
    with connection.SimpleQueue(unique("simple")) as queue:
        for number in range(4):
            queue.put({"number": number}, compression="zlib")
        assert queue.qsize() == 4
        first = queue.get(timeout=5)
        assert first.payload == {"number": 0}
        first.ack()
        queue.get(timeout=5).requeue()
        assert sorted(take(queue) for _ in range(3)) == [1, 2, 3]
        queue.put("cleared")
        queue.consumer.cancel()
        queue.put("cleared, too")
        assert queue.clear() >= 1
        try:
            queue.get_nowait()
        except queue.Empty:
            pass
        queue.queue.delete()


def take(queue):
    message = queue.get(timeout=5)
    message.ack()
    return message.payload["number"]


@check("a simple buffer, which keeps nothing")
def _(connection):
    with connection.SimpleBuffer(unique("buffer")) as buffer:
        buffer.put("here and gone")
        assert buffer.get(timeout=5).payload == "here and gone"
        assert buffer.qsize() == 0


@check("a mailbox: cast, call one, call all, and the time it waits")
def _(connection):
    mailbox = Mailbox(unique("box"), type="direct")
    seen, stop = [], threading.Event()

    def node(name):
        with Connection(URL) as own:
            node = mailbox(own).Node(name, channel=own.channel())
            node.handler(lambda state, text: (seen.append((name, text)), f"{name}: {text}")[1])
            node.handlers = {"echo": node.handlers.popitem()[1]}
            with node.listen(callback=lambda body, message: node.handle_message(body, message)):
                listening.release()
                while not stop.is_set():
                    try:
                        own.drain_events(timeout=0.2)
                    except (socket.timeout, TimeoutError):
                        pass

    listening = threading.Semaphore(0)
    threads = [threading.Thread(target=node, args=(name,), daemon=True) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert listening.acquire(timeout=10)
    box = mailbox(connection)
    try:
        assert box.call(["a"], "echo", {"text": "one"}, timeout=5) == [{"a": "a: one"}]
        both = box._broadcast("echo", {"text": "two"}, destination=["a", "b"], reply=True, timeout=5, limit=2)
        assert sorted(both, key=str) == [{"a": "a: two"}, {"b": "b: two"}], both
        box.cast(["b"], "echo", {"text": "three"})
        assert box.call(["b"], "echo", {"text": "four"}, timeout=5) == [{"b": "b: four"}]
        assert ("b", "three") in seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


@check("pools of connections and producers, with retries and delivery modes")
def _(connection):
    queue = Queue(unique("pool"), Exchange(unique("exchange"), type="topic", durable=False, auto_delete=True), routing_key="a.*", auto_delete=True)
    with connections[Connection(URL)].acquire(block=True) as pooled:
        queue(pooled.default_channel).declare()
        for mode in (1, 2, "transient", "persistent"):
            with producers[pooled].acquire(block=True) as producer:
                options = dict(exchange=queue.exchange, routing_key="a.b", declare=[queue], delivery_mode=mode, priority=3, expiration=30)
                producer.publish({"mode": mode}, retry=True, headers={"n": 1, "deep": {"list": [1, "two", None]}}, **options)
        bound = queue(pooled.default_channel)
        got = [bound.get(no_ack=True, accept=["json"]) for _ in range(4)]
        assert [message.properties["delivery_mode"] for message in got] == [1, 2, 1, 2]
        assert all(message.headers["deep"] == {"list": [1, "two", None]} for message in got)
        assert {message.properties["expiration"] for message in got} == {"30000"}
        bound.delete()


@check("messages of a queue that several consumers share, each acknowledged by its own channel")
def _(connection):
    queue = Queue(unique("shared"), auto_delete=True)
    got = []
    channels = [connection.channel() for _ in range(3)]
    for number, channel in enumerate(channels):
        consumer = Consumer(channel, [queue], callbacks=[lambda body, message, number=number: (got.append((number, body)), message.ack())])
        consumer.qos(prefetch_count=1)
        consumer.consume()
    producer = Producer(connection.channel(), routing_key=queue.name)
    for number in range(60):
        producer.publish(number)
    while len(got) < 60:
        connection.drain_events(timeout=5)
    assert sorted(body for _, body in got) == list(range(60))
    assert {number for number, _ in got} == {0, 1, 2}


@check("exchanges bound to exchanges, and unbound")
def _(connection):
    channel = connection.channel()
    inner, outer = (Exchange(unique(name), type="fanout", auto_delete=True)(channel) for name in ("inner", "outer"))
    queue = Queue(unique("behind"), inner, auto_delete=True)(channel)
    outer.declare()
    queue.declare()
    inner.bind_to(outer)
    Producer(channel, outer).publish("through")
    assert queue.get(no_ack=True).payload == "through"
    inner.unbind_from(outer)
    Producer(channel, outer).publish("lost")
    assert queue.get(no_ack=True) is None
    queue.delete()


@check("Celery's events, as monitors receive them")
def _(connection):
    app = Celery(unique("monitored"), broker=URL, backend="rpc://")
    app.conf.event_queue_prefix, app.conf.event_exchange = unique("events"), unique("events")
    got = []
    with app.connection() as own:
        receiver = app.events.Receiver(own, handlers={"*": got.append}, routing_key="#")
        with receiver.Consumer() as (listening, _channel, _consumers):
            with app.events.Dispatcher(connection, hostname="here", enabled=True) as dispatcher:
                dispatcher.send("worker-online", sw_ident="test")
                dispatcher.send("task-received", uuid="1", name="t")
                dispatcher.send("task-succeeded", uuid="1", result="ok")
            while len(got) < 3:
                listening.drain_events(timeout=5)
    assert [event["type"] for event in got] == ["worker-online", "task-received", "task-succeeded"], got
    assert {event["hostname"] for event in got} == {"here"}


def main():
    for number, (name, body) in enumerate(CHECKS, 1):
        try:
            # with confirms, what has been published is there
            with Connection(URL, transport_options={"confirm_publish": True}) as connection:
                body(connection)
            print(f"ok {number} - {name}", flush=True)
        except BaseException:
            print(f"not ok {number} - {name}\n" + "".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), flush=True)
    print(f"1..{len(CHECKS)}")


main()
