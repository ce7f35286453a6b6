// The page before there is a session.

import { login } from './api.js';
import { fill, h } from './dom.js';

/** `then(session)` is called when the broker has accepted the name and the password. */
export function loginPage(brand, then, said) {
  const problem = h('p.problem', { role: 'alert', hidden: !said }, said);
  const name = h('input', { name: 'username', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const button = h('button.primary', {}, 'Log in');
  const form = h('form', { 'aria-label': 'Log in' }, brand, h('label.field', {}, h('span', {}, 'User'), name), h('label.field', {}, h('span', {}, 'Password'), password), problem, button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    try {
      await then(await login(name.value, password.value));
    } catch (error) {
      fill(problem, error.status === 401 ? 'User and password do not fit, or this user may not log in from here.' : error.message);
      problem.hidden = false;
      password.select();
    }
    button.disabled = false;
  });
  return h('div.login', { role: 'main' }, h('h1.visually-hidden', {}, 'Log in to Stoa'), form);
}
