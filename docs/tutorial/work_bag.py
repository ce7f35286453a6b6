"""A bag of work: whoever has time takes a task and puts in its result, both in one step. A worker that dies loses nothing."""

import threading
import uuid

from space import INT, Space, connect

NAME = f"work-bag-{uuid.uuid4()}"
TASKS, WORKERS = 20, 3


def worker(dies):
    connection = connect()
    space = Space(connection, NAME)
    space.channel.tx_select()
    while task := space.take("task", INT, timeout=1):
        if dies:
            connection.close()  # with a task in its hands: it is somebody else's then
            return
        space.out("result", task[1], task[1] ** 2)
        task.done()
        space.channel.tx_commit()  # the task is gone and its result is there, or neither
    connection.close()


space = Space(connect(), NAME).confirm()
for n in range(TASKS):
    space.out("task", n)
workers = [threading.Thread(target=worker, args=(dies,)) for dies in [True, False, False]]
for thread in workers:
    thread.start()
results = {}
while len(results) < TASKS:
    result = space.take("result", INT, INT)
    results[result[1]] = result[2]
    result.done()
for thread in workers:
    thread.join()
assert results == {n: n**2 for n in range(TASKS)}, results
assert space.take("task", INT, timeout=0) is None
print("all tasks done, each once")
