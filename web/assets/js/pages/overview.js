// What needs somebody now, then what goes on.

import * as api from '../api.js';
import { chart, samples } from '../chart.js';
import { facts, figures, fill, h } from '../dom.js';
import { brief, bytes, count, detailRate, duration, rate } from '../format.js';
import { scrolling } from '../table.js';
import { connectionLink, head, queueLink } from './common.js';

const RATES = [['publish', 'published'], ['deliver_get', 'delivered'], ['ack', 'acknowledged'], ['return_unroutable', 'returned']];

/** A message that is held for less is nothing to look at. */
const HELD_MIN_MS = 60_000;

export function overview({ main, signal, saw }) {
  const needs = h('section', { 'aria-label': 'What needs attention' });
  const totals = h('div');
  const backlog = chart('Messages in all queues', ['ready', 'unacknowledged'], brief);
  const flow = chart('Messages a second', RATES.map(([, name]) => name), rate);
  const node = h('section.card');
  const growing = h('section.card');
  fill(main, head('Overview'), needs, totals,
    h('div.columns', {},
      h('section.card', {}, h('h2', {}, 'Backlog'), backlog.element),
      h('section.card', {}, h('h2', {}, 'Message rates'), flow.element)),
    h('div.columns', {}, growing, node));

  return async () => {
    const [now, attention, nodes] = await Promise.all([
      api.get('/api/overview', api.CHART, signal), api.get('/api/attention', {}, signal), api.get('/api/nodes', {}, signal).catch(() => []),
    ]);
    saw(now);
    drawNeeds(needs, attention);
    const { queue_totals: queued, object_totals: objects, message_stats: stats } = now;
    fill(totals, figures([
      ['ready', brief(queued.messages_ready)],
      ['unacknowledged', brief(queued.messages_unacknowledged)],
      ['published', rate(detailRate(stats, 'publish') ?? 0)],
      ['delivered', rate(detailRate(stats, 'deliver_get') ?? 0)],
      ['connections', brief(objects.connections)],
      ['consumers', brief(objects.consumers)],
      ['queues', brief(objects.queues)],
    ]));
    backlog.draw(...samples(queued, ['messages_ready', 'messages_unacknowledged']));
    flow.draw(...samples(stats, RATES.map(([name]) => name), true));
    drawGrowing(growing, attention);
    drawNode(node, now, nodes[0]);
  };
}

const drain = ({ messages, drain_seconds: seconds }) =>
  (seconds === null || seconds === undefined ? `${count(messages)} messages, and none goes out.` : `${count(messages)} messages: its consumers would take ${duration(seconds * 1000)} for them if no more came.`);

/** One thing a line: what, how bad, and what to do. */
function drawNeeds(element, now) {
  const items = [];
  const need = (kind, what, advice, figure = '') => items.push(h('li', { class: kind === 'bad' ? 'bad' : false },
    h('span', { 'aria-hidden': true }, kind === 'bad' ? '●' : '▲'), h('strong', {}, what), h('span.number', {}, figure), h('p', {}, advice)));
  if (now.store_failed) need('bad', 'The store has failed', 'Nothing is accepted or confirmed any more. Look at the log for the reason, make room or replace the disk, and start the broker again.');
  for (const alarm of now.alarms ?? []) {
    need('bad', `The ${alarm} alarm is on`, alarm === 'disk'
      ? 'Publishers are blocked until there is more free space. Free some on the data directory’s volume, or lower the watermark.'
      : 'Publishers are blocked until there is more free memory. Consume or purge queues, or raise the watermark.');
  }
  if (now.blocked_connections > 0) need('bad', 'Publishers are blocked', h('a', { href: '#/connections' }, 'See which connections wait.'), count(now.blocked_connections));
  for (const queue of now.growing ?? []) {
    need('warn', ['Queue ', queueLink(queue.vhost, queue.name), ' grows'], drain(queue), `+${rate(queue.rate)}`);
  }
  for (const queue of now.unconsumed ?? []) {
    need('warn', ['Nobody consumes from ', queueLink(queue.vhost, queue.name)], 'Messages wait, and there is no consumer.', `${count(queue.messages)} ready`);
  }
  for (const queue of now.dead_letters ?? []) {
    need('warn', ['Messages of ', queueLink(queue.vhost, queue.name), ' die'], `They go to its dead-letter exchange: ${count(queue.dead)} since the broker started.`, rate(queue.rate));
  }
  const held = now.longest_held;
  if (held && held.age_ms >= HELD_MIN_MS) {
    need('warn', ['A message of ', queueLink(held.vhost, held.queue), ' has been held for long'], [
      held.consumer_tag ? `By the consumer ${held.consumer_tag}, ` : 'Taken by basic.get, ', `channel ${held.channel} of `,
      held.connection ? connectionLink(held.connection) : 'a connection', `, user ${held.user}. It is acknowledged, or comes back when the channel is closed.`], duration(held.age_ms));
  }
  for (const slow of now.slow_consumers ?? []) {
    need('warn', [`The consumer ${slow.consumer_tag} of `, queueLink(slow.vhost, slow.queue), ' does not keep up'], [
      'It holds as many messages as it may while others wait: ', slow.connection ? connectionLink(slow.connection) : 'a connection', `, channel ${slow.channel}.`],
    `${count(slow.unacknowledged)} held`);
  }
  fill(element, items.length ? h('ul.needs', {}, items) : h('div.calm', {}, '✓', h('span', {}, 'Nothing needs you now: no alarms, nobody blocked, no queue that grows.')));
}

function drawGrowing(element, { largest = [] }) {
  fill(element, h('h2', {}, 'Largest queues'), largest.length
    ? scrolling(h('table', {}, h('caption.visually-hidden', {}, 'Largest queues'), h('thead', {}, h('tr', {}, ['Queue', 'Messages', 'Change', 'Consumers'].map((name, i) => h('th', { scope: 'col', class: i ? 'number' : false }, name)))),
      h('tbody', {}, largest.map((queue) => h('tr', {}, h('td.name', {}, queueLink(queue.vhost, queue.name)), h('td.number', {}, count(queue.messages)),
        h('td.number', {}, `${queue.rate > 0 ? '+' : ''}${rate(queue.rate)}`), h('td.number', {}, count(queue.consumers)))))))
    : h('p.soft', {}, 'All queues are empty.'));
}

function meter(used, limit) {
  if (!limit) return null;
  const share = Math.min(1, used / limit);
  const bar = h('i');
  bar.style.width = `${share * 100}%`;
  return h('span.meter', { class: share > 0.9 ? 'bad' : share > 0.7 ? 'warn' : false, role: 'img', 'aria-label': `${Math.round(share * 100)} %` }, bar);
}

function drawNode(element, now, node = {}) {
  fill(element, h('h2', {}, 'This node'), facts([
    ['Name', now.node],
    ['Version', `${now.stoa_version ? `Stoa ${now.stoa_version}` : now.product_version}`],
    ['Running for', duration(node.uptime ?? now.uptime)],
    ['Memory', [bytes(node.mem_used), node.mem_limit ? ` of ${bytes(node.mem_limit)} ` : ' ', meter(node.mem_used, node.mem_limit)]],
    ['Disk free', node.disk_free === undefined ? undefined : [bytes(node.disk_free), node.disk_free_limit ? `, publishers are blocked below ${bytes(node.disk_free_limit)}` : '']],
    ['File descriptors', node.fd_used === undefined ? undefined : `${count(node.fd_used)} of ${count(node.fd_total)}`],
    ['Listeners', (now.listeners ?? []).map(({ protocol, ip_address: address, port }) => `${protocol} on ${address?.includes(':') ? `[${address}]` : address}:${port}`).join(', ')],
  ]));
}
