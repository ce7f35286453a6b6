"""A space in a few lines of pika, with stock AMQP calls only. Tuples are JSON arrays; templates too (docs/spaces.md)."""

import json
import sys

import pika

INT, STRING, ANY = {"?": "int"}, {"?": "string"}, {"?": "any"}


def connect():
    """The broker that the command line names: HOST PORT, or the usual one."""
    host, port = sys.argv[1:3] if len(sys.argv) > 2 else ("127.0.0.1", 5672)
    return pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))


class Space:
    def __init__(self, connection, name, **arguments):
        self.connection, self.name, self.ended = connection, name, set()
        self.channel = connection.channel()
        self.channel.add_on_cancel_callback(lambda frame: self.ended.add(frame.method.consumer_tag))
        self.channel.queue_declare(name, durable=True, arguments={"x-queue-type": "space", **arguments})

    def confirm(self):
        """Have every out confirmed: it is on disk then. Not for a channel with transactions."""
        self.channel.confirm_delivery()
        return self

    def out(self, *fields, lease=None, headers=None):
        expiration = None if lease is None else str(int(lease * 1000))
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, expiration=expiration, headers=headers)
        self.channel.basic_publish("", self.name, json.dumps(fields), properties)

    def take(self, *template, **arguments):
        """The oldest tuple that matches, once there is one; None if the time is over (timeout=seconds)."""
        return next(iter(self.seek(template, arguments, {"x-max": 1})), None)

    def read(self, *template, **arguments):
        """A copy of it."""
        return next(iter(self.seek(template, arguments, {"x-max": 1, "x-mode": "read"})), None)

    def read_all(self, *template):
        """Copies of all that is there."""
        return self.seek(template, {}, {"x-mode": "read"})

    def seek(self, template, options, arguments):
        found = []
        arguments["x-template"] = json.dumps(template)
        if "timeout" in options:
            arguments["x-timeout"] = int(options["timeout"] * 1000)

        def come(channel, method, properties, body):
            found.append(Tuple(channel, method, json.loads(body)))

        reads = arguments.get("x-mode") == "read"
        tag = self.channel.basic_consume(self.name, come, auto_ack=reads, arguments=arguments)
        while tag not in self.ended:  # the broker cancels who has got what it asked for
            self.connection.process_data_events(time_limit=None)
        return found


class Tuple:
    def __init__(self, channel, method, fields):
        self.channel, self.tag, self.fields, self.redelivered = channel, method.delivery_tag, fields, method.redelivered

    def __getitem__(self, index):
        return self.fields[index]

    def done(self):
        """The take is complete. Until then the tuple comes back if its holder is gone."""
        self.channel.basic_ack(self.tag)

    def give_back(self):
        self.channel.basic_nack(self.tag, requeue=True)
