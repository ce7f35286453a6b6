"""Transactions on a blocking channel: commit, rollback, and what a closed channel leaves behind."""

import pika
from pika.exceptions import ChannelClosedByBroker

from broker import connect, name

connection = connect()
channel = connection.channel()
watcher = connection.channel()
queue = name("transactional")
channel.queue_declare(queue)


def waiting():
    return watcher.queue_declare(queue, passive=True).method.message_count


channel.tx_select()
for body in ("one", "two", "three"):
    channel.basic_publish("", queue, body)
assert waiting() == 0
channel.tx_commit()
assert waiting() == 3

method, _, body = channel.basic_get(queue)
assert body == b"one"
channel.basic_ack(method.delivery_tag)
channel.basic_publish("", queue, "never")
channel.tx_rollback()
assert waiting() == 2
channel.basic_ack(method.delivery_tag)
channel.tx_commit()

method, _, body = channel.basic_get(queue)
assert body == b"two"
channel.basic_ack(method.delivery_tag)
channel.close()
assert waiting() == 2, "a closed channel is a rolled back one"
method, _, body = watcher.basic_get(queue, auto_ack=True)
assert body == b"two" and method.redelivered

other = connection.channel()
try:
    other.tx_commit()
except ChannelClosedByBroker as error:
    assert error.reply_code == 406, error
else:
    raise AssertionError("a commit without a transaction was accepted")

other = connection.channel()
other.tx_select()
try:
    other.confirm_delivery()
except (ChannelClosedByBroker, ValueError) as error:
    assert getattr(error, "reply_code", 406) == 406, error
else:
    raise AssertionError("confirms were accepted in a transaction")

watcher.queue_delete(queue)
connection.close()
