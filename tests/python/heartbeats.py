"""Heartbeats by a client that keeps its own time: an idle connection with a short interval lives through several of them."""

from broker import connect, name

connection = connect(heartbeat=1)
channel = connection.channel()
queue = channel.queue_declare(name("heartbeats"), exclusive=True).method.queue
connection.process_data_events(time_limit=4)
assert connection.is_open
channel.basic_publish("", queue, "still here")
method, _, body = channel.basic_get(queue, auto_ack=True)
assert body == b"still here"
connection.close()
