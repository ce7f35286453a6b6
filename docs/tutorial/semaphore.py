"""A semaphore: as many tuples as may be inside at a time. Who is inside holds one; should it die, it is outside."""

import threading
import uuid

from space import Space, connect

NAME = f"semaphore-{uuid.uuid4()}"
PERMITS, VISITORS = 2, 6
inside, most, lock = 0, 0, threading.Lock()


def visitor(dies):
    global inside, most
    connection = connect()
    space = Space(connection, NAME)
    permit = space.take("permit")
    with lock:
        inside += 1
        most = max(most, inside)
    with lock:
        inside -= 1
    if not dies:
        permit.give_back()
    connection.close()  # with it goes the permit of one that died


space = Space(connect(), NAME).confirm()
for _ in range(PERMITS):
    space.out("permit")
visitors = [threading.Thread(target=visitor, args=(number % 2 == 0,)) for number in range(VISITORS)]
for thread in visitors:
    thread.start()
for thread in visitors:
    thread.join()
assert most <= PERMITS, most
# What the last ones held is back a moment after they are gone.
permits = [space.take("permit") for _ in range(PERMITS)]
assert space.take("permit", timeout=0) is None
print(f"never more than {PERMITS} inside")
