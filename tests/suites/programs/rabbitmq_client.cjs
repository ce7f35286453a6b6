// rabbitmq-client, as its users use it: publishers with confirms, consumers, RPC. Prints TAP.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { Connection } = require('rabbitmq-client');
const { HOST, PORT, check, eventually, run } = require('./harness.cjs');

const unique = (stem) => `${stem}-${randomBytes(8).toString('hex')}`;

check('a publisher with confirms and a consumer', async (c) => {
  const queue = unique('q');
  const got = [];
  const sub = c.createConsumer({ queue, queueOptions: { autoDelete: true }, qos: { prefetchCount: 2 }, concurrency: 1 }, async (message) => {
    got.push(message.body);
  });
  await new Promise((go) => sub.once('ready', go));
  const pub = c.createPublisher({ confirm: true, maxAttempts: 2 });
  for (let n = 0; n < 50; n++) await pub.send({ routingKey: queue, durable: true }, { n });
  await eventually(() => got.length === 50);
  assert.deepEqual(got.map(({ n }) => n), Array.from({ length: 50 }, (_, n) => n));
  await pub.close();
  await sub.close();
});

check('a handler that fails requeues or drops', async (c) => {
  const queue = unique('q');
  const seen = [];
  const sub = c.createConsumer({ queue, requeue: true, queueOptions: { autoDelete: true }, concurrency: 1 }, async (message) => {
    seen.push(message.redelivered);
    if (seen.length < 2) throw new Error('once more');
  });
  sub.on('error', () => {});
  await new Promise((go) => sub.once('ready', go));
  await c.createPublisher({ confirm: true }).send(queue, 'x');
  await eventually(() => seen.length === 2);
  assert.deepEqual(seen, [false, true]);
  await sub.close();
});

check('topology with exchanges and bindings', async (c) => {
  const [exchange, queue] = [unique('x'), unique('q')];
  const got = [];
  const sub = c.createConsumer(
    { queue, queueOptions: { exclusive: true }, exchanges: [{ exchange, type: 'topic', autoDelete: true }], queueBindings: [{ exchange, routingKey: 'users.*' }] },
    async (message) => {
      got.push(message.routingKey);
    },
  );
  await new Promise((go) => sub.once('ready', go));
  const pub = c.createPublisher({ confirm: true });
  await pub.send({ exchange, routingKey: 'users.created' }, 'x');
  await pub.send({ exchange, routingKey: 'orders.created' }, 'x');
  await eventually(() => got.length === 1);
  assert.deepEqual(got, ['users.created']);
  await sub.close();
});

check('rpc over direct reply-to', async (c) => {
  const queue = unique('rpc');
  const sub = c.createConsumer({ queue, queueOptions: { autoDelete: true } }, async (request, reply) => reply(`re: ${request.body}`));
  await new Promise((go) => sub.once('ready', go));
  const client = c.createRPCClient({ confirm: true, timeout: 10000 });
  const replies = await Promise.all(['a', 'b', 'c'].map((body) => client.send(queue, body)));
  assert.deepEqual(replies.map(({ body }) => body), ['re: a', 're: b', 're: c']);
  await client.close();
  await sub.close();
});

check('mandatory messages come back', async (c) => {
  const pub = c.createPublisher({ confirm: true });
  const returned = new Promise((done) => pub.on('basic.return', done));
  await pub.send({ routingKey: 'nowhere-at-all', mandatory: true }, 'lost');
  assert.deepEqual([(await returned).replyCode, (await returned).body], [312, 'lost']);
});

check('passive declarations, counts, purge, delete', async (c) => {
  const queue = unique('q');
  await c.queueDeclare({ queue });
  for (let n = 0; n < 5; n++) await c.createPublisher({ confirm: true }).send(queue, 'x');
  assert.equal((await c.queueDeclare({ queue, passive: true })).messageCount, 5);
  const message = await c.basicGet({ queue, noAck: true });
  assert.deepEqual([message.body, message.messageCount], ['x', 4]);
  assert.equal((await c.queuePurge({ queue })).messageCount, 4);
  assert.equal((await c.queueDelete({ queue })).messageCount, 0);
  await assert.rejects(c.queueDeclare({ queue, passive: true }), { code: 'NOT_FOUND' });
});

run(async () => {
  const connection = new Connection({ hostname: HOST, port: PORT, username: 'guest', password: 'guest', retryLow: 100 });
  connection.on('error', () => {});
  await connection.onConnect(10000);
  return connection;
});
