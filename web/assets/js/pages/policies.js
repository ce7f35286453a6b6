// Policies and operator policies: what queues and exchanges are set to do by their names.

import * as api from '../api.js';
import { fill, h } from '../dom.js';
import { json } from '../dialog.js';
import { table as pairs } from '../format.js';
import { is, mayGovern } from '../rights.js';
import { plain } from '../table.js';
import { action, change, destroy, head, vhostNames } from './common.js';

const APPLY = [['all', 'queues and exchanges'], ['queues', 'queues'], ['exchanges', 'exchanges'], ['classic_queues', 'classic queues'], ['quorum_queues', 'quorum queues']];

async function write(kind, signal, policy) {
  const vhosts = await vhostNames(signal);
  change({
    title: policy ? `Change ${policy.name}` : kind === 'policies' ? 'New policy' : 'New operator policy', action: policy ? 'Change' : 'Add', done: 'It applies from now on.',
    fields: [
      ...(policy ? [] : [[{ name: 'name', label: 'Name', required: true }, { name: 'vhost', label: 'Virtual host', type: 'select', options: vhosts, value: vhosts.includes('/') ? '/' : vhosts[0] }]]),
      [{ name: 'pattern', label: 'Names that match', required: true, value: policy?.pattern ?? '^', hint: 'a regular expression', says: /regular expression|pattern|regex/i }, { name: 'apply-to', label: 'Applies to', type: 'select', options: APPLY, value: policy?.['apply-to'] ?? 'queues' }],
      { name: 'priority', label: 'Priority', type: 'number', value: policy?.priority ?? 0, hint: 'of several policies that match, the highest applies' },
      { name: 'definition', label: 'Definition', type: 'textarea', value: policy ? JSON.stringify(policy.definition, null, 2) : '', placeholder: '{"max-length": 10000, "overflow": "reject-publish"}', hint: 'JSON', says: /./ },
    ],
    act: ({ name, vhost, definition, ...rest }) => api.put(api.path(kind, policy?.vhost ?? vhost, policy?.name ?? name), { ...rest, definition: json(definition, 'definition') }),
  });
}

function table(kind, caption, rows, signal) {
  const maySet = (vhost) => (kind === 'policies' ? mayGovern(vhost) : is('administrator'));
  return plain({
    caption, rows, empty: 'None yet.', actions: kind !== 'policies' && !is('administrator') ? [] : [h('button', { type: 'button', 'data-new': kind === 'policies', onclick: () => write(kind, signal) }, kind === 'policies' ? 'New policy' : 'New operator policy')],
    columns: [
      { name: 'Name', isName: true, value: (policy) => policy.name },
      { name: 'Virtual host', value: (policy) => policy.vhost },
      { name: 'Matches', isName: true, value: (policy) => h('code', {}, policy.pattern) },
      { name: 'Applies to', value: (policy) => policy['apply-to'] },
      { name: 'Definition', isName: true, value: (policy) => pairs(policy.definition).map((line) => h('div', {}, h('code', {}, line))) },
      { name: 'Priority', number: true, value: (policy) => policy.priority },
      { name: '', value: (policy) => maySet(policy.vhost) && h('span.bar', {}, action('Change', () => write(kind, signal, policy), 'quiet'), action('Delete', () => destroy({ title: `Delete ${policy.name}?`, path: () => api.path(kind, policy.vhost, policy.name), done: `${policy.name} is gone.` }), 'quiet danger')) },
    ],
  });
}

export function policies({ main, signal, saw }) {
  const own = h('div'), operator = h('div');
  fill(main, head('Policies'), own, operator);
  return async () => {
    const [ours, operators, overview] = await Promise.all([api.get('/api/policies', {}, signal), api.get('/api/operator-policies', {}, signal), api.get('/api/overview', {}, signal)]);
    saw(overview);
    fill(own, table('policies', 'Policies', ours, signal));
    fill(operator, table('operator-policies', 'Operator policies', operators, signal));
  };
}
