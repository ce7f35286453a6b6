"""Confirms and returned messages: the blocking channel waits for each confirm, and says what could not be routed."""

import pika
from pika.exceptions import UnroutableError

from broker import connect, consume, name

connection = connect()
channel = connection.channel()
channel.confirm_delivery()
queue = name("confirmed")
channel.queue_declare(queue, durable=True)
persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)

for number in range(200):
    channel.basic_publish("", queue, str(number), persistent, mandatory=True)
assert channel.queue_declare(queue, passive=True).method.message_count == 200

try:
    channel.basic_publish("", name("nowhere"), "lost", persistent, mandatory=True)
except UnroutableError as error:
    returned, = error.messages
    assert returned.method.reply_code == 312 and returned.body == b"lost", error
else:
    raise AssertionError("an unroutable message was confirmed")

channel.basic_publish("", name("nowhere"), "nobody insists", persistent)
assert [int(body) for _, _, body in consume(channel, queue, 200)] == list(range(200))

# several publishes under way at once, from a transient and a persistent mix
other = connection.channel()
other.confirm_delivery()
for number in range(100):
    other.basic_publish("", queue, str(number), pika.BasicProperties(delivery_mode=1 + number % 2))
assert channel.queue_delete(queue).method.message_count == 100
connection.close()
