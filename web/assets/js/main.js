// The dashboard begins here: who is logged in, which page is shown, and what is around it.

import * as api from './api.js';
import { badge, fill, h, to } from './dom.js';
import { brief } from './format.js';
import { loginPage } from './login.js';
import { interval, poll } from './poll.js';
import { learn, onlyReads } from './rights.js';
import { pages } from './pages/index.js';
import { applyTheme, remember, setting } from './settings.js';
import { toast } from './toast.js';

const LOGO = '<svg viewBox="0 0 32 32" aria-hidden="true"><path fill="currentColor" d="M16 2 30 9v3H2V9zM3 27h26v3H3zM5 14h3.4v11H5zm6.2 0h3.4v11h-3.4zm6.2 0h3.4v11h-3.4zm6.2 0H27v11h-3.4z"/></svg>';
const INTERVALS = [[2000, 'every 2 s'], [5000, 'every 5 s'], [15_000, 'every 15 s'], [60_000, 'every minute'], [0, 'paused']];

applyTheme();
const root = document.getElementById('root');

export function brand() {
  const link = h('a.brand', { href: '#/' });
  // The only markup that is not built: our own drawing.
  link.innerHTML = LOGO;
  link.append(h('b', {}, 'Stoa'));
  return link;
}

let current, refreshNow = () => {};

function shell(user) {
  const main = h('main', { id: 'main', tabindex: -1 });
  const live = h('span.live', { role: 'status' }, 'connecting');
  const links = new Map();
  const counts = new Map();
  const side = h('header.side', { id: 'side' }, brand(), h('nav', { 'aria-label': 'Pages' }, pages.filter((page) => page.group).map((page, index, all) => {
    const number = h('span.count');
    counts.set(page.count, number);
    const link = h('a', { href: to(page.name) }, h('span', {}, page.title), number);
    links.set(page.name, link);
    if (page.may && !page.may(user)) return null;
    return [index === 0 || all[index - 1].group !== page.group ? h('h2', {}, page.group) : null, link];
  })), h('div.foot', {},
    h('div.row', {}, h('span', { title: (user.tags ?? []).join(', ') }, user.name, onlyReads() ? [' ', badge('read only', '', 'no permissions in any virtual host')] : null), h('button.quiet.small', { type: 'button', onclick: leave }, 'Log out')),
    h('label.row', {}, 'Theme', h('select', {
      'aria-label': 'Theme', onchange: (event) => {
        remember('theme', event.target.value);
        applyTheme();
        refreshNow();
      },
    }, ['auto', 'light', 'dark'].map((theme) => h('option', { value: theme, selected: theme === setting('theme', 'auto') }, theme)))),
    h('span', {}, h('kbd', {}, '?'), ' keyboard')));
  const refresh = h('select', {
    'aria-label': 'Refresh', onchange: (event) => {
      remember('interval', Number(event.target.value));
      refreshNow();
    },
  }, INTERVALS.map(([ms, text]) => h('option', { value: ms, selected: ms === interval() }, text)));
  const menu = h('button.menu', { type: 'button', 'aria-controls': 'side', 'aria-expanded': 'false', onclick: () => toggle() }, '☰ Menu');
  function toggle(open = !side.classList.contains('open')) {
    side.classList.toggle('open', open);
    menu.setAttribute('aria-expanded', String(open));
  }
  const node = h('span.soft.small.hide-small');
  fill(root, h('a.skip', { href: '#main', onclick: (event) => { event.preventDefault(); main.focus(); } }, 'Skip to content'),
    h('div.shell', {}, side, h('div.content', {}, h('section.top', { 'aria-label': 'State' }, menu, live, node, h('span.spacer'), h('label', {}, h('span.hide-small', {}, 'Refresh'), refresh)), main)));

  function told(error) {
    if (!error) {
      live.className = 'live';
      live.textContent = interval() ? 'live' : 'paused';
    } else {
      live.className = 'live lost';
      live.textContent = error.message;
    }
  }

  /** What the navigation counts, whichever page is shown. */
  function saw(overview) {
    for (const [name, number] of counts) {
      const value = overview.object_totals?.[name];
      number.textContent = value === undefined ? '' : brief(value);
    }
    node.textContent = `${overview.node ?? ''}${overview.stoa_version ? `, Stoa ${overview.stoa_version}` : ''}`;
  }

  function show() {
    current?.abort();
    current = new AbortController();
    toggle(false);
    const [name = '', ...parts] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
    const page = pages.find((page) => page.name === (name || 'overview')) ?? pages.find((page) => page.name === 'missing');
    for (const [of, link] of links) {
      if (of === (page.under ?? page.name)) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    document.title = `${parts.at(-1) ?? page.title} · Stoa`;
    const signal = current.signal;
    fill(main);
    main.setAttribute('aria-busy', 'true');
    const context = { main, parts, user, signal, saw };
    const ask = page.show(context);
    refreshNow = poll(ask, signal, (error) => {
      main.setAttribute('aria-busy', 'false');
      if (error?.status === 404 && parts.length) return instead('Not here', `${parts.at(-1)}: ${error.message}`);
      if (error?.status === 401) return instead('Not for this user', `${user.name} may not see this: ${error.message}.`);
      told(error);
    });
    window.scrollTo(0, 0);
    function instead(title, text) {
      current.abort();
      fill(main, h('section.card', { role: 'alert' }, h('h1', {}, title), h('p', {}, text), h('p', {}, h('a', { href: to('overview') }, 'To the overview'))));
    }
  }
  window.onhashchange = () => {
    show();
    main.focus({ preventScroll: true });
  };
  show();
}

async function leave() {
  await api.logout().catch(() => {});
  start();
}

async function enter(session) {
  await learn(session);
  shell(session);
}

function start() {
  current?.abort();
  window.onhashchange = null;
  api.session().then(enter, (error) => {
    if (error.status !== 401 && error.status !== 0) toast(error.message, true);
    fill(root, loginPage(brand(), enter, error.status === 0 ? error.message : ''));
    root.querySelector('input')?.focus();
  });
}

// Pages say so when they have changed something.
document.addEventListener('changed', () => refreshNow());

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  const press = (selector) => document.querySelector(selector)?.click();
  const keys = {
    '/': () => document.querySelector('[data-search]')?.focus(),
    '.': () => refreshNow(),
    '[': () => press('[data-previous]'),
    ']': () => press('[data-next]'),
    'n': () => press('[data-new]'),
    '?': () => toast('/ filter · n new · [ and ] pages · . refresh · o overview · q queues · x exchanges · c connections'),
    'o': () => (location.hash = '#/overview'),
    'q': () => (location.hash = '#/queues'),
    'x': () => (location.hash = '#/exchanges'),
    'c': () => (location.hash = '#/connections'),
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

api.whenLoggedOut(start);
start();
