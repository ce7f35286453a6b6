// Looking into a queue without consuming from it, and what can be done with one message.

import * as api from '../api.js';
import { badge, facts, fill, h } from '../dom.js';
import { Wrong, ask } from '../dialog.js';
import { bytes, count, duration } from '../format.js';
import { toast } from '../toast.js';
import { action } from './common.js';

const PAGE = 20;
const SHOWN_OCTETS = 4096;

/** The browser of a queue's messages. */
export function browse(vhost, name) {
  const queueOf = api.path('queues', vhost, name);
  const where = `${queueOf}/contents`;
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
      const filter = key.value === '' ? undefined : JSON.stringify({ routing_key: key.value });
      const answer = await api.get(where, { from, count: PAGE, state: state.value, filter, truncate: SHOWN_OCTETS });
      next = answer.next;
      if (from === undefined) fill(list);
      list.append(...answer.messages.map(draw));
      more.hidden = next === undefined;
      said.textContent = list.childElementCount ? '' : more.hidden ? 'No message to show.' : 'None among those that were looked at so far.';
    } catch (error) {
      toast(error.message, true);
    }
  }
  const more = h('button', { type: 'button', hidden: true, onclick: () => look(next) }, 'More');

  function draw(message) {
    const element = h('article.message', { 'aria-label': `Message ${message.id}` });
    // What consumers hold is theirs, and what is dead is on its way.
    const free = message.state === 'ready' || message.state === 'delayed';
    fill(element, h('div.bar', {}, h('code', {}, message.id), badge(message.state, message.state === 'ready' ? 'good' : 'warn'),
      message.redelivered ? badge('redelivered') : null, message.returns ? badge(`came back ${count(message.returns)} times`, 'warn') : null,
      h('span.soft', {}, bytes(message.payload_bytes)), h('span.spacer'),
      free ? action('Move', () => move(message, element)) : null,
      free ? action('Delete', () => destroy(message, element), 'danger') : null),
    facts([
      ['Exchange', message.exchange === '' ? '(default)' : message.exchange], ['Routing key', message.routing_key],
      ['Due', message.due ? `in ${duration(message.due - Date.now())}` : undefined],
      ...Object.entries(message.properties ?? {}).filter(([, value]) => value !== null).map(([property, value]) => [property, typeof value === 'object' ? h('code', {}, JSON.stringify(value)) : String(value)]),
    ]), h('pre', { tabindex: 0 }, shown(message)));
    return element;
  }

  async function move(message, element) {
    const done = await ask({
      title: `Move message ${message.id}`, action: 'Move', fields: [{ name: 'queue', label: 'To the queue', required: true, says: /queue/ }],
      act: ({ queue }) => moveTo(queueOf, queue, { ids: [message.id] }), done: 'The message is in the other queue.',
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

/** Moves messages of a queue (its path) to another one; how many went. The broker looks at so many a request, and says where to go on. */
export async function moveTo(where, queue, pick) {
  let moved = 0, stayed = 0, from;
  do {
    const answer = await api.post(`${where}/contents/move`, { ...pick, from, destination: { queue } });
    moved += answer.moved;
    stayed += answer.stayed;
    from = answer.next;
  } while (from !== undefined && stayed === 0);
  if (stayed > 0) throw new Wrong('queue', `${count(stayed)} stayed: there is no queue ${queue} that takes them.${moved ? ` ${count(moved)} have moved.` : ''}`);
  return moved;
}

/** A body as text; JSON is set out in lines. Of a long one only the beginning is here. */
function shown({ payload, payload_encoding: encoding, payload_bytes: size, properties }) {
  if (size === 0) return '(empty)';
  const cut = size > SHOWN_OCTETS ? `… (the first ${bytes(SHOWN_OCTETS)} of ${bytes(size)})` : '';
  if (encoding === 'base64') return `base64: ${payload}${cut}`;
  if (!cut && /json/.test(properties?.content_type ?? '')) {
    try {
      return JSON.stringify(JSON.parse(payload), null, 2);
    } catch {
      return payload;
    }
  }
  return payload + cut;
}
