// Bindings: all of them, and those of one queue or exchange.

import * as api from '../api.js';
import { fill, h, to as page } from '../dom.js';
import { may } from '../rights.js';
import { listing, plain } from '../table.js';
import { action, change, destroy, exchangeLink, head, parseArguments, queueLink } from './common.js';

const columns = [
  { name: 'From', isName: true, sort: 'source', value: (binding) => exchangeLink(binding.vhost, binding.source) },
  { name: 'Routing key', isName: true, sort: 'routing_key', value: (binding) => h('code', {}, binding.routing_key) },
  { name: 'To', isName: true, sort: 'destination', value: (binding) => (binding.destination_type === 'queue' ? queueLink : exchangeLink)(binding.vhost, binding.destination) },
  { name: 'Arguments', value: (binding) => (Object.keys(binding.arguments ?? {}).length ? h('code', {}, JSON.stringify(binding.arguments)) : '') },
  {
    name: '', value: (binding) => (binding.source === '' || !may('write', binding.vhost, binding.destination) || !may('read', binding.vhost, binding.source) ? '' : action('Unbind', () => destroy({
      title: 'Remove this binding?', text: `${binding.source} will not send ${binding.routing_key || 'its messages'} to ${binding.destination} any more.`, action: 'Unbind', done: 'The binding is gone.',
      path: () => api.path('bindings', binding.vhost, 'e', binding.source, binding.destination_type === 'queue' ? 'q' : 'e', binding.destination, binding.properties_key),
    }), 'quiet danger')),
  },
];

export function bindings({ main, signal, saw }) {
  const table = listing({ key: 'bindings', path: '/api/bindings', caption: 'bindings', columns, signal });
  fill(main, head('Bindings', h('a.button', { href: page('topology') }, 'As a picture')), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

/** Bindings of one thing. With `to` (a queue or exchange) or `from` (an exchange) a new one can be made. */
export function bindingTable({ rows, caption, to, from }) {
  const mayBind = to ? may('write', to.vhost, to.name) : from && may('read', from.vhost, from.name);
  const add = mayBind ? [action('Bind', () => bind(to, from))] : [];
  return plain({ caption, rows, columns, empty: 'No bindings.', actions: add });
}

function bind(to, from) {
  const vhost = (to ?? from).vhost;
  change({
    title: to ? `Bind ${to.name}` : `Bind something to ${from.name}`, action: 'Bind', done: 'Bound.',
    fields: [
      to ? { name: 'source', label: 'From the exchange', required: true, says: /exchange/ } : [{ name: 'destination', label: 'To', required: true, says: /queue|exchange/ }, { name: 'type', label: 'which is', type: 'select', options: [['q', 'a queue'], ['e', 'an exchange']] }],
      { name: 'routing_key', label: 'Routing key' },
      { name: 'arguments', label: 'Arguments', type: 'textarea', hint: 'one a line: name = value', says: /arg/ },
    ],
    act: ({ source, destination, type, routing_key: key, arguments: given }) => api.post(
      api.path('bindings', vhost, 'e', to ? source : from.name, to ? to.type : type, to ? to.name : destination), { routing_key: key, arguments: parseArguments(given) }),
  });
}
