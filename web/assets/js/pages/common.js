// What several pages share.

import * as api from '../api.js';
import { badge, h, to } from '../dom.js';
import { Wrong, ask } from '../dialog.js';

/** The head of a page. */
export function head(title, ...rest) {
  return h('div.head', {}, h('h1', {}, title), h('span.spacer'), rest);
}

/** The head of a page about one thing, with the way back. */
export function headOf(title, parent, parentTitle, ...rest) {
  return h('div.head', {}, h('div.crumbs', {}, h('a', { href: to(parent) }, parentTitle)), h('h1', {}, title), h('span.spacer'), rest);
}

export const queueLink = (vhost, name) => h('a', { href: to('queue', vhost, name) }, name);
export const exchangeLink = (vhost, name) => h('a', { href: to('exchange', vhost, name === '' ? 'amq.default' : name) }, name === '' ? '(default)' : name);
export const connectionLink = (name, text = name) => h('a', { href: to('connection', name) }, text);

/** A button that changes something. */
export const action = (text, act, kind = '') => h('button', { type: 'button', class: kind || false, onclick: act }, text);

/** Something has changed: the page asks again. */
export const changed = () => document.dispatchEvent(new Event('changed'));

/** Asks, does, and has the page ask again. */
export async function change(question) {
  if (await ask(question)) changed();
}

/** Deletes something after a question, and leaves its page. */
export async function destroy({ title, text, action = 'Delete', path, done, leaveTo, fields, body }) {
  const sure = await ask({ title, text, action, danger: true, done, fields, act: (values) => api.remove(path(values), body) });
  if (!sure) return;
  if (leaveTo) location.hash = leaveTo;
  else changed();
}

/** What a queue or exchange is, in letters as RabbitMQ's users know them. */
export function features(object) {
  const marks = [
    [object.durable, 'D', 'durable: it outlives a restart'],
    [object.auto_delete, 'AD', 'auto-delete: it goes with its last consumer or binding'],
    [object.exclusive, 'Excl', 'exclusive: it belongs to one connection'],
    [object.internal, 'I', 'internal: clients cannot publish to it'],
    [object.policy, object.policy, 'policy'],
    [object.operator_policy, object.operator_policy, 'operator policy'],
    ...Object.entries(object.arguments ?? {}).map(([key, value]) => [true, ARGUMENTS[key] ?? key.replace(/^x-/, ''), `${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`]),
  ];
  const shown = marks.filter(([is]) => is);
  const rest = shown.slice(MARKS_MAX);
  return h('span.badges', {}, shown.slice(0, MARKS_MAX).map(([, text, title]) => badge(text, '', title)), rest.length ? badge(`+${rest.length}`, '', rest.map(([, , title]) => title).join('\n')) : null);
}

/** More would widen a table beyond what is read. */
const MARKS_MAX = 4;

const ARGUMENTS = {
  'x-message-ttl': 'TTL', 'x-expires': 'Exp', 'x-max-length': 'Lim', 'x-max-length-bytes': 'Lim B', 'x-overflow': 'Ovfl', 'x-dead-letter-exchange': 'DLX',
  'x-dead-letter-routing-key': 'DLK', 'x-max-priority': 'Pri', 'x-single-active-consumer': 'SAC', 'x-queue-type': 'type', 'alternate-exchange': 'AE',
};

/** Names of the virtual hosts that the user may see. */
export async function vhostNames(signal) {
  const answer = await api.get('/api/vhosts', {}, signal);
  return answer.map(({ name }) => name);
}

/** Key-value lines (`name = value`) of the field `arguments`: numbers, true, false and JSON are taken for what they are. */
export function parseArguments(text) {
  const pairs = text.split('\n').map((line) => line.trim()).filter(Boolean).map((line) => {
    const at = line.search(/[=:]/);
    if (at < 1) throw new Wrong('arguments', `“${line}” is not of the form name = value`);
    return [line.slice(0, at).trim(), parsed(line.slice(at + 1).trim())];
  });
  return Object.fromEntries(pairs);
}
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
