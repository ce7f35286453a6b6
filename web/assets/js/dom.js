// Building elements. Text is always text: nothing that comes from the broker is ever parsed as HTML.

/** An element. Attributes that are functions are listeners (`onclick`); `false`, `null` and `undefined` leave an attribute out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    else if (key === 'class') element.className += ` ${value}`;
    else if (key in element && (key === 'value' || key === 'checked' || key === 'selected' || key === 'disabled')) element[key] = value;
    else element.setAttribute(key, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts children in place of what an element had. If the focus was on one of them, it is on the one that has its place now. */
export function fill(element, ...children) {
  const at = targets(element).indexOf(document.activeElement);
  element.replaceChildren();
  append(element, children);
  if (at >= 0) targets(element)[at]?.focus({ preventScroll: true });
  return element;
}

const targets = (element) => [...element.querySelectorAll('a[href], button, input, select, textarea, [tabindex]')];

/** A link to a page of the dashboard, its parts percent-encoded. */
export function to(...parts) {
  return '#/' + parts.map(encodeURIComponent).join('/');
}

/** A small coloured word. */
export function badge(text, kind = '', title) {
  return h('span.badge', { class: kind, title }, text);
}

/** A list of names and values. */
export function facts(pairs) {
  return h('dl.facts', {}, pairs.filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

/** Large numbers with their names: `[name, value, kind?, small?]`. */
export function figures(list) {
  return h('dl.figures', {}, list.map(([name, value, kind, small]) =>
    h('div', { class: kind || false }, h('dt', {}, name), h('dd', {}, value, small ? h('small', {}, ' ', small) : null))));
}
