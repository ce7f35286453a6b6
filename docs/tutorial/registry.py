"""A name server: services put themselves in with a lease, which they renew while they live. Whoever looks for one reads; what is dead is gone by itself."""

import uuid

from space import STRING, Space, connect

NAME = f"registry-{uuid.uuid4()}"
KEY = {"x-space-key": ["[0]", "[2]"]}  # a service at an address is there once: to put it in again is to renew it

space = Space(connect(), NAME, **KEY).confirm()


def register(service, address, lease):
    space.out("service", service, address, lease=lease)


def look_up(service):
    return sorted(found[2] for found in space.read_all("service", service, STRING))


register("database", "10.0.0.1:5432", lease=30)
register("database", "10.0.0.2:5432", lease=30)
register("mail", "10.0.0.3:25", lease=30)
assert look_up("database") == ["10.0.0.1:5432", "10.0.0.2:5432"]
register("database", "10.0.0.1:5432", lease=60)
assert len(look_up("database")) == 2, "renewed, not doubled"
# The second is renewed once more, for a moment, and dies.
register("database", "10.0.0.2:5432", lease=0.05)
while len(look_up("database")) > 1:
    pass
assert look_up("database") == ["10.0.0.1:5432"]
# Who comes too early waits for the service.
assert space.read("service", "mail", STRING)[2] == "10.0.0.3:25"
print("what lives is found")
