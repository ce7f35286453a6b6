// Exchanges, and one of them.

import * as api from '../api.js';
import { chart, samples } from '../chart.js';
import { badge, facts, fill, h, to } from '../dom.js';
import { detailRate, duration, rate } from '../format.js';
import { may, mayAnywhere } from '../rights.js';
import { listing, plain } from '../table.js';
import { bindingTable } from './bindings.js';
import { action, change, destroy, exchangeLink, features, head, headOf, parseArguments, vhostNames } from './common.js';
import { publishForm } from './publish.js';

const TYPES = ['direct', 'fanout', 'topic', 'headers', 'x-consistent-hash', 'x-modulus-hash', 'x-random', 'x-delayed-message', 'x-message-deduplication', 'x-recent-history'];

export function exchanges({ main, signal, saw }) {
  const create = mayAnywhere('configure') && h('button.primary', { type: 'button', 'data-new': true, onclick: () => declare(signal) }, 'New exchange');
  const table = listing({
    key: 'exchanges', path: '/api/exchanges', caption: 'exchanges', signal, actions: create ? [create] : [],
    columns: [
      { name: 'Exchange', isName: true, sort: 'name', value: (exchange) => exchangeLink(exchange.vhost, exchange.name) },
      { name: 'Virtual host', sort: 'vhost', small: false, value: (exchange) => exchange.vhost },
      { name: 'Type', sort: 'type', value: (exchange) => badge(exchange.type, 'accent') },
      { name: 'Features', small: false, value: features },
      { name: 'In', number: true, sort: 'message_stats.publish_in_details.rate', value: (exchange) => rate(detailRate(exchange.message_stats, 'publish_in') ?? 0) },
      { name: 'Out', number: true, sort: 'message_stats.publish_out_details.rate', value: (exchange) => rate(detailRate(exchange.message_stats, 'publish_out') ?? 0) },
    ],
  });
  fill(main, head('Exchanges'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

async function declare(signal) {
  const vhosts = await vhostNames(signal);
  change({
    title: 'New exchange', action: 'Declare', done: 'The exchange is there.',
    fields: [
      [{ name: 'name', label: 'Name', required: true, says: /^exchange name|255/ }, { name: 'vhost', label: 'Virtual host', type: 'select', options: vhosts, value: vhosts.includes('/') ? '/' : vhosts[0] }],
      [{ name: 'type', label: 'Type', type: 'select', options: TYPES }, { name: 'durable', label: 'Durable', type: 'checkbox', value: true, hint: 'it outlives a restart' }],
      [{ name: 'auto_delete', label: 'Auto-delete', type: 'checkbox', hint: 'it goes with its last binding' }, { name: 'internal', label: 'Internal', type: 'checkbox', hint: 'only other exchanges send to it' }],
      { name: 'arguments', label: 'Arguments', type: 'textarea', placeholder: 'alternate-exchange = unrouted', hint: 'one a line: name = value', says: /arg/ },
    ],
    act: ({ name, vhost, arguments: given, ...rest }) => api.put(api.path('exchanges', vhost, name), { ...rest, arguments: parseArguments(given) }),
  });
}

export function exchange({ main, parts, signal, saw }) {
  const [vhost, name] = parts;
  const where = api.path('exchanges', vhost, name);
  const title = name === 'amq.default' ? '(default)' : name;
  const marks = h('span');
  const about = h('section.card');
  const flow = chart(`Messages a second through ${title}`, ['in', 'out'], rate);
  const leading = h('div');
  const coming = h('div');
  const delayed = h('div');
  const own = !(name === '' || name.startsWith('amq.'));
  fill(main, headOf(title, 'exchanges', 'Exchanges', marks,
    may('write', vhost, name) ? action('Publish', () => publishForm({ vhost, exchange: name })) : null,
    own && may('configure', vhost, name) ? action('Delete', () => destroy({ title: `Delete ${title}?`, text: 'The exchange and its bindings are gone after this.', path: () => where, done: `${title} is gone.`, leaveTo: to('exchanges') }), 'danger') : null),
  h('div.columns', {}, h('section.card', {}, h('h2', {}, 'Message rates'), flow.element), about), delayed, leading, coming);
  return async () => {
    const [now, from, into, overview] = await Promise.all([
      api.get(where, api.CHART, signal), api.get(`${where}/bindings/source`, {}, signal), api.get(`${where}/bindings/destination`, {}, signal), api.get('/api/overview', {}, signal),
    ]);
    saw(overview);
    fill(marks, badge(now.type, 'accent'), ' ', features(now));
    flow.draw(...samples(now.message_stats, ['publish_in', 'publish_out'], true));
    fill(about, h('h2', {}, 'About'), facts([
      ['Virtual host', vhost], ['Type', now.type], ['Policy', now.policy],
      ...Object.entries(now.arguments ?? {}).map(([key, value]) => [key, typeof value === 'object' ? JSON.stringify(value) : String(value)]),
    ]));
    const waiting = now.type === 'x-delayed-message' ? await api.get(`${where}/delayed`, { count: 20 }, signal).catch(() => null) : null;
    fill(delayed, waiting ? plain({
      caption: 'Held back', rows: waiting.messages ?? [], empty: 'No message waits for its time.',
      columns: [
        { name: 'Message', value: (message) => h('code', {}, message.id) }, { name: 'Routing key', isName: true, value: (message) => message.routing_key },
        { name: 'Due in', number: true, value: (message) => duration(message.due - Date.now()) },
        { name: '', value: (message) => may('write', vhost, name) && action('Delete', () => destroy({ title: `Delete message ${message.id}?`, path: () => `${where}/delayed/${encodeURIComponent(message.id)}`, done: 'The message is gone.' }), 'quiet danger') },
      ],
    }) : null);
    fill(leading, bindingTable({ rows: from, caption: 'Sends to', from: name === 'amq.default' ? undefined : { vhost, name } }));
    fill(coming, bindingTable({ rows: into, caption: 'Gets from', to: name === 'amq.default' ? undefined : { vhost, name, type: 'e' } }));
  };
}
