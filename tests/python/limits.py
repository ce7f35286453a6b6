"""basic.qos for a whole channel, consumer priorities, the single active consumer, and the errors of basic.consume."""

from broker import connect, name, refused

connection = connect()
publisher = connection.channel()
publisher.confirm_delivery()


def filled(count, **arguments):
    queue = name("limits")
    publisher.queue_declare(queue, arguments=arguments)
    for number in range(count):
        publisher.basic_publish("", queue, str(number))
    return queue


def take(count, taken):
    """Lets deliveries come until there are so many."""
    while len(taken) < count:
        connection.process_data_events(time_limit=20)
    assert len(taken) == count, taken


# One limit for the consumers of two queues, as Celery sets it.
channel = connection.channel()
channel.basic_qos(prefetch_count=3, global_qos=True)
taken = []
queues = [filled(5), filled(5)]
for queue in queues:
    channel.basic_consume(queue, lambda _channel, method, _properties, body: taken.append((method, body)))
take(3, taken)
for settled in range(7):
    assert sum(publisher.queue_declare(queue, passive=True).method.message_count for queue in queues) == 7 - settled
    channel.basic_ack(taken[settled][0].delivery_tag)
    take(4 + settled, taken)
channel.close()

# The higher priority first, the lower one with what is left.
channel = connection.channel()
channel.basic_qos(prefetch_count=2)
queue = filled(0)
low, high = [], []
channel.basic_consume(queue, lambda _channel, _method, _properties, body: low.append(body), arguments={"x-priority": -1})
channel.basic_consume(queue, lambda _channel, _method, _properties, body: high.append(body), arguments={"x-priority": 1})
for number in range(4):
    publisher.basic_publish("", queue, str(number))
take(2, high)
take(2, low)
assert (high, low) == ([b"0", b"1"], [b"2", b"3"]), (high, low)
channel.close()

# One consumer is active, and the next one after it.
queue = filled(2, **{"x-single-active-consumer": True})
first, second = connection.channel(), connection.channel()
ours, theirs = [], []
first.basic_consume(queue, lambda _channel, _method, _properties, body: ours.append(body))
second.basic_consume(queue, lambda _channel, _method, _properties, body: theirs.append(body))
take(2, ours)
assert theirs == []
first.close()
take(2, theirs)
assert theirs == [b"0", b"1"]
with refused(403, "exclusive use"):
    connection.channel().basic_consume(queue, lambda *_: None, exclusive=True)
with refused(406, "x-priority"):
    connection.channel().basic_consume(queue, lambda *_: None, arguments={"x-priority": "high"})
connection.close()
