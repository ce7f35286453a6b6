// Tables of what the API lists. The broker sorts, filters and pages; the browser holds one page, so fifty thousand queues cost as much as fifty.

import { get } from './api.js';
import { fill, h } from './dom.js';
import { count } from './format.js';
import { remember, setting } from './settings.js';

const SIZES = [25, 50, 100, 250];

/**
 * A table of `path`. Columns: `{name, value(row), sort?, number?, small?}`; `sort` is the API's field. `search: false` leaves the filter out. Returns
 * `{element, refresh}`; `refresh` asks the broker.
 */
export function listing({ path, columns, caption, empty = 'Nothing here yet.', search = true, actions = [], sort, descending = false, parameters = {}, signal, key }) {
  const state = { page: 1, size: setting('page', 50), name: '', regex: false, sort, descending, ...restored(key) };
  const body = h('tbody');
  const head = h('tr');
  const below = h('div.bar.below', { role: 'status' });
  let timer, wanted = 0;

  const filter = h('input', {
    type: 'search', placeholder: 'Filter by name', 'aria-label': `Filter ${caption} by name`, value: state.name, 'data-search': true,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        state.name = filter.value;
        state.page = 1;
        refresh().catch(() => {});
      }, 200);
    },
  });
  const regex = h('label.check', {}, h('input', {
    type: 'checkbox', checked: state.regex, onchange: (event) => {
      state.regex = event.target.checked;
      refresh().catch(() => {});
    },
  }), 'regex');
  const element = h('section.table', { 'aria-label': caption },
    search || actions.length ? h('div.bar', {}, search ? [filter, regex] : null, h('span.spacer'), actions) : null,
    scrolling(h('table', {}, h('caption.visually-hidden', {}, caption), h('thead', {}, head), body)), below);

  function drawHead() {
    fill(head, columns.map((column) => {
      const sorted = column.sort && column.sort === state.sort;
      if (column.name === '') return h('td');
      const direction = sorted ? (state.descending ? 'descending' : 'ascending') : column.sort ? 'none' : false;
      return h('th', { scope: 'col', class: classes(column), 'aria-sort': direction }, column.sort ? h('button', {
        type: 'button', onclick: () => {
          state.descending = sorted ? !state.descending : !!column.number;
          state.sort = column.sort;
          state.page = 1;
          drawHead();
          refresh().catch(() => {});
        },
      }, column.name) : column.name);
    }));
  }

  function drawBelow(answer) {
    const pages = Math.max(1, answer.page_count);
    const go = (page) => () => {
      state.page = page;
      refresh().catch(() => {});
    };
    const from = answer.items.length ? (answer.page - 1) * answer.page_size + 1 : 0;
    fill(below,
      `${count(from)} to ${count(from + answer.items.length - (from ? 1 : 0))} of ${count(answer.filtered_count)}`,
      answer.filtered_count < answer.total_count ? ` (${count(answer.total_count)} in all)` : '',
      h('span.spacer'),
      h('label.check.hide-small', {}, 'rows', h('select', {
        onchange: (event) => {
          state.size = Number(event.target.value);
          remember('page', state.size);
          state.page = 1;
          refresh().catch(() => {});
        },
      }, SIZES.map((size) => h('option', { value: size, selected: size === state.size }, size)))),
      h('button.quiet', { type: 'button', disabled: answer.page <= 1, onclick: go(answer.page - 1), 'data-previous': true }, '‹ previous'),
      `page ${count(answer.page)} of ${count(pages)}`,
      h('button.quiet', { type: 'button', disabled: answer.page >= pages, onclick: go(answer.page + 1), 'data-next': true }, 'next ›'));
  }

  async function refresh() {
    const turn = ++wanted;
    keep(key, state);
    const answer = await get(path, {
      pagination: true, page: state.page, page_size: state.size, name: state.name, use_regex: state.regex || undefined, sort: state.sort,
      sort_reverse: state.descending || undefined, ...parameters,
    }, signal).catch((error) => {
      // The page may be gone since: the list has become shorter.
      if (error.status === 400 && state.page > 1) {
        state.page = 1;
        return refresh();
      }
      throw error;
    });
    if (!answer || turn !== wanted) return;
    fill(body, answer.items.length
      ? answer.items.map((row) => h('tr', {}, columns.map((column) => h('td', { class: classes(column) }, column.value(row)))))
      : h('tr', {}, h('td.empty', { colspan: columns.length }, state.name ? `No name contains “${state.name}”.` : empty)));
    drawBelow(answer);
  }

  drawHead();
  return { element, refresh };
}

const classes = (column) => [column.number && 'number', column.small === false && 'hide-small', column.isName && 'name', column.name === '' && 'acts'].filter(Boolean).join(' ') || false;

/** What is too wide is scrolled; by keyboard too, if nothing in it takes the focus. */
export function scrolling(table) {
  return h('div.scroll', { tabindex: table.querySelector('a[href], button') ? false : 0 }, table);
}

/** A table of rows that are all here. */
export function plain({ caption, columns, rows, empty = 'Nothing here.', actions = [] }) {
  return h('section.table', { 'aria-label': caption },
    h('div.bar', {}, h('h2', {}, caption), h('span.spacer'), actions),
    scrolling(h('table', {}, h('caption.visually-hidden', {}, caption),
      h('thead', {}, h('tr', {}, columns.map((column) => (column.name === '' ? h('td') : h('th', { scope: 'col', class: classes(column) }, column.name))))),
      h('tbody', {}, rows.length
        ? rows.map((row) => h('tr', {}, columns.map((column) => h('td', { class: classes(column) }, column.value(row)))))
        : h('tr', {}, h('td.empty', { colspan: columns.length }, empty))))));
}

// Where somebody was in a list is kept while the tab is open: going back finds it again.
const places = new Map();
const restored = (key) => places.get(key) ?? {};
function keep(key, { page, name, regex, sort, descending }) {
  if (key) places.set(key, { page, name, regex, sort, descending });
}
