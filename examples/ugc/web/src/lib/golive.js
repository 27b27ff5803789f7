import '../style/golive.css';
import { publishSRT, publishURL, validName } from './api.js';
import { copyButton, icon } from './chrome.js';
import { h, setText } from './dom.js';

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
  const key = field('Stream key');
  const url = field('Server');
  const srt = field('Server, over SRT');
  const command = field('Command', true);
  const watch = h('a', { class: 'watch-link', href: '/' });

  const update = () => {
    const typed = input.value.trim().toLowerCase();
    const good = validName(typed);
    const open = server?.open !== false;
    const name = good ? typed : 'demo';
    input.setAttribute('aria-invalid', String(!good));
    setText(hint, !good ? 'Use 1 to 64 of a–z 0–9 _ - and begin with a letter or a digit.'
      : open ? 'This server is open: the name is the key, no account needed.'
        : 'Use the key that was made for this channel; keep it to yourself.');
    url.set(publishURL(server));
    key.set(open ? name : 'YOUR_STREAM_KEY');
    const overSRT = publishSRT(server, open ? name : 'YOUR_STREAM_KEY');
    srt.element.hidden = !overSRT;
    srt.set(overSRT);
    command.set(`ffmpeg -re -i video.mp4 -c:v libx264 -preset veryfast -tune zerolatency -g 60 -c:a aac -f flv ${publishURL(server)}/${open ? name : 'YOUR_STREAM_KEY'}`);
    watch.setAttribute('href', `/@${name}`);
    setText(watch, `${location.host}/@${name}`);
  };
  update();

  const element = h('div', { class: 'howto' },
    h('div', { class: 'howto-name' },
      h('label', { for: id }, 'Channel name'),
      h('div', { class: 'name-row' }, h('span', { class: 'at', 'aria-hidden': 'true' }, '@'), input),
      hint),
    h('div', { class: 'howto-ways' },
      h('section', { class: 'way' },
        h('h3', null, 'OBS Studio'),
        h('p', null, 'Settings → Stream → Service “Custom…”, then Start Streaming.'),
        url.element, key.element, srt.element,
        h('p', { class: 'tip' }, 'For the shortest delay: keyframe interval 2 s, tune “zerolatency”.')),
      h('section', { class: 'way' },
        h('h3', null, 'ffmpeg'),
        h('p', null, 'Sends a file as if it were live:'),
        command.element)),
    h('p', { class: 'howto-watch' }, 'No encoder? ', h('a', { href: '/creator' }, 'Go live from this browser'), '. Then watch at ', watch));
  return { element, update: (/** @type {Live} */ l) => { server = l; update(); } };
}

/** A labelled value with a copy button. @param {string} label @param {boolean} [block] */
function field(label, block) {
  const value = h('code', { class: block ? 'value block' : 'value', tabindex: '0' });
  return {
    element: h('div', { class: block ? 'field tall' : 'field' },
      h('span', { class: 'field-label' }, label), value, copyButton(() => value.textContent ?? '', label.toLowerCase())),
    set: (/** @type {string} */ text) => setText(value, text),
  };
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
