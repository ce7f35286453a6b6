// How much virtual hosts and users may use.

import * as api from '../api.js';
import { fill, h } from '../dom.js';
import { plain } from '../table.js';
import { action, change, destroy, head } from './common.js';

const VHOST = ['max-connections', 'max-queues', 'max-publish-rate', 'max-publish-bytes-rate'];
const USER = ['max-connections', 'max-channels', 'max-publish-rate', 'max-publish-bytes-rate'];

function set(kind, names, label) {
  change({
    title: `Limit a ${label}`, action: 'Set', done: 'It holds from now on.',
    fields: [{ name: 'of', label, required: true }, [{ name: 'name', label: 'Limit', type: 'select', options: names }, { name: 'value', label: 'At most', type: 'number', required: true, hint: '-1: no limit' }]],
    act: ({ of, name, value }) => api.put(api.path(kind, of, name), { value }),
  });
}

function table(kind, caption, key, names, rows) {
  const flat = rows.flatMap((row) => Object.entries(row.value).map(([name, value]) => ({ of: row[key], name, value })));
  return plain({
    caption, rows: flat, empty: 'No limits.', actions: [action('Set a limit', () => set(kind, names, key === 'vhost' ? 'virtual host' : 'user'))],
    columns: [
      { name: key === 'vhost' ? 'Virtual host' : 'User', isName: true, value: (row) => row.of },
      { name: 'Limit', value: (row) => h('code', {}, row.name) },
      { name: 'At most', number: true, value: (row) => String(row.value) },
      { name: '', value: (row) => action('Clear', () => destroy({ title: `Clear ${row.name} of ${row.of}?`, action: 'Clear', path: () => api.path(kind, row.of, row.name), done: 'Cleared.' }), 'quiet danger') },
    ],
  });
}

export function limits({ main, signal, saw }) {
  const vhosts = h('div'), users = h('div');
  fill(main, head('Limits'), vhosts, users);
  return async () => {
    const [ofVhosts, ofUsers, overview] = await Promise.all([api.get('/api/vhost-limits', {}, signal), api.get('/api/user-limits', {}, signal), api.get('/api/overview', {}, signal)]);
    saw(overview);
    fill(vhosts, table('vhost-limits', 'Virtual hosts', 'vhost', VHOST, ofVhosts));
    fill(users, table('user-limits', 'Users', 'user', USER, ofUsers));
  };
}
