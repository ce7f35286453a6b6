// Everything that is declared, as one file: to keep, to move, to take over from RabbitMQ.

import * as api from '../api.js';
import { fill, h } from '../dom.js';
import { toast } from '../toast.js';
import { head } from './common.js';

export function definitions({ main, signal, saw }) {
  const file = h('input', { type: 'file', accept: 'application/json,.json', 'aria-label': 'Definitions file' });
  const problem = h('p.problem', { role: 'alert', hidden: true });

  async function download() {
    try {
      const all = await api.get('/api/definitions');
      const url = URL.createObjectURL(new Blob([JSON.stringify(all, null, 2)], { type: 'application/json' }));
      h('a', { href: url, download: `stoa-definitions-${new Date().toISOString().slice(0, 10)}.json` }).click();
      URL.revokeObjectURL(url);
    } catch (error) {
      toast(error.message, true);
    }
  }
  async function upload() {
    problem.hidden = true;
    try {
      if (!file.files.length) throw new Error('Choose a file first.');
      await api.post('/api/definitions', JSON.parse(await file.files[0].text()));
      toast('Everything in the file is there now.');
    } catch (error) {
      fill(problem, error.message);
      problem.hidden = false;
    }
  }
  fill(main, head('Definitions'), h('div.columns', {},
    h('section.card', {}, h('h2', {}, 'Export'), h('p.soft', {}, 'Users with the hashes of their passwords, virtual hosts, permissions, policies, exchanges, queues and bindings. No messages.'), h('button', { type: 'button', onclick: download }, 'Download')),
    h('section.card', {}, h('h2', {}, 'Import'), h('p.soft', {}, 'A file exported from here or from RabbitMQ. What is there already stays; what differs from it is changed.'), h('div.bar', {}, file, h('button', { type: 'button', onclick: upload }, 'Import')), problem)));
  return async () => saw(await api.get('/api/overview', {}, signal));
}
