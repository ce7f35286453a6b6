"""basic.get: empty queues, counts, settling, recover."""

from broker import connect, name

connection = connect()
channel = connection.channel()
queue = name("get")
channel.queue_declare(queue)

assert channel.basic_get(queue) == (None, None, None)

channel.confirm_delivery()
for number in range(4):
    channel.basic_publish("", queue, str(number))

method, _, body = channel.basic_get(queue)
assert (body, method.message_count, method.redelivered, method.routing_key, method.exchange) == (b"0", 3, False, queue, "")
channel.basic_nack(method.delivery_tag)
method, _, body = channel.basic_get(queue)
assert (body, method.redelivered) == (b"0", True)
channel.basic_ack(method.delivery_tag)

first, _, _ = channel.basic_get(queue)
second, _, body = channel.basic_get(queue)
assert body == b"2"
channel.basic_ack(second.delivery_tag, multiple=True)
method, _, body = channel.basic_get(queue)
assert (body, method.message_count) == (b"3", 0)
channel.basic_recover(requeue=True)
method, _, body = channel.basic_get(queue, auto_ack=True)
assert (body, method.redelivered) == (b"3", True)
assert channel.basic_get(queue) == (None, None, None)
channel.queue_delete(queue)
connection.close()
