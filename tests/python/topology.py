"""Exchanges of every kind, bindings, exclusive and auto-delete queues, counts."""

import pika

from broker import connect, name, refused

connection = connect()
channel = connection.channel()
exchanges = []


def exchange(kind, **options):
    new = name(kind)
    channel.exchange_declare(new, kind, **options)
    exchanges.append(new)
    return new


def queue(source=None, key="", arguments=None):
    new = channel.queue_declare("", exclusive=True).method.queue
    assert new.startswith("amq.gen-"), new
    if source is not None:
        channel.queue_bind(new, source, key, arguments)
    return new


def drain(source):
    bodies = []
    while True:
        method, _, body = channel.basic_get(source, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body.decode())


# direct, fanout, topic, headers, the default exchange
direct = exchange("direct")
a, b = queue(direct, "a"), queue(direct, "b")
channel.basic_publish(direct, "a", "to a")
channel.basic_publish("", b, "to b")
assert (drain(a), drain(b)) == (["to a"], ["to b"])

fanout = exchange("fanout")
both = [queue(fanout), queue(fanout, "ignored")]
channel.basic_publish(fanout, "x", "all")
assert [drain(each) for each in both] == [["all"], ["all"]]

topic = exchange("topic")
keys = ["stock.*.nyse", "stock.#", "#.nyse", "*"]
queues = [queue(topic, key) for key in keys]
for key in ["stock.ibm.nyse", "stock", "bond.nyse"]:
    channel.basic_publish(topic, key, key)
assert [drain(each) for each in queues] == [["stock.ibm.nyse"], ["stock.ibm.nyse", "stock"], ["stock.ibm.nyse", "bond.nyse"], ["stock"]]

headers = exchange("headers")
every = queue(headers, "", {"x-match": "all", "a": 1, "b": "x"})
some = queue(headers, "", {"x-match": "any", "a": 1, "b": "x"})
for number, header in enumerate([{"a": 1, "b": "x"}, {"a": 1}, {"a": 2, "b": "y"}]):
    channel.basic_publish(headers, "", str(number), pika.BasicProperties(headers=header))
assert (drain(every), drain(some)) == (["0"], ["0", "1"])

# between exchanges
source, destination = exchange("topic"), exchange("fanout")
end = queue(destination)
channel.exchange_bind(destination, source, "a.*")
channel.basic_publish(source, "a.b", "through")
channel.basic_publish(source, "b.b", "astray")
channel.exchange_unbind(destination, source, "a.*")
channel.basic_publish(source, "a.b", "too late")
assert drain(end) == ["through"]

# unbinding
channel.queue_unbind(a, direct, "a")
channel.basic_publish(direct, "a", "nobody")
assert drain(a) == []

for each in exchanges:
    channel.exchange_delete(each)

# counts
counted = name("counted")
declared = channel.queue_declare(counted, durable=True).method
assert (declared.message_count, declared.consumer_count) == (0, 0)
channel.confirm_delivery()
for _ in range(5):
    channel.basic_publish("", counted, "m")
assert channel.queue_declare(counted, passive=True).method.message_count == 5
assert channel.queue_purge(counted).method.message_count == 5
channel.basic_publish("", counted, "m")
assert channel.queue_delete(counted).method.message_count == 1
with refused(404, "no queue"):
    channel.queue_declare(counted, passive=True)

# an auto-delete queue goes with its consumer, an exclusive one with its connection
channel = connection.channel()
passing = name("passing")
channel.queue_declare(passing, auto_delete=True)
tag = channel.basic_consume(passing, lambda *_: None)
channel.basic_cancel(tag)
with refused(404, "no queue"):
    channel.queue_declare(passing, passive=True)

channel = connection.channel()
mine = name("mine")
channel.queue_declare(mine, exclusive=True)
other = connect()
with refused(405, "exclusive"):
    other.channel().queue_declare(mine, passive=True)
other.close()
connection.close()
connection = connect()
with refused(404, "no queue"):
    connection.channel().queue_declare(mine, passive=True)
connection.close()
