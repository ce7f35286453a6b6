"""A publisher that is blocked by an alarm, told so, and goes on when a consumer has made room."""

import threading

from broker import connect, consume, name

BODY = b"x" * 50_000
COUNT = 100

heard = []
blocked = threading.Event()
queue = name("blocked")


def take():
    blocked.wait(20)
    consumer = connect().channel()
    assert len(consume(consumer, queue, COUNT, auto_ack=True)) == COUNT


connection = connect()
connection.add_on_connection_blocked_callback(lambda _, method: (heard.append(method.method.reason), blocked.set()))
connection.add_on_connection_unblocked_callback(lambda *_: heard.append("unblocked"))
channel = connection.channel()
channel.queue_declare(queue)
consumer = threading.Thread(target=take)
consumer.start()
for _ in range(COUNT):
    channel.basic_publish("", queue, BODY)
    connection.process_data_events(0.02)
consumer.join()
while "unblocked" not in heard:
    connection.process_data_events(0.1)
assert heard[0] == "low on memory", heard
connection.close()
