// Short notices in a corner: what has been done, or why it has not.

import { h } from './dom.js';

const SHOWN_MS = 5000;

export function toast(text, bad = false) {
  const place = document.getElementById('toasts');
  const notice = h('div.toast', { class: bad ? 'bad' : false, role: bad ? 'alert' : 'status' }, text);
  place.append(notice);
  setTimeout(() => notice.remove(), bad ? 2 * SHOWN_MS : SHOWN_MS);
}
