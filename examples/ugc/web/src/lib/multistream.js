import { poll } from './api.js';
import { byId, h, setText } from './dom.js';
import { rates } from './format.js';
import { add, describe, list, remove, summary, withKey } from './targets.js';

/** @typedef {import('./targets.js').Target} Target */

const period = 1000;
const opened = 'sluice.multistream';
const known = [
  ['rtmps://a.rtmps.youtube.com/live2', 'YouTube'], ['rtmp://live.twitch.tv/app', 'Twitch'], ['rtmps://live-api-s.facebook.com:443/rtmp', 'Facebook'],
];

/**
 * The panel of push targets. It asks the server while it is open; the function
 * that is returned says whose targets, '' being nobody's.
 */
export function multistream() {
  const panel = /** @type {HTMLDetailsElement} */ (byId('multistream'));
  let stream = '';
  let stop = () => {};
  let turn = 0; // what an older one asked for is stale
  const note = byId('multistream-note');
  const trouble = h('p', { class: 'notice warn', role: 'status', hidden: true });
  const empty = h('p', { class: 'targets-empty', hidden: true }, 'No targets yet. Add the server and the key that another platform gives you: the broadcast goes there as well, as long as it lasts.');
  const rows = targetRows((name) => remove(stream, name).then(refresh));
  const form = targetForm((target) => add(stream, target).then(refresh));
  const body = h('div', { class: 'targets' }, trouble, empty, rows.element, form.element);
  panel.append(body);

  const say = (/** @type {string} */ text) => {
    trouble.hidden = !text;
    setText(trouble, text);
  };
  async function work(/** @type {AbortSignal} */ signal) {
    const asked = turn;
    try {
      const all = await list(stream, signal);
      if (asked !== turn) return;
      say('');
      rows.update(all);
      setText(note, summary(all));
      empty.hidden = all.length > 0;
      form.element.hidden = rows.element.hidden = false;
    } catch (e) {
      if (asked !== turn) return;
      const status = /** @type {any} */ (e).status;
      if (status === 403) {
        form.element.hidden = rows.element.hidden = empty.hidden = true;
        stop(); // it will not change its mind
        say(`This works only in a browser on the server itself. The server says: “${/** @type {Error} */ (e).message}”`);
        return;
      }
      say(status ? /** @type {Error} */ (e).message : 'The server does not answer, trying again…');
    }
  }
  function refresh() {
    stop();
    turn++;
    if (panel.open && stream) stop = poll(work, period);
  }
  function show() {
    rows.update([]);
    setText(note, '');
    empty.hidden = true;
    form.element.hidden = rows.element.hidden = !stream;
    say(stream ? '' : 'Choose a channel name above first.');
    refresh();
  }
  panel.open = localStorage.getItem(opened) === 'yes';
  panel.addEventListener('toggle', () => {
    localStorage.setItem(opened, panel.open ? 'yes' : 'no');
    refresh();
  });
  show();
  return (/** @type {string} */ name) => {
    if (name === stream) return;
    stream = name;
    show();
  };
}

/** The targets, one row each, which stays as long as its target. @param {(name: string) => Promise<void>} onRemove */
function targetRows(onRemove) {
  const element = h('ul', { class: 'target-list' });
  /** @type {Map<string, ReturnType<typeof targetRow>>} */
  const shown = new Map();
  const rate = rates();
  return {
    element,
    update(/** @type {Target[]} */ all) {
      for (const [name, row] of shown) {
        if (all.some((t) => t.name === name)) continue;
        row.element.remove();
        shown.delete(name);
      }
      all.forEach((t, i) => {
        let row = shown.get(t.name);
        if (!row) shown.set(t.name, (row = targetRow(t.name, onRemove)));
        row.update(t, rate(t.name, t.bytes, Date.now()));
        if (element.children[i] !== row.element) element.insertBefore(row.element, element.children[i] ?? null);
      });
    },
  };
}

/** @param {string} name @param {(name: string) => Promise<void>} onRemove */
function targetRow(name, onRemove) {
  const badge = h('span', { class: 'badge off' });
  const url = h('code', { class: 'target-url' });
  const figures = h('p', { class: 'target-figures' });
  const error = h('p', { class: 'target-error', role: 'status' });
  const element = h('li', { class: 'target', 'data-target': name },
    h('div', { class: 'target-head' }, h('span', { class: 'target-name' }, name), badge), url, figures, error,
    removeButton(name, async () => {
      error.textContent = '';
      await onRemove(name).catch((e) => setText(error, e.status ? e.message : 'The server does not answer: it was not removed.'));
    }));
  return {
    element,
    update(/** @type {Target} */ t, /** @type {number | null} */ bps) {
      const said = describe(t, bps, Date.now());
      element.dataset.state = t.state;
      setText(badge, said.word);
      badge.className = `badge ${said.tone}`;
      setText(url, t.url);
      setText(figures, said.figures.join(' · '));
      setText(error, said.error);
      error.hidden = !said.error;
    },
  };
}

/** A button that wants to be pressed twice: the key would have to be found again. @param {string} name @param {() => Promise<void>} work */
function removeButton(name, work) {
  const button = /** @type {HTMLButtonElement} */ (h('button', { class: 'copy remove', type: 'button' }, 'Remove'));
  const sure = (/** @type {boolean} */ on) => {
    button.classList.toggle('sure', on);
    setText(button, on ? 'Really remove?' : 'Remove');
    button.setAttribute('aria-label', on ? `Really remove ${name}? Press again` : `Remove ${name}`);
  };
  sure(false);
  button.addEventListener('blur', () => sure(false));
  button.addEventListener('keydown', (e) => e.key === 'Escape' && sure(false));
  button.addEventListener('click', async () => {
    if (!button.classList.contains('sure')) return sure(true);
    button.disabled = true;
    setText(button, 'Removing…');
    await work();
    button.disabled = false;
    sure(false);
  });
  return button;
}

/** @param {(target: {url: string, name?: string, token?: string}) => Promise<void>} onAdd */
function targetForm(onAdd) {
  const url = formField('url', 'Server', { placeholder: 'rtmps://…', inputmode: 'url', list: 'known-servers' },
    'RTMP, RTMPS, SRT, WHIP, or another Sluice (m4s)');
  const key = formField('token', 'Stream key', { type: 'password', placeholder: 'if it is not in the address' }, 'Sent to the target only; never shown again.');
  const name = formField('name', 'Name', { placeholder: 'as you like', maxlength: 64 }, 'Without one it is called after its server.');
  const button = /** @type {HTMLButtonElement} */ (h('button', { class: 'button primary', type: 'submit' }, 'Add target'));
  const failure = h('p', { class: 'target-error', role: 'alert', hidden: true });
  const fields = { url, token: key, name };
  const complain = (/** @type {string} */ at, /** @type {string} */ text) => {
    for (const [n, f] of Object.entries(fields)) f.complain(n === at ? text : '');
    failure.hidden = at in fields || !text;
    setText(failure, failure.hidden ? '' : text);
  };
  const element = h('form', { class: 'target-form', novalidate: true, 'aria-label': 'Add a target' },
    h('datalist', { id: 'known-servers' }, ...known.map(([value, label]) => h('option', { value }, label))),
    url.element, key.element, name.element, h('div', { class: 'target-submit' }, button, failure));
  element.addEventListener('submit', async (e) => {
    e.preventDefault();
    complain('', '');
    button.disabled = true;
    try {
      await onAdd({ ...withKey(url.input.value.trim(), key.input.value.trim()), name: name.input.value.trim() || undefined });
      for (const f of Object.values(fields)) f.input.value = '';
      url.input.focus();
    } catch (error) {
      const { status, field, message } = /** @type {any} */ (error);
      complain(status ? field : '', status ? message : 'The server does not answer: the target was not added.');
      fields[/** @type {keyof typeof fields} */ (field)]?.input.focus();
    } finally {
      button.disabled = false;
    }
  });
  return { element };
}

/** @param {string} name @param {string} label @param {Record<string, any>} attrs @param {string} text */
function formField(name, label, attrs, text) {
  const id = `target-${name}`;
  const input = /** @type {HTMLInputElement} */ (h('input', {
    id, class: 'text-input', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', 'aria-describedby': `${id}-hint`, ...attrs,
  }));
  const hint = h('small', { id: `${id}-hint` }, text);
  const complain = (/** @type {string} */ wrong) => {
    input.setAttribute('aria-invalid', String(Boolean(wrong)));
    setText(hint, wrong || text);
  };
  input.addEventListener('input', () => complain(''));
  return { input, complain, element: h('div', { class: 'setting' }, h('label', { for: id }, label), input, hint) };
}
