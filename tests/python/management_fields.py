#!/usr/bin/env python3
"""Lists what RabbitMQ's management API says of something and Stoa's does not, field by field.

    management_fields.py http://127.0.0.1:15672 http://127.0.0.1:25672

The first is a RabbitMQ with the management plugin, the second a Stoa; both know guest and have a client connected (or connections are not compared).
What is not there for a reason is in MISSING, with the reason; the script fails if something else is missing.
"""

import base64
import json
import sys
import urllib.error
import urllib.request

ERLANG = "Erlang's processes and memory have no counterpart"
CLASSIC = "internals of RabbitMQ's classic queue"

MISSING = {
    "garbage_collection": ERLANG,
    "reductions": ERLANG,
    "reductions_details": ERLANG,
    "backing_queue_status": CLASSIC,
    "os_pid": ERLANG,
    "ra_open_file_metrics": "no Raft on one node",
    "metrics_gc_queue_length": ERLANG,
    "context_switches": ERLANG,
    "context_switches_details": ERLANG,
    "gc_num": ERLANG,
    "gc_num_details": ERLANG,
    "gc_bytes_reclaimed": ERLANG,
    "gc_bytes_reclaimed_details": ERLANG,
    "io_": "file statistics of RabbitMQ's own store",
    "mnesia_": "there is no Mnesia",
    "msg_store_": "file statistics of RabbitMQ's own store",
    "queue_index_": "file statistics of RabbitMQ's own store",
    "recv_cnt": "packets are not counted, octets are",
    "send_cnt": "packets are not counted, octets are",
    "send_pend": "packets are not counted, octets are",
    "message_bytes_": "octets are counted together, ready or not",
    "messages_ram": CLASSIC,
    "messages_ready_ram": CLASSIC,
    "messages_unacknowledged_ram": CLASSIC,
    "messages_paged_out": CLASSIC,
    "messages_persistent": CLASSIC,
    "messages_uncommitted": "a transaction is its connection's business",
    "acks_uncommitted": "a transaction is its connection's business",
    "pending_raft_commands": "no Raft on one node",
    "disk_reads": "file statistics of RabbitMQ's own store",
    "disk_reads_details": "file statistics of RabbitMQ's own store",
    "disk_writes": "file statistics of RabbitMQ's own store",
    "disk_writes_details": "file statistics of RabbitMQ's own store",
    "cowboy_opts": "the web server is another one",
    "javascript": "no plugin brings pages along",
    "messages_dlx": "internals of RabbitMQ's quorum queue",
    "open_files": "internals of RabbitMQ's quorum queue",
    "idle_since": "there only while something rests, as in RabbitMQ",
    "/api/vhosts confirm": "counted by channel and for the whole",
    "/api/vhosts confirm_details": "counted by channel and for the whole",
    "/api/vhosts drop_unroutable": "counted by channel and for the whole",
    "/api/vhosts drop_unroutable_details": "counted by channel and for the whole",
    "/api/vhosts return_unroutable": "counted by channel and for the whole",
    "/api/vhosts return_unroutable_details": "counted by channel and for the whole",
    "/api/overview protocol": "the listeners say it",
    "single_active_consumer_ctag": "only the single queue says it, as `single_active_consumer_tag`",
}

SETUP = [
    ("PUT", "/api/exchanges/%2F/compared", {"type": "topic", "durable": True}),
    ("PUT", "/api/queues/%2F/compared", {"durable": True, "arguments": {"x-max-length": 1000}}),
    ("POST", "/api/bindings/%2F/e/compared/q/compared", {"routing_key": "a.*", "arguments": {"k": 1}}),
    ("PUT", "/api/policies/%2F/compared", {"pattern": "^compared", "definition": {"message-ttl": 600000}, "apply-to": "queues"}),
    ("PUT", "/api/users/compared", {"password": "x", "tags": "management"}),
    ("PUT", "/api/permissions/%2F/compared", {"configure": "", "write": "", "read": ".*"}),
    ("POST", "/api/exchanges/%2F/compared/publish", {"properties": {}, "routing_key": "a.b", "payload": "x", "payload_encoding": "string"}),
]

COMPARED = [
    "/api/overview", "/api/nodes", "/api/cluster-name", "/api/connections", "/api/channels", "/api/consumers", "/api/exchanges/%2F/compared",
    "/api/queues/%2F/compared", "/api/queues?page=1", "/api/queues/%2F/compared/bindings", "/api/vhosts", "/api/users", "/api/permissions",
    "/api/whoami", "/api/policies", "/api/definitions", "/api/feature-flags", "/api/auth", "/api/health/checks/alarms",
    "/api/health/checks/port-listener/1", "/api/health/checks/protocol-listener/amqp", "/api/aliveness-test/%2F",
]


def ask(base, method, path, body=None):
    request = urllib.request.Request(base + path, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        text = error.read()
    return json.loads(text) if text else None


def missing(theirs, ours, path=""):
    """Paths of fields that the first value has and the second has not. Of lists the fields of all entries count together."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict):
            yield path
            return
        for name, value in theirs.items():
            if name in ours:
                yield from missing(value, ours[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(theirs, list) and theirs and isinstance(ours, list) and ours:
        if all(isinstance(entry, dict) for entry in theirs + ours):
            merged = lambda entries: {name: value for entry in entries for name, value in entry.items()}
            yield from missing(merged(theirs), merged(ours), f"{path}[]")


# What is in these is the user's, not the API's.
CONTENTS = (".arguments.", "definition.", ".socket_opts.", ".cluster_state.")


def is_known(path, field):
    if any(part in field for part in CONTENTS):
        return True
    name = field.rsplit(".", 1)[-1]

    def explains(known):
        of, _, stem = known.rpartition(" ")
        return of in ("", path) and (name == stem or (of or stem.endswith("_")) and name.startswith(stem))

    return any(explains(known) for known in MISSING)


def main():
    rabbitmq, stoa = sys.argv[1:3]
    for base in (rabbitmq, stoa):
        for method, path, body in SETUP:
            ask(base, method, path, body)
    unexplained = 0
    for path in COMPARED:
        for field in missing(ask(rabbitmq, "GET", path), ask(stoa, "GET", path)):
            known = is_known(path, field)
            unexplained += not known
            print("known  " if known else "MISSING", path, field)
    print(f"{unexplained} fields are missing without a reason")
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
