"""A plugin of pytest: what `nameko test` does before it starts pytest. Without it nameko's green threads wait for each other for ever."""

import eventlet

eventlet.monkey_patch()
