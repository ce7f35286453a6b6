"""Refusals with their codes: a channel that is refused is closed, and its connection goes on; what closes a connection does not touch others."""

import pika
from pika.exceptions import AMQPConnectionError, ProbableAccessDeniedError, ProbableAuthenticationError

from broker import connect, name, refused

connection = connect()


def channel():
    assert connection.is_open
    return connection.channel()


with refused(404, "no queue"):
    channel().basic_get(name("missing"))
with refused(404, "no queue"):
    channel().basic_consume(name("missing"), lambda *_: None)
with refused(404, "no exchange"):
    channel().exchange_declare(name("missing"), passive=True)
with refused(404, "no exchange"):
    channel().queue_bind(channel().queue_declare("", exclusive=True).method.queue, name("missing"))
with refused(404, "no exchange"):
    publisher = channel()
    publisher.confirm_delivery()
    publisher.basic_publish(name("missing"), "", "m")
with refused(403, "amq."):
    channel().queue_declare("amq.mine")
with refused(403, "default exchange"):
    channel().exchange_delete("")
with refused(406, "unknown delivery tag"):
    settler = channel()
    settler.basic_ack(42)
    settler.basic_qos(prefetch_count=1)

queue, exchange = name("queue"), name("exchange")
setup = channel()
setup.queue_declare(queue)
setup.exchange_declare(exchange, "direct")
with refused(406, "inequivalent arg 'durable'"):
    channel().queue_declare(queue, durable=True)
with refused(406, "inequivalent arg 'type'"):
    channel().exchange_declare(exchange, "fanout")
setup.basic_consume(queue, lambda *_: None, exclusive=True)
with refused(403, "exclusive"):
    channel().basic_consume(queue, lambda *_: None)
with refused(406, "in use"):
    channel().queue_delete(queue, if_unused=True)
setup.queue_delete(queue)
setup.exchange_delete(exchange)

# what closes a connection; for an unknown exchange type RabbitMQ since 3.13 closes the channel, with 406
for mistake, codes, word in [
    (lambda c: c.exchange_declare(name("x"), "no-such-type"), (406, 503), "unknown exchange type"),
    (lambda c: c.basic_qos(prefetch_size=1), (540,), "prefetch_size"),
]:
    doomed = connect()
    with refused(codes, word):
        mistake(doomed.channel())
    if doomed.is_open:
        doomed.close()

# who may come in
for parameters, error in [
    ({"credentials": pika.PlainCredentials("guest", "wrong")}, ProbableAuthenticationError),
    ({"credentials": pika.PlainCredentials("nobody", "guest")}, ProbableAuthenticationError),
    ({"virtual_host": "nowhere"}, (ProbableAccessDeniedError, AMQPConnectionError)),
]:
    try:
        connect(**parameters)
    except error:
        pass
    else:
        raise AssertionError(f"let in with {parameters}")

channel()
connection.close()
