import '../style/base.css';
import { byId, h, s } from './dom.js';

/** The mark: water that steps down from one level to the next. */
export function mark() {
  return s('svg', { viewBox: '0 0 32 32', class: 'mark', 'aria-hidden': 'true' },
    s('path', { class: 'mark-flow', d: 'M4 8h7a5 5 0 0 1 5 5v6a5 5 0 0 0 5 5h7' }),
    s('path', { class: 'mark-high', d: 'M23 8h5' }),
    s('path', { class: 'mark-low', d: 'M4 24h5' }));
}

/** The name, drawn, so that it looks the same whatever fonts there are. */
export function wordmark() {
  return s('svg', { viewBox: '0 0 77 28', class: 'wordmark', role: 'img', 'aria-label': 'Sluice' },
    s('path', { d: 'M11 12.6C10.1 10.9 8.5 10 6.5 10 4.1 10 2.5 11.3 2.5 13.300c0 4.4 8.7 2.6 8.7 7.2 0 2.200-1.8 3.500-4.4 3.500-2.3 0-4-1-5-2.8' }),
    s('path', { d: 'M17.5 4v20' }),
    s('path', { d: 'M23.5 10v8.500a5.5 5.5 0 0 0 11 0V10M34.5 18v6' }),
    s('path', { d: 'M41 10.500V24' }),
    s('circle', { class: 'wordmark-dot', cx: 41, cy: 4.6, r: 2.3 }),
    s('path', { d: 'M57.2 12.050a7 7 0 1 0 0 9.9' }),
    s('path', { d: 'M61.8 17h13.700a6.9 7 0 1 0-2.2 5.1' }));
}

/**
 * Fills the header and the footer that every page has.
 * @param {() => void} onGoLive
 */
export function frame(onGoLive) {
  byId('top').append(
    h('a', { class: 'brand', href: '/', 'aria-label': 'Sluice, to the live channels' }, mark(), wordmark()),
    h('nav', { class: 'top-nav', 'aria-label': 'Main' },
      h('a', { href: '/', 'aria-current': location.pathname === '/' ? 'page' : null }, 'Channels'),
      h('a', { href: '/creator', 'aria-current': location.pathname === '/creator' ? 'page' : null }, 'Studio')),
    h('button', { class: 'button primary', type: 'button', onclick: onGoLive },
      h('span', { class: 'dot', 'aria-hidden': 'true' }), 'Go live'),
  );
  byId('foot').append(
    h('span', null, 'Sluice'),
    h('span', { class: 'foot-note' }, 'Live video from camera to screen in about a second.'),
  );
}

/**
 * A button that copies what text() returns and says so.
 * @param {() => string} text
 * @param {string} label what is copied, for screen readers
 * @param {string} [word] what stands on the button
 */
export function copyButton(text, label, word = 'Copy') {
  const caption = h('span', null, word);
  const button = h('button', { class: 'copy', type: 'button', 'aria-label': `Copy ${label}` }, icon('copy'), caption);
  let timer = 0;
  button.addEventListener('click', async () => {
    const done = await copy(text());
    caption.textContent = done ? 'Copied' : 'Press Ctrl+C';
    button.classList.toggle('done', done);
    clearTimeout(timer);
    timer = setTimeout(() => {
      caption.textContent = word;
      button.classList.remove('done');
    }, 1800);
  });
  return button;
}

/**
 * The clipboard interface exists on secure pages only; a LAN address without
 * TLS is common when trying out, so the old way is kept.
 * @param {string} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', { class: 'offscreen', readonly: true, 'aria-hidden': 'true' });
    /** @type {HTMLTextAreaElement} */ (area).value = text;
    const host = document.querySelector('dialog[open]') ?? document.body;
    host.append(area);
    /** @type {HTMLTextAreaElement} */ (area).select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** @type {Record<string, string>} */
const icons = {
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  eye: 'M2 12s3.600-6.5 10-6.500S22 12 22 12s-3.6 6.500-10 6.500S2 12 2 12ZM12 14.800a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.600Z',
  close: 'M5 5l14 14M19 5 5 19',
  link: 'M10 14a4 4 0 0 0 5.7 0l3.300-3.300a4 4 0 0 0-5.700-5.700L12 6.300M14 10a4 4 0 0 0-5.7 0L5 13.300A4 4 0 0 0 10.7 19L12 17.7',
};

/** @param {string} name */
export function icon(name) {
  return s('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, s('path', { d: icons[name] }));
}
