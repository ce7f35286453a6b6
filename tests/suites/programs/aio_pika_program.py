"""aio-pika on aiormq, as its users use them. Prints TAP."""

import asyncio
import os
import traceback
import uuid

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError

HOST, PORT = os.environ["STOA_SUITE_HOST"], int(os.environ["STOA_SUITE_PORT"])
CHECKS = []


def check(name):
    return lambda body: CHECKS.append((name, body))


def unique(stem):
    return f"{stem}-{uuid.uuid4().hex}"


@check("publish, get, acknowledge")
async def _(connection):
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    for n in range(3):
        await channel.default_exchange.publish(aio_pika.Message(b"%d" % n), queue.name)
    message = await queue.get()
    assert (message.body, message.message_count, message.redelivered) == (b"0", 2, False)
    await message.ack()
    assert [(await queue.get(no_ack=True)).body for _ in range(2)] == [b"1", b"2"]
    assert await queue.get(fail=False) is None


@check("an iterator over a queue, with prefetch")
async def _(connection):
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=5)
    queue = await channel.declare_queue(exclusive=True)
    for n in range(50):
        await channel.default_exchange.publish(aio_pika.Message(str(n).encode()), queue.name)
    got = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                got.append(int(message.body))
            if len(got) == 50:
                break
    assert got == list(range(50)), got


@check("a message that fails its handler is requeued, then rejected")
async def _(connection):
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    await channel.default_exchange.publish(aio_pika.Message(b"x"), queue.name)
    first = await queue.get()
    await first.reject(requeue=True)
    second = await queue.get()
    assert second.redelivered
    await second.reject(requeue=False)
    assert await queue.get(fail=False) is None


@check("mandatory messages that nobody takes are an error")
async def _(connection):
    channel = await connection.channel(on_return_raises=True)
    try:
        await channel.default_exchange.publish(aio_pika.Message(b"x"), "nowhere-at-all")
    except DeliveryError as error:
        assert error.message.delivery.reply_code == 312
    else:
        raise AssertionError("not refused")


@check("transactions")
async def _(connection):
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(exclusive=True)
    async with channel.transaction():
        await channel.default_exchange.publish(aio_pika.Message(b"kept"), queue.name)
    try:
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"dropped"), queue.name)
            raise ValueError
    except ValueError:
        pass
    assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 1


@check("rpc")
async def _(connection):
    channel = await connection.channel()
    rpc = await aio_pika.patterns.RPC.create(channel)
    method = unique("method")

    async def multiply(*, x, y):
        return x * y

    await rpc.register(method, multiply, auto_delete=True)
    assert await asyncio.gather(*(rpc.call(method, kwargs={"x": n, "y": 2}) for n in range(20))) == [2 * n for n in range(20)]


@check("exchanges, headers, bindings between exchanges")
async def _(connection):
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    source = await channel.declare_exchange(unique("source"), aio_pika.ExchangeType.TOPIC, auto_delete=True)
    target = await channel.declare_exchange(unique("target"), aio_pika.ExchangeType.HEADERS, auto_delete=True)
    await queue.bind(target, arguments={"x-match": "any", "kind": "a"})
    await target.bind(source, "#.end")
    headers = {"kind": "a", "number": 5, "list": [1, "x"], "table": {"in": True}, "none": None}
    await source.publish(aio_pika.Message(b"yes", headers=headers), "the.end")
    await source.publish(aio_pika.Message(b"no", headers={"kind": "b"}), "the.end")
    message = await queue.get(timeout=5)
    assert (message.body, message.headers) == (b"yes", headers), message.headers
    assert await queue.get(fail=False) is None


@check("dead letters and time to live")
async def _(connection):
    channel = await connection.channel()
    grave = await channel.declare_queue(exclusive=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave.name}
    queue = await channel.declare_queue(exclusive=True, arguments=arguments)
    await channel.default_exchange.publish(aio_pika.Message(b"x", expiration=0.05), queue.name)
    for _ in range(100):
        message = await grave.get(fail=False)
        if message:
            break
        await asyncio.sleep(0.05)
    death = message.headers["x-death"][0]
    assert (death["reason"], death["queue"], death["count"], death["original-expiration"]) == ("expired", queue.name, 1, "50"), death


@check("errors")
async def _(connection):
    try:
        await (await connection.channel()).declare_queue("no-such-queue", passive=True)
        raise AssertionError("not refused")
    except ChannelNotFoundEntity as error:
        assert "no queue 'no-such-queue' in vhost '/'" in str(error)
    channel = await connection.channel()
    queue = await channel.declare_queue(unique("q"), auto_delete=True)
    try:
        await channel.declare_queue(queue.name, durable=True, auto_delete=True)
        raise AssertionError("not refused")
    except ChannelPreconditionFailed as error:
        assert "inequivalent arg 'durable'" in str(error)


@check("large messages and many channels")
async def _(connection):
    channels = [await connection.channel() for _ in range(50)]
    queue = await channels[0].declare_queue(exclusive=True)
    body = os.urandom(5 << 20)
    await asyncio.gather(*(channel.default_exchange.publish(aio_pika.Message(b"x"), queue.name) for channel in channels))
    assert await queue.purge() is not None
    await channels[0].default_exchange.publish(aio_pika.Message(body), queue.name)
    assert (await queue.get(no_ack=True)).body == body


@check("a robust connection comes back with its queue and consumer")
async def _(_connection):
    connection = await aio_pika.connect_robust(host=HOST, port=PORT, reconnect_interval=0.2)
    channel = await connection.channel()
    queue = await channel.declare_queue(unique("robust"), auto_delete=False)
    got = asyncio.Queue()
    await queue.consume(lambda message: got.put(message.body), no_ack=True)
    await connection.transport.connection.close(ConnectionError("on purpose"))
    for _ in range(50):
        try:
            await channel.default_exchange.publish(aio_pika.Message(b"back"), queue.name)
            break
        except Exception:
            await asyncio.sleep(0.2)
    assert await asyncio.wait_for(got.get(), 20) == b"back"
    await queue.delete(if_unused=False, if_empty=False)
    await connection.close()


async def main():
    for number, (name, body) in enumerate(CHECKS, 1):
        connection = await aio_pika.connect(host=HOST, port=PORT)
        try:
            await asyncio.wait_for(body(connection), 40)
            print(f"ok {number} - {name}", flush=True)
        except BaseException:
            print(f"not ok {number} - {name}\n" + "".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), flush=True)
        await connection.close()
    print(f"1..{len(CHECKS)}")


asyncio.run(main())
