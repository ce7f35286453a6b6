"""TLS behind a header of the PROXY protocol: header and ClientHello in one segment, then a login that the address in the header does not allow."""

import socket
import ssl
import struct
import sys

context = ssl.create_default_context(cafile=sys.argv[3])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname=sys.argv[1])
raw = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
raw_prefix = b"PROXY TCP4 192.0.2.7 198.51.100.1 8080 5671\r\n"


def pump(action):
    """Does something with TLS, moving octets until it is done."""
    global raw_prefix
    while True:
        try:
            done = action()
        except ssl.SSLWantReadError:
            done = None
        raw.sendall(raw_prefix + outgoing.read())
        raw_prefix = b""
        if done is not None:
            return done
        octets = raw.recv(65536)
        assert octets, "the broker has closed"
        incoming.write(octets)


pump(lambda: tls.do_handshake() or True)
pump(lambda: tls.write(b"AMQP\0\0\x09\x01"))
assert b"AMQPLAIN" in pump(lambda: tls.read(65536))
response = b"\0guest\0guest"
arguments = struct.pack(">HHI", 10, 11, 0) + b"\x05PLAIN" + struct.pack(">I", len(response)) + response + b"\x05en_US"
pump(lambda: tls.write(struct.pack(">BHI", 1, 0, len(arguments)) + arguments + b"\xce"))
# guest may come from loopback only: the broker closes, with TLS's own farewell
try:
    said = pump(lambda: tls.read(65536))
except ssl.SSLZeroReturnError:
    said = b""
assert said == b"", said
