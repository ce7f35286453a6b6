"""A leader, one at a time. Its tuple has a key, so there is one at most, and a lease, so it is gone when the leader is. Each term has a number that grows: whoever the
leader writes to refuses lower ones (a fencing token), in case an old leader has not noticed that it is none any more."""

import uuid

import pika

from space import INT, STRING, Space, connect

NAME = f"leader-{uuid.uuid4()}"


class Candidate:
    def __init__(self, name):
        self.name = name
        self.terms, self.space = Space(connect(), NAME, **KEY), Space(connect(), NAME, **KEY).confirm()
        self.terms.channel.tx_select()

    def next_term(self):
        term = self.terms.take("term", INT)
        self.terms.out("term", term[1] + 1)
        term.done()
        self.terms.channel.tx_commit()
        return term[1]

    def campaign(self, lease):
        """The number of its term, or None if there is a leader."""
        term = self.next_term()
        try:
            self.space.out("leader", self.name, term, lease=lease, headers={"x-if-none-match": "*"})
        except pika.exceptions.NackError:
            return None
        return term


KEY = {"x-space-key": "[0]"}  # of all that begins alike there is one
space = Space(connect(), NAME, **KEY).confirm()
space.out("term", 1)
ann, bob = Candidate("ann"), Candidate("bob")
first = ann.campaign(lease=30)
assert first == 1 and bob.campaign(lease=30) is None
assert space.read("leader", STRING, INT)[1] == "ann"
# She renews her lease, this time for a moment, and then is not heard of any more.
ann.space.out("leader", "ann", first, lease=0.05)
second = None
while second is None:
    second = bob.campaign(lease=30)
assert second > first, "whatever ann still writes is older"
assert space.read("leader", STRING, INT)[1] == "bob"
print(f"ann led in term {first}, bob in term {second}")
