// One queue: what goes on in it, who consumes, what leads to it, and what can be done with it.

import * as api from '../api.js';
import { chart, samples } from '../chart.js';
import { badge, facts, figures, fill, h, to } from '../dom.js';
import { brief, bytes, count, detailRate, duration, rate, time } from '../format.js';
import { may, mayGovern } from '../rights.js';
import { plain, scrolling } from '../table.js';
import { toast } from '../toast.js';
import { bindingTable } from './bindings.js';
import { action, change, changed, connectionLink, destroy, features, headOf } from './common.js';
import { browse, moveTo } from './messages.js';
import { publishForm } from './publish.js';

/** Messages that are named because somebody holds them the longest. */
const HELD = 5;
const RATES = [['publish', 'in'], ['deliver_get', 'out'], ['ack', 'acknowledged'], ['redeliver', 'redelivered']];

export function queue({ main, parts, signal, saw }) {
  const [vhost, name] = parts;
  const where = api.path('queues', vhost, name);
  const state = h('span');
  const pause = action('Pause', () => setPaused(), '');
  const reads = may('read', vhost, name);
  const totals = h('div');
  const backlog = chart(`Messages in ${name}`, ['ready', 'unacknowledged'], brief);
  const flow = chart(`Messages a second of ${name}`, RATES.map(([, text]) => text), rate);
  const about = h('section.card');
  const latency = h('section.card');
  const consumers = h('div');
  const bindings = h('div');
  const held = h('div');
  let paused = false;

  async function setPaused() {
    try {
      await api.put(`${where}/${paused ? 'resume' : 'pause'}`);
      toast(paused ? `${name} delivers again.` : `${name} is paused: it takes messages and delivers none.`);
      changed();
    } catch (error) {
      toast(error.message, true);
    }
  }

  fill(main, headOf(name, 'queues', 'Queues', state,
    may('write', vhost, 'amq.default') ? action('Publish', () => publishForm({ vhost, exchange: 'amq.default', key: name, fixed: true })) : null,
    mayGovern(vhost) ? pause : null,
    reads ? action('Move all', () => move(vhost, name, where)) : null,
    reads ? action('Purge', () => destroy({ title: `Purge ${name}?`, text: 'All ready messages are deleted. Those that consumers hold stay.', action: 'Purge', path: () => `${where}/contents`, done: `${name} is empty.` }), 'danger') : null,
    may('configure', vhost, name) ? action('Delete', () => destroy({
      title: `Delete ${name}?`, text: 'The queue, its bindings and all its messages are gone after this.', path: ({ unused, empty }) => `${where}?${new URLSearchParams({ ...(unused && { 'if-unused': true }), ...(empty && { 'if-empty': true }) })}`,
      fields: [[{ name: 'empty', label: 'only if it is empty', type: 'checkbox' }, { name: 'unused', label: 'only if nobody consumes', type: 'checkbox' }]], done: `${name} is gone.`, leaveTo: to('queues'),
    }), 'danger') : null),
  totals,
  h('div.columns', {}, h('section.card', {}, h('h2', {}, 'Backlog'), backlog.element), h('section.card', {}, h('h2', {}, 'Message rates'), flow.element)),
  h('div.columns', {}, about, latency), consumers, held, bindings, reads ? browse(vhost, name) : null);

  return async () => {
    const [now, bound, unacked, overview] = await Promise.all([
      api.get(where, api.CHART, signal), api.get(`${where}/bindings`, {}, signal),
      reads ? api.get(`${where}/unacked`, { count: HELD }, signal).catch(() => null) : null, api.get('/api/overview', {}, signal),
    ]);
    saw(overview);
    paused = now.state === 'paused';
    fill(state, badge(now.state ?? 'running', paused ? 'warn' : 'good'), ' ', features(now));
    pause.textContent = paused ? 'Resume' : 'Pause';
    const stats = now.message_stats;
    const out = detailRate(stats, 'deliver_get') ?? 0, into = detailRate(stats, 'publish') ?? 0;
    fill(totals, figures([
      ['ready', brief(now.messages_ready)],
      ['unacknowledged', brief(now.messages_unacknowledged)],
      ...(now.messages_delayed ? [['delayed', brief(now.messages_delayed)]] : []),
      ['in', rate(into)],
      ['out', rate(out)],
      ['consumers', brief(now.consumers), now.consumers === 0 && now.messages_ready > 0 ? 'warn' : ''],
      ['until drained', now.messages_ready === 0 ? 'empty' : out > into ? duration(now.messages_ready / (out - into) * 1000) : '∞', now.messages_ready > 0 && out <= into ? 'warn' : ''],
      ['size', bytes(now.message_bytes)],
    ]));
    backlog.draw(...samples(now, ['messages_ready', 'messages_unacknowledged']));
    flow.draw(...samples(stats, RATES.map(([field]) => field), true));
    fill(about, h('h2', {}, 'About'), facts([
      ['Virtual host', vhost], ['Type', now.type], ['Policy', now.policy], ['Operator policy', now.operator_policy],
      ...Object.entries(now.arguments ?? {}).map(([key, value]) => [key, typeof value === 'object' ? JSON.stringify(value) : String(value)]),
      ['Set to', Object.entries(now.effective_policy_definition ?? {}).map(([key, value]) => `${key}: ${value}`).join(', ')],
      ['Owner', now.owner_pid_details?.name ? connectionLink(now.owner_pid_details.name) : undefined],
      ['Idle since', now.idle_since ? time(Date.parse(now.idle_since)) : undefined],
    ]));
    drawLatency(latency, now.latency);
    fill(consumers, plain({
      caption: 'Consumers', rows: now.consumer_details ?? [], empty: 'Nobody consumes from this queue.',
      columns: [
        { name: 'Tag', isName: true, value: (consumer) => h('code', {}, consumer.consumer_tag) },
        { name: 'Channel', value: (consumer) => (consumer.channel_details?.name ? h('a', { href: to('channel', consumer.channel_details.name) }, consumer.channel_details.name) : '') },
        { name: 'Acknowledges', value: (consumer) => (consumer.ack_required ? 'yes' : 'no') },
        { name: 'Prefetch', number: true, value: (consumer) => (consumer.prefetch_count ? count(consumer.prefetch_count) : '∞') },
        { name: 'State', value: (consumer) => badge(consumer.activity_status ?? 'up', consumer.active === false ? '' : 'good') },
      ],
    }));
    const items = unacked?.messages ?? [];
    fill(held, items.length ? plain({
      caption: 'Held longest', rows: items,
      columns: [
        { name: 'Message', value: (message) => h('code', {}, message.id) },
        { name: 'For', number: true, value: (message) => duration(message.age_ms) },
        { name: 'Consumer', isName: true, value: (message) => h('code', {}, message.consumer_tag ?? 'basic.get') },
        { name: 'Connection', isName: true, value: (message) => (message.connection ? connectionLink(message.connection) : '') },
        { name: 'User', value: (message) => message.user ?? '' },
      ],
    }) : null);
    fill(bindings, bindingTable({ rows: bound, caption: 'Bindings', to: { vhost, name, type: 'q' } }));
  };
}

/** Quantiles of the time in the queue, and with consumers. */
function drawLatency(element, latency) {
  const rows = [['In the queue', latency?.queue], ['Until acknowledged', latency?.ack]].filter(([, of]) => of?.count);
  fill(element, h('h2', {}, 'How long messages take'), rows.length
    ? scrolling(h('table', {}, h('thead', {}, h('tr', {}, [h('td'), ...['half in', '90 %', '99 %', 'longest'].map((text) => h('th.number', { scope: 'col' }, text))])),
      h('tbody', {}, rows.map(([text, of]) => h('tr', {}, h('th', { scope: 'row' }, text), ['p50', 'p90', 'p99', 'max'].map((key) => h('td.number', {}, duration(of[key]))))))))
    : h('p.soft', {}, 'No message has been measured yet.'));
}

/** All ready messages go to another queue, whichever client waits for them. */
function move(vhost, name, where) {
  change({
    title: `Move messages of ${name}`, action: 'Move', text: 'Messages that consumers hold stay. Nothing is lost: a message leaves this queue when it is in the other one.',
    fields: [{ name: 'queue', label: 'To the queue', required: true, says: /queue/ }],
    act: ({ queue }) => moveTo(where, queue, { filter: {} }),
    done: (moved) => `${count(moved)} messages moved.`,
  });
}

