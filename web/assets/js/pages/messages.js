// Looking into a queue without consuming from it, and what can be done with one message.

import * as api from '../api.js';
import { badge, facts, fill, h } from '../dom.js';
import { ask } from '../dialog.js';
import { bytes, count, duration } from '../format.js';
import { toast } from '../toast.js';
import { action } from './common.js';

const PAGE = 20;
const SHOWN_OCTETS = 4096;

/** The browser of a queue's messages. */
export function browse(vhost, name) {
  const where = `${api.path('queues', vhost, name)}/contents`;
  const list = h('div');
  const said = h('p.soft', { role: 'status' });
  const state = h('select', { 'aria-label': 'State' }, [['', 'all'], 'ready', 'unacked', 'delayed', 'dead'].map((option) => {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    return h('option', { value }, text);
  }));
  const key = h('input', { type: 'search', placeholder: 'Routing key', 'aria-label': 'Routing key' });
  let next;

  async function look(from) {
    try {
      const answer = await api.get(where, { from, count: PAGE, state: state.value, routing_key: key.value, truncate: SHOWN_OCTETS });
      next = answer.next ?? undefined;
      if (from === undefined) fill(list);
      list.append(...answer.items.map(draw));
      more.hidden = next === undefined;
      said.textContent = list.childElementCount ? '' : 'No message to show.';
    } catch (error) {
      toast(error.message, true);
    }
  }
  const more = h('button', { type: 'button', hidden: true, onclick: () => look(next) }, 'More');

  function draw(message) {
    const element = h('article.message', { 'aria-label': `Message ${message.id}` });
    const ready = message.state === 'ready' || message.state === 'delayed';
    fill(element, h('div.bar', {}, h('code', {}, message.id), badge(message.state, message.state === 'ready' ? 'good' : 'warn'),
      message.redelivered ? badge('redelivered') : null, message.returns ? badge(`came back ${count(message.returns)} times`, 'warn') : null,
      h('span.soft', {}, bytes(message.size ?? message.payload_bytes)), h('span.spacer'),
      ready ? action('Move', () => move(message, element)) : null,
      ready ? action('Delete', () => destroy(message, element), 'danger') : null),
    facts([
      ['Exchange', message.exchange === '' ? '(default)' : message.exchange], ['Routing key', message.routing_key],
      ['Due', message.due ? `in ${duration(message.due - Date.now())}` : undefined],
      ...Object.entries(message.properties ?? {}).filter(([, value]) => value !== null).map(([property, value]) => [property, typeof value === 'object' ? h('code', {}, JSON.stringify(value)) : String(value)]),
    ]), h('pre', { tabindex: 0 }, shown(message)));
    return element;
  }

  async function move(message, element) {
    const done = await ask({
      title: `Move message ${message.id}`, action: 'Move', fields: [{ name: 'queue', label: 'To the queue', required: true }],
      act: ({ queue }) => api.post(`${where}/move`, { ids: [message.id], destination: { queue } }), done: 'The message is in the other queue.',
    });
    if (done) element.remove();
  }
  async function destroy(message, element) {
    const done = await ask({
      title: `Delete message ${message.id}?`, text: 'It is not dead-lettered.', action: 'Delete', danger: true,
      act: () => api.remove(`${where}/${encodeURIComponent(message.id)}`), done: 'The message is gone.',
    });
    if (done) element.remove();
  }

  return h('section.card', { 'aria-label': 'Messages' }, h('div.bar', {}, h('h2', {}, 'Messages'), h('span.soft.small', {}, 'looked at, not consumed'), h('span.spacer'), key, state,
    h('button', { type: 'button', onclick: () => look() }, 'Browse')), said, list, more);
}

/** A body as text; JSON is set out in lines. */
function shown({ payload, payload_encoding: encoding, properties, truncated }) {
  if (payload === undefined || payload === '') return '(empty)';
  if (encoding === 'base64') return `base64: ${payload}`;
  if (!truncated && /json/.test(properties?.content_type ?? '')) {
    try {
      return JSON.stringify(JSON.parse(payload), null, 2);
    } catch {
      return payload;
    }
  }
  return truncated ? `${payload}…` : payload;
}
