import '../style/golive.css';
import { validName } from './api.js';
import { icon } from './chrome.js';
import { h, setText } from './dom.js';
import { ways } from './ways.js';

/** @typedef {import('./api.js').Live} Live */

/**
 * How to go live, with the addresses of this server filled in. Returned with a
 * function that takes what the server says.
 * @param {string} [suggestion] a channel name to begin with
 */
export function instructions(suggestion = 'demo') {
  /** @type {Live | null} */
  let server = null;
  const id = `name${Math.random().toString(36).slice(2, 7)}`;
  const input = /** @type {HTMLInputElement} */ (h('input', {
    id, class: 'name-input', value: suggestion, maxlength: 64, spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off',
    'aria-describedby': `${id}-hint`, oninput: () => update(),
  }));
  const hint = h('p', { id: `${id}-hint`, class: 'hint' });
  const how = ways();
  const watch = h('a', { class: 'watch-link', href: '/' });
  const studio = h('p', { class: 'howto-studio' }, h('a', { class: 'button primary', href: '/creator' }, 'Go live from this browser'),
    h('span', null, 'with a camera or the screen, in the studio. Or with an encoder:'));

  const update = () => {
    const typed = input.value.trim().toLowerCase();
    const good = validName(typed);
    const open = server?.open !== false;
    const name = good ? typed : 'demo';
    input.setAttribute('aria-invalid', String(!good));
    setText(hint, !good ? 'Use 1 to 64 of a–z 0–9 _ - and begin with a letter or a digit.'
      : open ? 'This server is open: the name is the key, no account needed.'
        : 'Use the key that was made for this channel; keep it to yourself.');
    studio.hidden = Boolean(server) && !server?.publish?.whip;
    how.update(server, open ? name : 'YOUR_STREAM_KEY');
    watch.setAttribute('href', `/@${name}`);
    setText(watch, `${location.host}/@${name}`);
  };
  update();

  const element = h('div', { class: 'howto' },
    studio,
    h('div', { class: 'howto-name' },
      h('label', { for: id }, 'Channel name'),
      h('div', { class: 'name-row' }, h('span', { class: 'at', 'aria-hidden': 'true' }, '@'), input),
      hint),
    how.element,
    h('p', { class: 'howto-watch' }, 'Then watch at ', watch));
  return { element, update: (/** @type {Live} */ l) => { server = l; update(); } };
}

/** The same in a dialog, for the button in the header. */
export function goLiveDialog() {
  const how = instructions(document.body.dataset.channel || 'demo');
  const dialog = /** @type {HTMLDialogElement} */ (h('dialog', { class: 'dialog', 'aria-labelledby': 'golive-title' },
    h('div', { class: 'dialog-head' },
      h('h2', { id: 'golive-title' }, 'Go live'),
      h('button', { class: 'close', type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'))),
    how.element));
  dialog.addEventListener('click', (e) => {
    if (e.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  return { open: () => dialog.showModal(), update: how.update };
}
