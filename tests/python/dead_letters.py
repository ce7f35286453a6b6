"""Dead letters as pika sees them: the fields of x-death in their order, with their types."""

import datetime
import pika

from broker import connect, consume, name

connection = connect()
channel = connection.channel()
dead = name("dead")
channel.queue_declare(dead)


def source(**arguments):
    arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    return channel.queue_declare(name("source"), arguments={**to_dead, **arguments}).method.queue


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def reject(queue):
    method, _, _ = channel.basic_get(queue)
    channel.basic_reject(method.delivery_tag, requeue=False)


def letter():
    (method, properties, body), = consume(channel, dead, 1)
    headers = {key: value for key, value in properties.headers.items() if not key.startswith("x-last-death-")}
    assert list(headers) == sorted(headers), headers
    age = now() - headers["x-death"][0]["time"].replace(tzinfo=datetime.timezone.utc)
    assert abs(age) < datetime.timedelta(minutes=1), headers
    return properties, headers, body


# rejected: the first death has its fields in this order, and the expiration that the message had
queue = source()
properties = pika.BasicProperties(headers={"b": 1, "a": None, "CC": ["x", "y"]}, expiration="60000", message_id="m-1")
channel.basic_publish("", queue, "rejected", properties)
reject(queue)
properties, headers, body = letter()
assert (body, properties.expiration, properties.message_id) == (b"rejected", None, "m-1"), properties
assert headers["a"] is None and headers["b"] == 1 and "CC" not in headers, headers
death, = headers["x-death"]
assert list(death) == ["count", "reason", "queue", "time", "exchange", "routing-keys", "original-expiration"], death
del death["time"]
assert death == {"count": 1, "reason": "rejected", "queue": queue, "exchange": "", "routing-keys": [queue, "x", "y"],
                 "original-expiration": "60000"}, death
first = [headers["x-first-death-" + field] for field in ("queue", "reason", "exchange")]
assert first == [queue, "rejected", ""], headers

# a death after others has them in another order, and counts what is the same
old = {"count": 4, "queue": queue, "reason": "rejected", "exchange": "e", "routing-keys": ["k"], "more": True,
       "time": now()}
channel.basic_publish("", queue, "again", pika.BasicProperties(headers={"x-death": [old]}))
reject(queue)
_, headers, _ = letter()
death, = headers["x-death"]
assert list(death) == ["count", "exchange", "more", "queue", "reason", "routing-keys", "time"], death
assert (death["count"], death["exchange"]) == (5, "e") and "x-first-death-queue" not in headers, headers

expired = source(x_message_ttl=1)
channel.basic_publish("", expired, "expired", pika.BasicProperties(headers={"x-death": [old]}))
_, headers, _ = letter()
newest, oldest = headers["x-death"]
assert list(newest) == ["count", "exchange", "queue", "reason", "routing-keys", "time"], newest
assert (newest["queue"], newest["reason"], oldest["count"]) == (expired, "expired", 4), headers
connection.close()
