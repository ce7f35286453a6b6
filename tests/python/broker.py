"""What the scripts share: a connection to the broker named on the command line, names that nobody else has, expected refusals."""

import contextlib
import sys
import uuid

import pika
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker


def connect(**parameters):
    """A connection that gives up rather than wait for ever."""
    parameters.setdefault("credentials", pika.PlainCredentials("guest", "guest"))
    return pika.BlockingConnection(
        pika.ConnectionParameters(sys.argv[1], int(sys.argv[2]), blocked_connection_timeout=20, socket_timeout=20, **parameters)
    )


def name(stem):
    return f"{stem}-{uuid.uuid4().hex}"


@contextlib.contextmanager
def refused(codes, word):
    """The block must be refused by the broker with this reply code, or one of these, and a text with this word in it."""
    codes = (codes,) if isinstance(codes, int) else codes
    try:
        yield
    except (ChannelClosedByBroker, ConnectionClosedByBroker) as error:
        assert error.reply_code in codes, f"expected {codes}, got {error!r}"
        assert word in error.reply_text, f"expected '{word}' in {error!r}"
    else:
        raise AssertionError(f"not refused, expected {codes}")


def consume(channel, queue, count, **options):
    """The next `count` messages as (method, properties, body), acknowledged."""
    taken = []
    for method, properties, body in channel.consume(queue, inactivity_timeout=20, **options):
        assert method is not None, f"only {len(taken)} of {count} messages came"
        taken.append((method, properties, body))
        if not options.get("auto_ack"):
            channel.basic_ack(method.delivery_tag)
        if len(taken) == count:
            break
    channel.cancel()
    return taken
