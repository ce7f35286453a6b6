"""Queue arguments: which values are taken, and the refusals word by word. The same table holds for RabbitMQ (3.10 and later), but for the rows that say
how it differs and why."""

from pika.exceptions import ChannelClosedByBroker

from broker import connect, name

connection = connect()
# both may say that their product is RabbitMQ: clients decide by it
is_rabbitmq = connection._impl.server_properties["platform"].startswith("Erlang")
queue = name("arguments")
QUORUM = {"x-queue-type": "quorum"}


def outcome(arguments, **properties):
    """What a declaration comes to: nothing, or the text of the refusal."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue, arguments=arguments, **{"durable": True, **properties})
    except ChannelClosedByBroker as error:
        assert error.reply_code == 406, error
        return error.reply_text
    channel.queue_delete(queue)
    channel.close()
    return None


def invalid(argument, why):
    return f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {why}"


def of_other(argument, queue_type):
    return f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/' of queue type rabbit_{queue_type}_queue"


def lone(arguments):
    return list(arguments)[-1]


# arguments, why they are refused (None: they are not)
BOTH = [
    ({"x-expires": 60000}, None),
    ({"x-expires": 0}, "{value_zero,0}"),
    ({"x-expires": "a"}, '"expected integer, got longstr"'),
    ({"x-expires": 1 << 50}, "{value_too_large,1125899906842624}"),
    ({"x-message-ttl": 0}, None),
    ({"x-message-ttl": -1}, "{value_negative,-1}"),
    ({"x-message-ttl": True}, '"expected integer, got bool"'),
    ({"x-max-length": -1}, "{value_negative,-1}"),
    ({"x-max-length": 1 << 62}, None),
    ({"x-max-priority": 256}, "{max_value_exceeded,256}"),
    ({"x-max-priority": "a"}, '"expected integer, got longstr"'),
    ({"x-overflow": "foo"}, "invalid_overflow"),
    ({"x-overflow": 1}, "{unacceptable_type,signedint}"),
    ({"x-queue-version": 3}, "\"unsupported queue version '3'\""),
    ({"x-queue-mode": "lazy"}, None),
    ({"x-single-active-consumer": "true"}, "{unacceptable_type,longstr}"),
    ({"x-dead-letter-exchange": "nowhere"}, None),
    ({"x-dead-letter-routing-key": "a"}, "routing_key_but_no_dlx_defined"),
    ({"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": 5}, "{unacceptable_type,signedint}"),
    ({"x-queue-type": "bogus"}, "\"unsupported queue type 'bogus'\""),
    ({"x-queue-type": ""}, "\"unsupported queue type ''\""),
    ({"x-queue-type": 5}, "{unacceptable_type,signedint}"),
    ({"x-anything": "else"}, None),
    ({**QUORUM, "x-delivery-limit": -1}, None),
    ({**QUORUM, "x-quorum-initial-group-size": 0}, "{value_zero,0}"),
    ({**QUORUM, "x-overflow": "reject-publish"}, None),
    ({**QUORUM, "x-dead-letter-strategy": "foo"}, "invalid_dlx_strategy"),
]
for arguments, why in BOTH:
    expected = why and invalid(lone(arguments), why)
    assert outcome(arguments) == expected, f"{arguments}: {outcome(arguments)}"

# arguments that only queues of another type take
for arguments in [
    {**QUORUM, "x-max-priority": 3},
    {**QUORUM, "x-max-age": "7D"},
    {"x-max-age": "7D"},
    {"x-max-in-memory-length": 3},
    {"x-quorum-initial-group-size": 3},
]:
    queue_type = arguments.get("x-queue-type", "classic")
    expected = of_other(lone(arguments), queue_type)
    assert outcome(arguments) == expected, f"{arguments}: {outcome(arguments)}"

# properties that quorum queues do not have
for properties, word in [
    ({"exclusive": True}, "exclusive-owner"),
    ({"durable": False}, "non-durable"),
    ({"auto_delete": True}, "auto-delete"),
]:
    expected = f"PRECONDITION_FAILED - invalid property '{word}' for queue '{queue}' in vhost '/'"
    assert outcome(QUORUM, **properties) == expected, f"{properties}: {outcome(QUORUM, **properties)}"

# where Stoa goes further: these work on classic queues too
for arguments in [{"x-delivery-limit": 3}, {"x-dead-letter-strategy": "at-least-once"}]:
    expected = of_other(lone(arguments), "classic") if is_rabbitmq else None
    assert outcome(arguments) == expected, f"{arguments}: {outcome(arguments)}"

# and where it looks closer: RabbitMQ takes anything, and falls back to its default
nonsense = {**QUORUM, "x-delivery-limit": "a"}
expected = None if is_rabbitmq else invalid("x-delivery-limit", '"expected integer, got longstr"')
assert outcome(nonsense) == expected, outcome(nonsense)

connection.close()
