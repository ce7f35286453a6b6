// What the user who is logged in may do. A button for anything else is not shown; the broker decides in any case.

import * as api from './api.js';

let user = { tags: [] };
let permissions = new Map();

/** Who it is: to be called before pages are shown. */
export async function learn(session) {
  user = session;
  const own = await api.get(`${api.path('users', session.name)}/permissions`).catch(() => []);
  permissions = new Map(own.map((row) => [row.vhost, row]));
}

/** Has one of these tags. */
export const is = (...tags) => tags.some((tag) => (user.tags ?? []).includes(tag));

/** Is this user. */
export const isNamed = (name) => user.name === name;

/** May `configure`, `write` or `read` what has that name. The broker's expressions are not quite JavaScript's: in doubt the button is there. */
export function may(what, vhost, name) {
  const pattern = permissions.get(vhost)?.[what];
  if (!pattern) return false;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return true;
  }
}

/** May do that somewhere. */
export const mayAnywhere = (what) => [...permissions.values()].some((row) => row[what]);

/** May set policies and pause queues there. */
export const mayGovern = (vhost) => is('administrator') || (is('policymaker') && permissions.has(vhost));

/** May change nothing at all. */
export const onlyReads = () => !is('administrator', 'policymaker') && !['configure', 'write', 'read'].some(mayAnywhere);
