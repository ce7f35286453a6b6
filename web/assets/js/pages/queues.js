// All queues.

import * as api from '../api.js';
import { badge, fill, h } from '../dom.js';
import { bytes, count, detailRate, rate } from '../format.js';
import { mayAnywhere } from '../rights.js';
import { listing } from '../table.js';
import { change, features, head, parseArguments, queueLink, vhostNames } from './common.js';

const STATES = { running: 'good', idle: '', paused: 'warn', flow: 'warn', stopped: 'bad' };

export function queues({ main, signal, saw }) {
  const create = mayAnywhere('configure') && h('button.primary', { type: 'button', 'data-new': true, onclick: () => declare(signal) }, 'New queue');
  const table = listing({
    key: 'queues', path: '/api/queues', caption: 'queues', signal, actions: create ? [create] : [], sort: 'messages', descending: true,
    empty: 'There are no queues yet. Declare one here or from a client.',
    columns: [
      { name: 'Queue', isName: true, sort: 'name', value: (queue) => queueLink(queue.vhost, queue.name) },
      { name: 'Virtual host', sort: 'vhost', small: false, value: (queue) => queue.vhost },
      { name: 'Type', sort: 'type', small: false, value: (queue) => queue.type },
      { name: 'Features', small: false, value: features },
      { name: 'State', sort: 'state', small: false, value: (queue) => badge(queue.state ?? 'running', STATES[queue.state] ?? '') },
      { name: 'Ready', number: true, sort: 'messages_ready', value: (queue) => count(queue.messages_ready) },
      { name: 'Unacked', number: true, sort: 'messages_unacknowledged', value: (queue) => count(queue.messages_unacknowledged) },
      { name: 'Total', number: true, sort: 'messages', value: (queue) => count(queue.messages) },
      { name: 'In', number: true, sort: 'message_stats.publish_details.rate', value: (queue) => rate(detailRate(queue.message_stats, 'publish') ?? 0) },
      { name: 'Out', number: true, sort: 'message_stats.deliver_get_details.rate', value: (queue) => rate(detailRate(queue.message_stats, 'deliver_get') ?? 0) },
      { name: 'Consumers', number: true, sort: 'consumers', value: (queue) => count(queue.consumers) },
      { name: 'Size', number: true, sort: 'message_bytes', small: false, value: (queue) => bytes(queue.message_bytes) },
    ],
  });
  fill(main, head('Queues'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

async function declare(signal) {
  const vhosts = await vhostNames(signal);
  change({
    title: 'New queue', action: 'Declare', done: ({ name }) => `Queue ${name} is there.`,
    fields: [
      [{ name: 'name', label: 'Name', required: true, says: /^queue name|255/ }, { name: 'vhost', label: 'Virtual host', type: 'select', options: vhosts, value: vhosts.includes('/') ? '/' : vhosts[0] }],
      [{ name: 'type', label: 'Type', type: 'select', options: ['classic', 'quorum'] }, { name: 'durable', label: 'Durable', type: 'checkbox', value: true, hint: 'it outlives a restart', says: /non-durable/ }],
      [{ name: 'ttl', label: 'Message TTL (ms)', type: 'number', min: 0, says: /x-message-ttl/ }, { name: 'length', label: 'Messages at most', type: 'number', min: 0, says: /x-max-length'/ }],
      [{ name: 'dlx', label: 'Dead-letter exchange', says: /x-dead-letter-exchange/ }, { name: 'priority', label: 'Highest priority', type: 'number', min: 0, max: 255, says: /x-max-priority/ }],
      { name: 'arguments', label: 'Further arguments', type: 'textarea', placeholder: 'x-single-active-consumer = true', hint: 'one a line: name = value', says: / arg / },
    ],
    async act({ name, vhost, type, durable, ttl, length, dlx, priority, arguments: further }) {
      const given = { 'x-queue-type': type, 'x-message-ttl': ttl, 'x-max-length': length, 'x-dead-letter-exchange': dlx || undefined, 'x-max-priority': priority };
      const settings = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
      await api.put(api.path('queues', vhost, name), { durable, auto_delete: false, arguments: { ...settings, ...parseArguments(further) } });
      return { name };
    },
  });
}
