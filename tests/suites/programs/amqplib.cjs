// amqplib, as its users use it. Prints TAP.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const amqp = require('amqplib');
const { HOST, PORT, check, eventually, run } = require('./harness.cjs');

const queue = async (ch, args = {}) => (await ch.assertQueue('', { exclusive: true, arguments: args })).queue;
const take = (ch, q, options = { noAck: true }) => eventually(() => ch.get(q, options));
const bodies = async (ch, q, count) => {
  const taken = [];
  while (taken.length < count) taken.push((await take(ch, q)).content.toString());
  return taken;
};
const unique = (stem) => `${stem}-${randomBytes(8).toString('hex')}`;
const ready = async (ch, q) => (await ch.checkQueue(q)).messageCount;

check('publish, get, acknowledge; counts', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch);
  for (const body of ['a', 'b', 'c']) ch.sendToQueue(q, Buffer.from(body), { messageId: body });
  await eventually(async () => (await ready(ch, q)) === 3);
  const message = await ch.get(q);
  assert.deepEqual([message.content.toString(), message.properties.messageId, message.fields.messageCount, message.fields.redelivered], ['a', 'a', 2, false]);
  ch.ack(message);
  assert.deepEqual(await bodies(ch, q, 2), ['b', 'c']);
  assert.equal(await ch.get(q), false);
});

check('confirms, and a refusal by a full queue', async (c) => {
  const ch = await c.createConfirmChannel();
  const q = unique('durable');
  await ch.assertQueue(q, { durable: true });
  for (let n = 0; n < 200; n++) ch.sendToQueue(q, Buffer.from(String(n)), { persistent: true });
  await ch.waitForConfirms();
  assert.equal((await ch.deleteQueue(q)).messageCount, 200);
  const full = await queue(ch, { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  ch.sendToQueue(full, Buffer.from('in'));
  await ch.waitForConfirms();
  await assert.rejects(new Promise((done, fail) => ch.sendToQueue(full, Buffer.from('out'), {}, (error) => (error ? fail(error) : done()))));
});

check('mandatory messages come back before their confirm', async (c) => {
  const ch = await c.createConfirmChannel();
  const order = [];
  ch.on('return', (message) => order.push([message.fields.replyCode, message.fields.replyText, message.fields.routingKey, message.content.toString()]));
  await new Promise((done, fail) => ch.publish('', 'nowhere-at-all', Buffer.from('lost'), { mandatory: true }, (error) => (order.push('ack'), error ? fail(error) : done())));
  assert.deepEqual(order, [[312, 'NO_ROUTE', 'nowhere-at-all', 'lost'], 'ack']);
});

check('prefetch for each consumer, and for the channel', async (c) => {
  for (const [global, expected] of [[false, 6], [true, 3]]) {
    const ch = await c.createChannel();
    const q = await queue(ch);
    await ch.prefetch(3, global);
    for (let n = 0; n < 20; n++) ch.sendToQueue(q, Buffer.from(String(n)));
    const seen = [];
    await ch.consume(q, (message) => seen.push(message));
    await ch.consume(q, (message) => seen.push(message));
    await eventually(() => seen.length >= expected);
    await new Promise((go) => setTimeout(go, 200));
    assert.equal(seen.length, expected);
    ch.ack(seen[0]);
    await eventually(() => seen.length === expected + 1);
    await ch.close();
  }
});

check('nack with requeue puts messages back in their place', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch);
  for (const body of ['0', '1', '2', '3']) ch.sendToQueue(q, Buffer.from(body));
  await take(ch, q, {});
  ch.nack(await take(ch, q, {}), true, true);
  const got = [];
  for (let n = 0; n < 4; n++) {
    const message = await take(ch, q);
    got.push([message.content.toString(), message.fields.redelivered]);
  }
  assert.deepEqual(got, [['0', true], ['1', true], ['2', false], ['3', false]]);
});

check('a consumer hears that its queue was deleted', async (c) => {
  const [ch, other] = [await c.createChannel(), await c.createChannel()];
  const q = unique('doomed');
  await ch.assertQueue(q, { durable: false });
  const cancelled = new Promise((done) => ch.consume(q, (message) => message === null && done()));
  await ready(ch, q);
  await other.deleteQueue(q);
  await cancelled;
});

check('exchange types route', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch);
  const names = {};
  for (const type of ['direct', 'fanout', 'topic', 'headers']) {
    names[type] = unique(type);
    await ch.assertExchange(names[type], type, { autoDelete: true });
  }
  await ch.bindQueue(q, names.direct, 'k');
  await ch.bindQueue(q, names.fanout, '');
  await ch.bindQueue(q, names.topic, '*.b.#');
  await ch.bindQueue(q, names.headers, '', { 'x-match': 'all', one: 1, two: 'zwei' });
  ch.publish(names.direct, 'k', Buffer.from('direct'));
  ch.publish(names.direct, 'x', Buffer.from('no'));
  ch.publish(names.fanout, 'x', Buffer.from('fanout'));
  ch.publish(names.topic, 'a.b', Buffer.from('topic'));
  ch.publish(names.topic, 'b.b.b', Buffer.from('topic'));
  ch.publish(names.topic, 'b', Buffer.from('no'));
  ch.publish(names.headers, '', Buffer.from('headers'), { headers: { one: 1, two: 'zwei', three: true } });
  ch.publish(names.headers, '', Buffer.from('no'), { headers: { one: 1 } });
  assert.deepEqual(await bodies(ch, q, 5), ['direct', 'fanout', 'topic', 'topic', 'headers']);
  assert.equal(await ch.get(q), false);
});

check('headers keep their types', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch);
  const headers = {
    int: 7, big: 2 ** 40, negative: -3, float: 1.5, yes: true, no: false, nothing: null, text: 'ä', list: [1, 'two', [3]], table: { deep: { er: 1 } },
    byte: { '!': 'byte', value: 5 }, short: { '!': 'short', value: -300 }, time: { '!': 'timestamp', value: 1700000000 }, bytes: Buffer.from('octets'),
  };
  ch.sendToQueue(q, Buffer.from('x'), { headers, contentType: 'a/b', priority: 5, correlationId: 'c', expiration: '60000', timestamp: 1700000000, appId: 'app', type: 't', userId: 'guest' });
  const { properties } = await take(ch, q);
  assert.deepEqual(properties.headers, { ...headers, byte: 5, short: -300 });
  assert.deepEqual([properties.contentType, properties.priority, properties.expiration, properties.timestamp, properties.userId], ['a/b', 5, '60000', 1700000000, 'guest']);
});

check('direct reply-to', async (c) => {
  const [ch, server] = [await c.createChannel(), await c.createChannel()];
  const q = await queue(server);
  await server.consume(q, (m) => server.sendToQueue(m.properties.replyTo, Buffer.from(`re: ${m.content}`), { correlationId: m.properties.correlationId }), { noAck: true });
  const reply = new Promise((done) => ch.consume('amq.rabbitmq.reply-to', done, { noAck: true }));
  await ready(ch, q);
  ch.sendToQueue(q, Buffer.from('ask'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '7' });
  const message = await reply;
  assert.deepEqual([message.properties.correlationId, message.content.toString()], ['7', 're: ask']);
});

check('dead letters carry their history', async (c) => {
  const ch = await c.createChannel();
  const grave = await queue(ch);
  const q = await queue(ch, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': grave });
  ch.sendToQueue(q, Buffer.from('x'), { headers: { mine: 1 } });
  ch.reject(await take(ch, q, {}), false);
  const { properties, fields } = await take(ch, grave);
  const [death] = properties.headers['x-death'];
  assert.deepEqual([fields.routingKey, death.reason, death.queue, death.exchange, death.count, death['routing-keys'], properties.headers.mine], [grave, 'rejected', q, '', 1, [q], 1]);
  assert.deepEqual(death.time['!'], 'timestamp');
});

check('time to live, of a message and of a queue', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch, { 'x-message-ttl': 60000 });
  ch.sendToQueue(q, Buffer.from('soon'), { expiration: '50' });
  await eventually(async () => (await ready(ch, q)) === 0);
  const gone = unique('gone');
  await ch.assertQueue(gone, { expires: 100, durable: false });
  await new Promise((go) => setTimeout(go, 600));
  const other = await c.createChannel();
  other.on('error', () => {});
  await assert.rejects(other.checkQueue(gone), /NOT_FOUND/);
});

check('priorities', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch, { 'x-max-priority': 9 });
  for (const priority of [1, 9, 5, 0]) ch.sendToQueue(q, Buffer.from(String(priority)), { priority });
  await eventually(async () => (await ready(ch, q)) === 4);
  assert.deepEqual(await bodies(ch, q, 4), ['9', '5', '1', '0']);
});

check('large messages, empty messages', async (c) => {
  const ch = await c.createChannel();
  const q = await queue(ch);
  const large = randomBytes(6 << 20);
  ch.sendToQueue(q, large);
  ch.sendToQueue(q, Buffer.alloc(0));
  assert.ok((await take(ch, q)).content.equals(large));
  assert.equal((await take(ch, q)).content.length, 0);
});

check('many channels', async (c) => {
  const channels = await Promise.all(Array.from({ length: 300 }, () => c.createChannel()));
  const q = await queue(channels[0]);
  for (const ch of channels) ch.sendToQueue(q, Buffer.from('x'));
  await Promise.all(channels.slice(1).map((ch) => ch.close()));
  await eventually(async () => (await ready(channels[0], q)) === 300);
  assert.equal((await channels[0].purgeQueue(q)).messageCount, 300);
});

check('errors close the channel with their reason', async (c) => {
  const ch = await c.createChannel();
  const closed = once(ch, 'error');
  await assert.rejects(ch.checkQueue('no-such-queue'), /404 \(NOT-FOUND\)/);
  const [error] = await closed;
  assert.equal(error.code, 404);
  const other = await c.createChannel();
  const failed = once(other, 'error');
  const q = unique('q');
  await other.assertQueue(q, { durable: false, autoDelete: true });
  await assert.rejects(other.assertQueue(q, { durable: true, autoDelete: true }), /inequivalent arg 'durable'/);
  assert.equal((await failed)[0].code, 406);
  const third = await c.createChannel();
  const ended = once(third, 'error');
  third.ack({ fields: { deliveryTag: 99 } });
  assert.match((await ended)[0].message, /unknown delivery tag 99/);
  await (await c.createChannel()).deleteQueue(q);
});

run(() => amqp.connect({ hostname: HOST, port: PORT, username: 'guest', password: 'guest' }));
