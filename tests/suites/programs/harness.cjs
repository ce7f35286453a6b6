// What Node's programs share: TAP, waiting for events with a deadline.

const HOST = process.env.STOA_SUITE_HOST;
const PORT = Number(process.env.STOA_SUITE_PORT);
const checks = [];

const check = (name, body) => checks.push([name, body]);

const within = (promise, what, ms = 20000) =>
  Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error(`${what} did not come`)), ms).unref())]);

async function eventually(holds) {
  for (let n = 0; n < 200; n++) {
    const value = await holds();
    if (value) return value;
    await new Promise((go) => setTimeout(go, 25));
  }
  throw new Error('it did not come about');
}

async function run(connect) {
  let count = 0;
  for (const [name, body] of checks) {
    count += 1;
    let connection;
    try {
      connection = await within(connect(), 'a connection');
      await within(body(connection), 'the end');
      console.log(`ok ${count} - ${name}`);
    } catch (error) {
      console.log(`not ok ${count} - ${name}\n${String(error.stack).replace(/^/gm, '# ')}`);
    }
    try {
      await within(connection.close(), 'the close', 5000);
    } catch {}
  }
  console.log(`1..${count}`);
  process.exit(0);
}

module.exports = { HOST, PORT, check, within, eventually, run };
