// Connections, and one of them.

import * as api from '../api.js';
import { badge, facts, figures, fill, h, to } from '../dom.js';
import { ago, bytes, count, detailRate, rate, time } from '../format.js';
import { is, isNamed } from '../rights.js';
import { listing } from '../table.js';
import { toast } from '../toast.js';
import { action, connectionLink, head, headOf } from './common.js';
import { ask } from '../dialog.js';

const STATES = { running: 'good', blocked: 'bad', blocking: 'bad', flow: 'warn', closing: 'warn' };
/** By the name that its client gives it, if it does. */
function named(connection) {
  const given = connection.client_properties?.connection_name;
  return given ? [connectionLink(connection.name, given), h('div.soft.small.nowrap', {}, connection.name)] : connectionLink(connection.name);
}

const state = (connection) => badge(connection.state ?? 'running', STATES[connection.state] ?? '');

export function connections({ main, signal, saw }) {
  const table = listing({
    key: 'connections', path: '/api/connections', caption: 'connections', signal, empty: 'No client is connected.',
    columns: [
      { name: 'Connection', isName: true, sort: 'name', value: named },
      { name: 'User', sort: 'user', value: (connection) => connection.user },
      { name: 'Virtual host', sort: 'vhost', small: false, value: (connection) => connection.vhost },
      { name: 'State', sort: 'state', value: (connection) => [state(connection), connection.ssl ? [' ', badge('TLS', 'good')] : null] },
      { name: 'Client', small: false, value: (connection) => [connection.client_properties?.product, connection.client_properties?.version].filter(Boolean).join(' ') },
      { name: 'Channels', number: true, sort: 'channels', value: (connection) => count(connection.channels) },
      { name: 'From client', number: true, sort: 'recv_oct_details.rate', value: (connection) => `${bytes(detailRate(connection, 'recv_oct') ?? 0)}/s` },
      { name: 'To client', number: true, sort: 'send_oct_details.rate', value: (connection) => `${bytes(detailRate(connection, 'send_oct') ?? 0)}/s` },
    ],
  });
  fill(main, head('Connections'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

async function close(name) {
  const done = await ask({
    title: 'Close this connection?', text: 'What its consumers hold goes back to the queues.', action: 'Close', danger: true, fields: [{ name: 'reason', label: 'Reason', value: 'Closed by an administrator', hint: 'the client sees it' }],
    async act({ reason }) {
      const answer = await fetch(api.path('connections', name), { method: 'DELETE', headers: { 'x-reason': reason, 'x-csrf-token': sessionStorage.getItem('csrf') ?? '' } });
      if (!answer.ok) throw new Error(`The broker answered with ${answer.status}.`);
    },
  });
  if (!done) return;
  toast('The connection is closed.');
  location.hash = to('connections');
}

export function connection({ main, parts, signal, saw }) {
  const [name] = parts;
  const marks = h('span');
  const end = action('Close', () => close(name), 'danger');
  end.hidden = true;
  const totals = h('div');
  const about = h('section.card');
  const client = h('section.card');
  const channels = listing({
    path: `${api.path('connections', name)}/channels`, caption: 'channels', signal, search: false, empty: 'No channel is open.',
    columns: [
      { name: 'Channel', isName: true, value: (channel) => h('a', { href: to('channel', channel.name) }, channel.number) },
      { name: 'State', value: state },
      { name: 'Confirms', value: (channel) => (channel.confirm ? 'yes' : channel.transactional ? 'transactions' : 'no') },
      { name: 'Prefetch', number: true, value: (channel) => (channel.prefetch_count ? count(channel.prefetch_count) : '∞') },
      { name: 'Unacked', number: true, value: (channel) => count(channel.messages_unacknowledged) },
      { name: 'Published', number: true, value: (channel) => rate(detailRate(channel.message_stats, 'publish') ?? 0) },
      { name: 'Delivered', number: true, value: (channel) => rate(detailRate(channel.message_stats, 'deliver_get') ?? 0) },
    ],
  });
  fill(main, headOf(name, 'connections', 'Connections', marks, end), totals, h('div.columns', {}, about, client), h('h2', {}, 'Channels'), channels.element);
  return async () => {
    const [now, overview] = await Promise.all([api.get(api.path('connections', name), {}, signal), api.get('/api/overview', {}, signal), channels.refresh()]);
    saw(overview);
    fill(marks, state(now));
    end.hidden = !is('administrator') && !isNamed(now.user);
    fill(totals, figures([
      ['from client', `${bytes(detailRate(now, 'recv_oct') ?? 0)}/s`], ['to client', `${bytes(detailRate(now, 'send_oct') ?? 0)}/s`], ['channels', count(now.channels)],
      ['received', bytes(now.recv_oct)], ['sent', bytes(now.send_oct)],
    ]));
    fill(about, h('h2', {}, 'About'), facts([
      ['User', now.user], ['Virtual host', now.vhost], ['Protocol', now.protocol], ['From', `${now.peer_host}:${now.peer_port}`], ['To', `${now.host}:${now.port}`],
      ['TLS', now.ssl ? [now.ssl_protocol, now.ssl_cipher].filter(Boolean).join(', ') || 'yes' : 'no'], ['Login by', now.auth_mechanism],
      ['Heartbeat', now.timeout ? `${now.timeout} s` : 'none'], ['Largest frame', bytes(now.frame_max)], ['Connected', now.connected_at ? `${time(now.connected_at)}, ${ago(now.connected_at)} ago` : undefined],
    ]));
    const { capabilities, ...properties } = now.client_properties ?? {};
    fill(client, h('h2', {}, 'Client'), facts([
      ...Object.entries(properties).map(([key, value]) => [key, String(value)]),
      ['capabilities', Object.entries(capabilities ?? {}).filter(([, has]) => has).map(([key]) => key).join(', ')],
    ]));
  };
}
