// Virtual hosts, and one of them.

import * as api from '../api.js';
import { badge, facts, fill, h, to } from '../dom.js';
import { count } from '../format.js';
import { listing, plain } from '../table.js';
import { action, change, destroy, head, headOf } from './common.js';

function write(vhost) {
  change({
    title: vhost ? `Change ${vhost.name}` : 'New virtual host', action: vhost ? 'Change' : 'Add', done: vhost ? 'Changed.' : 'Added.',
    fields: [
      ...(vhost ? [] : [{ name: 'name', label: 'Name', required: true }]),
      { name: 'description', label: 'Description', value: vhost?.description },
      { name: 'tags', label: 'Tags', value: (vhost?.tags ?? []).join(', ') },
      { name: 'default_queue_type', label: 'Queues are, if clients do not say', type: 'select', options: ['classic', 'quorum'], value: vhost?.default_queue_type },
    ],
    act: ({ name, tags, ...rest }) => api.put(api.path('vhosts', vhost?.name ?? name), { ...rest, tags }),
  });
}

export function vhosts({ main, signal, saw }) {
  const table = listing({
    key: 'vhosts', path: '/api/vhosts', caption: 'virtual hosts', signal, actions: [h('button.primary', { type: 'button', 'data-new': true, onclick: () => write() }, 'New virtual host')],
    columns: [
      { name: 'Virtual host', isName: true, sort: 'name', value: (vhost) => h('a', { href: to('vhost', vhost.name) }, vhost.name) },
      { name: 'Description', isName: true, value: (vhost) => vhost.description },
      { name: 'Tags', value: (vhost) => h('span.badges', {}, (vhost.tags ?? []).map((tag) => badge(tag))) },
      { name: 'Ready', number: true, sort: 'messages_ready', value: (vhost) => count(vhost.messages_ready ?? 0) },
      { name: 'Unacked', number: true, sort: 'messages_unacknowledged', value: (vhost) => count(vhost.messages_unacknowledged ?? 0) },
    ],
  });
  fill(main, head('Virtual hosts'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

export function vhost({ main, parts, signal, saw }) {
  const [name] = parts;
  const about = h('section.card');
  const permissions = h('div');
  let shown;
  fill(main, headOf(name, 'vhosts', 'Virtual hosts', action('Change', () => write(shown)),
    action('Delete', () => destroy({ title: `Delete ${name}?`, text: 'All its queues, exchanges and messages are gone after this, and its connections are closed.', path: () => api.path('vhosts', name), done: `${name} is gone.`, leaveTo: to('vhosts') }), 'danger')), about, permissions);
  return async () => {
    const [now, may, overview] = await Promise.all([api.get(api.path('vhosts', name), {}, signal), api.get(`${api.path('vhosts', name)}/permissions`, {}, signal), api.get('/api/overview', {}, signal)]);
    saw(overview);
    shown = now;
    fill(about, h('h2', {}, 'About'), facts([['Description', now.description || '–'], ['Tags', (now.tags ?? []).join(', ') || '–'], ['Default queue type', now.default_queue_type], ['Messages', count(now.messages ?? 0)]]));
    fill(permissions, plain({
      caption: 'Who may enter', rows: may, empty: 'Nobody but administrators.',
      columns: [{ name: 'User', isName: true, value: (row) => h('a', { href: to('user', row.user) }, row.user) }, ...['configure', 'write', 'read'].map((field) => ({ name: field, isName: true, value: (row) => h('code', {}, row[field]) }))],
    }));
  };
}
