// Questions to the user: forms in a dialog, and "are you sure".

import { fill, h } from './dom.js';
import { toast } from './toast.js';

let names = 0;

/** An input with its label: `{name, label, type, value, options, hint, required, placeholder}`. */
function field(spec) {
  const id = `field-${names++}`;
  const common = { id, name: spec.name, required: spec.required, placeholder: spec.placeholder, 'aria-describedby': spec.hint ? `${id}-hint` : false };
  let input;
  if (spec.type === 'select') {
    input = h('select', common, spec.options.map((option) => {
      const [value, text] = Array.isArray(option) ? option : [option, option];
      return h('option', { value, selected: value === spec.value }, text);
    }));
  } else if (spec.type === 'textarea') {
    input = h('textarea', { ...common, spellcheck: 'false' }, spec.value ?? '');
  } else if (spec.type === 'checkbox') {
    return h('div.field.inline', {}, h('input', { ...common, type: 'checkbox', checked: !!spec.value }), h('label', { for: id }, spec.label),
      spec.hint ? h('small', { id: `${id}-hint` }, spec.hint) : null);
  } else {
    input = h('input', { ...common, type: spec.type ?? 'text', value: spec.value ?? '', min: spec.min, max: spec.max, autocomplete: spec.autocomplete ?? 'off', list: spec.list });
  }
  return h('div.field', {}, h('label', { for: id }, spec.label), input, spec.hint ? h('small', { id: `${id}-hint` }, spec.hint) : null);
}

function valuesOf(form, fields) {
  const values = {};
  for (const { name, type } of fields.flat()) {
    const input = form.elements[name];
    values[name] = type === 'checkbox' ? input.checked : type === 'number' ? (input.value === '' ? undefined : Number(input.value)) : input.value;
  }
  return values;
}

/**
 * Asks for the fields (a row of several is an array) and calls `act(values)`; the dialog stays open and says why if that fails. Resolves to true when it was
 * done, to false when the user thought better of it.
 */
export function ask({ title, text, fields = [], action, danger = false, act, done }) {
  return new Promise((resolve) => {
    const problem = h('p.problem', { role: 'alert', hidden: true });
    const submit = h('button.primary', { class: danger ? 'danger' : false }, action);
    const form = h('form', { method: 'dialog', novalidate: false },
      h('h2', {}, title),
      text ? h('p.soft', {}, text) : null,
      fields.map((spec) => (Array.isArray(spec) ? h('div.fields', {}, spec.map(field)) : field(spec))),
      problem,
      h('div.bar', {}, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), submit));
    const dialog = h('dialog', { 'aria-label': title }, form);
    let finished = false;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      submit.disabled = true;
      problem.hidden = true;
      try {
        const answer = await act(valuesOf(form, fields));
        finished = true;
        dialog.close();
        if (done) toast(typeof done === 'function' ? done(answer) : done);
      } catch (error) {
        fill(problem, error.message);
        problem.hidden = false;
      }
      submit.disabled = false;
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(finished);
    });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector('input, select, textarea') ?? submit).focus();
  });
}

/** What somebody typed as JSON, or an error that says where it is wrong. */
export function json(text, name) {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${name}: not valid JSON (${error.message})`);
  }
}
