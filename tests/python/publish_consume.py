"""Publishing and consuming: order, properties, large bodies, prefetch, nack and redelivery, what a lost connection gives back."""

import pika

from broker import connect, consume, name

connection = connect()
channel = connection.channel()
queue = name("pika")
channel.queue_declare(queue, durable=True)

# order
for number in range(1000):
    channel.basic_publish("", queue, str(number), pika.BasicProperties(delivery_mode=2))
taken = consume(channel, queue, 1000)
assert [int(body) for _, _, body in taken] == list(range(1000))
assert [method.delivery_tag for method, _, _ in taken] == list(range(1, 1001))
assert not any(method.redelivered for method, _, _ in taken)

# properties
sent = pika.BasicProperties(
    content_type="application/json",
    content_encoding="utf-8",
    headers={"text": "grüße", "number": -5, "big": 1 << 40, "yes": True, "nothing": None, "list": [1, "two"], "table": {"a": {"b": 1}}},
    delivery_mode=2,
    priority=3,
    correlation_id="c",
    reply_to="r",
    expiration="600000",
    message_id="m",
    timestamp=1_700_000_000,
    type="t",
    user_id="guest",
    app_id="a",
)
channel.basic_publish("", queue, b"{}", sent)
(_, got, body), = consume(channel, queue, 1, auto_ack=True)
assert got == sent, (got, sent)
assert body == b"{}"

# bodies from nothing to several frames
bodies = [b"", b"x", b"y" * 131_064, b"z" * 131_065, bytes(range(256)) * 8192]
for body in bodies:
    channel.basic_publish("", queue, body)
assert [body for _, _, body in consume(channel, queue, len(bodies))] == bodies

# prefetch, nack, redelivery
for number in range(3):
    channel.basic_publish("", queue, str(number))
channel.basic_qos(prefetch_count=1)
seen = []
for method, _, body in channel.consume(queue, inactivity_timeout=20):
    seen.append((body, method.redelivered))
    if body == b"1" and not method.redelivered:
        channel.basic_nack(method.delivery_tag, requeue=True)
    elif body == b"2":
        channel.basic_reject(method.delivery_tag, requeue=False)
        break
    else:
        channel.basic_ack(method.delivery_tag)
channel.cancel()
assert seen == [(b"0", False), (b"1", False), (b"1", True), (b"2", False)], seen

# a lost connection gives back what it had
channel.basic_publish("", queue, "again")
method, _, _ = channel.basic_get(queue)
assert method.redelivered is False
connection.close()
connection = connect()
channel = connection.channel()
(method, _, body), = consume(channel, queue, 1)
assert (body, method.redelivered) == (b"again", True)
channel.queue_delete(queue)
connection.close()
