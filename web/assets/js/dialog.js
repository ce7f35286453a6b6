// Questions to the user: forms in a dialog, and "are you sure".

import { fill, h } from './dom.js';
import { toast } from './toast.js';

let names = 0;

/**
 * An input with its label: `{name, label, type, value, options, hint, required, placeholder, says}`. `says` is an expression on what the broker answers: a
 * refusal that fits is shown at this field.
 */
function field(spec) {
  const id = `field-${names++}`;
  const common = { id, name: spec.name, required: spec.required, placeholder: spec.placeholder, 'aria-describedby': `${id}-hint ${id}-problem` };
  const hint = spec.hint ? h('small', { id: `${id}-hint` }, spec.hint) : null;
  const problem = h('small.problem', { id: `${id}-problem`, role: 'alert', hidden: true });
  let input;
  if (spec.type === 'select') {
    input = h('select', common, spec.options.map((option) => {
      const [value, text] = Array.isArray(option) ? option : [option, option];
      return h('option', { value, selected: value === spec.value }, text);
    }));
  } else if (spec.type === 'textarea') {
    input = h('textarea', { ...common, spellcheck: 'false' }, spec.value ?? '');
  } else if (spec.type === 'checkbox') {
    return h('div.field.inline', {}, h('input', { ...common, type: 'checkbox', checked: !!spec.value }), h('label', { for: id }, spec.label), hint, problem);
  } else {
    input = h('input', { ...common, type: spec.type ?? 'text', value: spec.value ?? '', min: spec.min, max: spec.max, autocomplete: spec.autocomplete ?? 'off', list: spec.list });
  }
  return h('div.field', {}, h('label', { for: id }, spec.label), input, hint, problem);
}

/** Something is wrong with what stands in a field. */
export class Wrong extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** Shows an error at its field, or at the first whose `says` fits; false if there is none. */
function showAtField(form, fields, error) {
  const spec = fields.flat().find(({ name, says }) => name === error.field || says?.test(error.message));
  const input = spec && form.elements.namedItem(spec.name);
  if (!input) return false;
  const problem = form.querySelector(`[id="${input.id}-problem"]`);
  fill(problem, error.message);
  problem.hidden = false;
  input.setAttribute('aria-invalid', 'true');
  input.focus();
  return true;
}

function clearProblems(form) {
  for (const problem of form.querySelectorAll('.problem')) problem.hidden = true;
  for (const input of form.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
}

function valuesOf(form, fields) {
  const values = {};
  for (const { name, type } of fields.flat()) {
    // A field may be called as a property of the collection is: length, item.
    const input = form.elements.namedItem(name);
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
      clearProblems(form);
      try {
        const answer = await act(valuesOf(form, fields));
        finished = true;
        dialog.close();
        if (done) toast(typeof done === 'function' ? done(answer) : done);
      } catch (error) {
        if (!showAtField(form, fields, error)) {
          fill(problem, error.message);
          problem.hidden = false;
        }
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

/** What somebody typed as a JSON object into that field, or an error that says where it is wrong. */
export function json(text, field) {
  if (text.trim() === '') return {};
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    throw new Wrong(field, `not valid JSON: ${error.message}`);
  }
  throw new Wrong(field, 'not a JSON object: {"name": value}');
}
