// A picture of what leads where: exchanges and queues, what leads to a thing left of it, and bindings between.

import * as api from '../api.js';
import { fill, h, to } from '../dom.js';
import { count } from '../format.js';
import { head, vhostNames } from './common.js';

/** More than this is no picture any more. */
const NODES_MAX = 300;
const ROW = 34, WIDTH = 240, GAP = 170;
const SVG = 'http://www.w3.org/2000/svg';

function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function topology({ main, signal, saw }) {
  const select = h('select', { 'aria-label': 'Virtual host', onchange: () => ask().catch(() => {}) });
  const filter = h('input', { type: 'search', placeholder: 'Only what is named', 'aria-label': 'Filter by name', 'data-search': true, oninput: () => draw() });
  const picture = h('div.card.picture');
  const said = h('p.soft', { role: 'status' });
  let all = [], drawn = '';
  fill(main, head('Topology', filter, select, h('a.button', { href: to('bindings') }, 'As a list')), said, picture);

  function draw() {
    const wanted = filter.value.toLowerCase();
    const shown = all.filter((b) => b.source !== '' && (wanted === '' || [b.source, b.destination, b.routing_key].some((name) => name.toLowerCase().includes(wanted))));
    const key = JSON.stringify(shown);
    if (key === drawn) return;
    drawn = key;
    const columns = arrange(shown);
    const nodes = columns.flat().length;
    said.textContent = shown.length === 0 ? 'No bindings here but those to the default exchange.' : nodes > NODES_MAX ? `${count(nodes)} exchanges and queues are too many for a picture: filter by name.` : '';
    fill(picture, shown.length && nodes <= NODES_MAX ? paint(columns, shown) : null);
    picture.hidden = !picture.childElementCount;
  }

  async function ask() {
    if (!select.options.length) {
      const names = await vhostNames(signal);
      fill(select, names.map((name) => h('option', { value: name, selected: name === '/' }, name)));
    }
    const [now, overview] = await Promise.all([api.get(api.path('bindings', select.value), {}, signal), api.get('/api/overview', {}, signal)]);
    saw(overview);
    all = now;
    draw();
  }
  return ask;
}

const id = (type, name) => `${type === 'queue' ? 'q' : 'e'} ${name}`;

/** Nodes by how far they are from an exchange that nothing leads to: what leads to a thing stands left of it. */
function arrange(bindings) {
  const depth = new Map();
  for (const b of bindings) depth.set(id('exchange', b.source), 0);
  const between = bindings.filter((b) => b.destination_type === 'exchange');
  // Cycles are allowed: a longest way is not longer than there are exchanges, and a picture needs few columns.
  for (let turn = 0; turn < 4; turn++) {
    for (const b of between) {
      const far = (depth.get(id('exchange', b.source)) ?? 0) + 1;
      if (far <= 4 && (depth.get(id('exchange', b.destination)) ?? 0) < far) depth.set(id('exchange', b.destination), far);
    }
  }
  for (const b of bindings) {
    if (b.destination_type !== 'queue') continue;
    const queue = id('queue', b.destination);
    depth.set(queue, Math.max(depth.get(queue) ?? 0, depth.get(id('exchange', b.source)) + 1));
  }
  const last = Math.max(0, ...depth.values());
  const columns = Array.from({ length: last + 1 }, () => []);
  for (const [node, at] of [...depth].sort(([a], [b]) => a.localeCompare(b))) columns[at].push(node);
  return columns.filter((column) => column.length);
}

function paint(columns, bindings) {
  const height = Math.max(...columns.map((column) => column.length)) * ROW + 20;
  const width = columns.length * WIDTH + (columns.length - 1) * GAP + 20;
  const places = new Map();
  columns.forEach((column, x) => column.forEach((node, y) => places.set(node, {
    x: 10 + x * (WIDTH + GAP), y: 10 + (y + 0.5) * ((height - 20) / column.length) - 13,
  })));
  const vhost = bindings[0].vhost;
  const lines = together(bindings).map((b) => {
    const from = places.get(id('exchange', b.source)), into = places.get(id(b.destination_type, b.destination));
    const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + 13, into.x, into.y + 13];
    const bend = Math.max(40, Math.abs(x2 - x1) / 2);
    const line = s('path', { d: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, class: 'edge' }, s('title', {}, `${b.source} → ${b.destination}: ${b.keys.map((key) => key || '(no key)').join(', ')}`));
    const label = b.keys.filter(Boolean).join(', ');
    return [line, bindings.length <= 60 && label && from.x < into.x ? s('text', { x: x2 - 10, y: y2 - 5, class: 'key' }, cut(label, 20)) : null];
  }).flat().filter(Boolean);
  const boxes = [...places].map(([node, { x, y }]) => {
    const name = node.slice(2), isQueue = node[0] === 'q';
    return s('a', { href: to(isQueue ? 'queue' : 'exchange', vhost, name) },
      s('rect', { x, y, width: WIDTH, height: 26, rx: isQueue ? 5 : 13, class: isQueue ? 'queue' : 'exchange' }),
      s('text', { x: x + 14, y: y + 17.5, class: 'name' }, cut(name, 32)), s('title', {}, name));
  });
  return s('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'Exchanges and the queues they lead to' }, ...lines, ...boxes);
}

/** Bindings between the same two are one line with several keys. */
function together(bindings) {
  const lines = new Map();
  for (const b of bindings) {
    const key = `${b.source}\n${b.destination_type}\n${b.destination}`;
    if (!lines.has(key)) lines.set(key, { ...b, keys: [] });
    lines.get(key).keys.push(b.routing_key);
  }
  return [...lines.values()];
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
