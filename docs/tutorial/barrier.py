"""A barrier: nobody goes on before all have arrived. The tuple counts; to count is to take it and put it in again."""

import threading
import uuid

from space import INT, Space, connect

NAME = f"barrier-{uuid.uuid4()}"
PARTIES = 4
arrived, passed, lock = [], [], threading.Lock()


def party(number):
    space = Space(connect(), NAME)
    space.channel.tx_select()
    with lock:
        arrived.append(number)
    count = space.take("arrived", INT)
    space.out("arrived", count[1] + 1)
    count.done()
    space.channel.tx_commit()
    space.read("arrived", PARTIES)
    with lock:
        assert len(arrived) == PARTIES, "somebody passed before all had arrived"
        passed.append(number)
    space.connection.close()


space = Space(connect(), NAME).confirm()
space.out("arrived", 0)
parties = [threading.Thread(target=party, args=(number,)) for number in range(PARTIES)]
for thread in parties:
    thread.start()
for thread in parties:
    thread.join()
assert sorted(passed) == list(range(PARTIES))
print("all arrived, then all passed")
