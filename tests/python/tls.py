"""pika over TLS: a flood in both directions, bodies larger than any buffer, confirms."""

import os
import ssl
import sys

import pika

from broker import connect, consume, name

context = ssl.create_default_context(cafile=sys.argv[3])
connection = connect(ssl_options=pika.SSLOptions(context, sys.argv[1]))
channel = connection.channel()
channel.confirm_delivery()
queue = name("tls")
channel.queue_declare(queue, durable=True)

# every size around those of records and buffers, and some that take many reads
for size in [0, 1, 16_383, 16_384, 16_385, 65_536, 131_072, 1_000_000, 20_000_000]:
    body = os.urandom(size)
    channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
    [(_, _, taken)] = consume(channel, queue, 1)
    assert taken == body, f"{len(taken)} of {size}"

# many at once, delivered while nobody reads
flood = connection.channel()
for number in range(20_000):
    flood.basic_publish("", queue, str(number).rjust(200))
taken = consume(channel, queue, 20_000, auto_ack=True)
assert [int(body) for _, _, body in taken] == list(range(20_000))
connection.close()
