// Users, and one of them with what it may do.

import * as api from '../api.js';
import { badge, fill, h, to } from '../dom.js';
import { listing, plain } from '../table.js';
import { action, change, destroy, head, headOf, vhostNames } from './common.js';

const TAGS = 'administrator, policymaker, monitoring, management; empty for a user that only connects';
const tags = (user) => h('span.badges', {}, (user.tags ?? []).map((tag) => badge(tag, tag === 'administrator' ? 'accent' : '')));

function write(user) {
  change({
    title: user ? `Change ${user.name}` : 'New user', action: user ? 'Change' : 'Add', done: user ? 'Changed.' : 'Added.',
    fields: [
      ...(user ? [] : [{ name: 'name', label: 'Name', required: true, autocomplete: 'off' }]),
      { name: 'password', label: 'Password', type: 'password', autocomplete: 'new-password', required: !user, hint: user ? 'empty: it stays as it is' : '' },
      { name: 'tags', label: 'Tags', value: (user?.tags ?? []).join(', '), hint: TAGS },
    ],
    async act({ name, password, tags: given }) {
      const body = { tags: given.split(',').map((tag) => tag.trim()).filter(Boolean).join(',') };
      if (password) body.password = password;
      else Object.assign(body, { password_hash: user.password_hash, hashing_algorithm: user.hashing_algorithm });
      await api.put(api.path('users', user?.name ?? name), body);
    },
  });
}

export function users({ main, signal, saw }) {
  const table = listing({
    key: 'users', path: '/api/users', caption: 'users', signal, actions: [h('button.primary', { type: 'button', 'data-new': true, onclick: () => write() }, 'New user')],
    columns: [
      { name: 'User', isName: true, sort: 'name', value: (user) => h('a', { href: to('user', user.name) }, user.name) },
      { name: 'Tags', value: tags },
      { name: 'Password', value: (user) => (user.password_hash ? 'yes' : 'none: by certificate only') },
    ],
  });
  fill(main, head('Users'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

export function user({ main, parts, signal, saw }) {
  const [name] = parts;
  const marks = h('span');
  const permissions = h('div');
  const topics = h('div');
  let shown;
  fill(main, headOf(name, 'users', 'Users', marks, action('Change', () => write(shown)),
    action('Delete', () => destroy({ title: `Delete ${name}?`, text: 'Its connections are closed.', path: () => api.path('users', name), done: `${name} is gone.`, leaveTo: to('users') }), 'danger')), permissions, topics);
  const pattern = (field) => ({ name: field, isName: true, value: (row) => h('code', {}, row[field.toLowerCase()]) });
  return async () => {
    const [now, may, mayTopics, overview] = await Promise.all([
      api.get(api.path('users', name), {}, signal), api.get(`${api.path('users', name)}/permissions`, {}, signal),
      api.get(`${api.path('users', name)}/topic-permissions`, {}, signal).catch(() => []), api.get('/api/overview', {}, signal),
    ]);
    saw(overview);
    shown = now;
    fill(marks, tags(now));
    fill(permissions, plain({
      caption: 'Permissions', rows: may, empty: 'This user may not enter any virtual host.', actions: [action('Grant', () => grant(name, signal))],
      columns: [{ name: 'Virtual host', isName: true, value: (row) => row.vhost }, pattern('Configure'), pattern('Write'), pattern('Read'),
        { name: '', value: (row) => action('Revoke', () => destroy({ title: `Revoke what ${name} may do in ${row.vhost}?`, action: 'Revoke', path: () => api.path('permissions', row.vhost, name), done: 'Revoked.' }), 'quiet danger') }],
    }));
    fill(topics, mayTopics.length ? plain({
      caption: 'Topic permissions', rows: mayTopics,
      columns: [{ name: 'Virtual host', isName: true, value: (row) => row.vhost }, { name: 'Exchange', isName: true, value: (row) => row.exchange }, pattern('Write'), pattern('Read')],
    }) : null);
  };
}

async function grant(name, signal) {
  const vhosts = await vhostNames(signal);
  change({
    title: `What ${name} may do`, action: 'Grant', done: 'Granted.', text: 'Regular expressions on the names of queues and exchanges. Empty: nothing.',
    fields: [
      { name: 'vhost', label: 'Virtual host', type: 'select', options: vhosts },
      [...['configure', 'write', 'read'].map((name) => ({ name, label: name[0].toUpperCase() + name.slice(1), value: '.*' }))],
    ],
    act: ({ vhost, ...patterns }) => api.put(api.path('permissions', vhost, name), patterns),
  });
}
