"""Dining philosophers: forks are tuples, and there is one ticket to the room less than there are philosophers, so some two forks always meet."""

import threading
import uuid

from space import Space, connect

NAME = f"philosophers-{uuid.uuid4()}"
PHILOSOPHERS, MEALS = 5, 3
meals, lock = [0] * PHILOSOPHERS, threading.Lock()


def philosopher(number):
    space = Space(connect(), NAME)
    for _ in range(MEALS):
        held = [space.take("ticket"), space.take("fork", number), space.take("fork", (number + 1) % PHILOSOPHERS)]
        with lock:
            meals[number] += 1
        for tuple in held:
            tuple.give_back()
    space.connection.close()


space = Space(connect(), NAME).confirm()
for number in range(PHILOSOPHERS):
    space.out("fork", number)
    if number > 0:
        space.out("ticket")
diners = [threading.Thread(target=philosopher, args=(number,)) for number in range(PHILOSOPHERS)]
for thread in diners:
    thread.start()
for thread in diners:
    thread.join()
assert meals == [MEALS] * PHILOSOPHERS, meals
print("everybody has eaten")
