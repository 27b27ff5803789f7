import '../style/cards.css';
import { track } from './api.js';
import { cover } from './art.js';
import { icon } from './chrome.js';
import { h, setText } from './dom.js';
import { clock, codecName, count, pictureName } from './format.js';

/** @typedef {import('./api.js').Channel} Channel */

/**
 * Keeps one card per channel in a container: cards are made once and then only
 * told what changed, so that nothing flickers or loses focus.
 * @param {HTMLElement} container
 */
export function cards(container) {
  /** @type {Map<string, ReturnType<typeof card>>} */
  const shown = new Map();
  return (/** @type {Channel[]} */ channels) => {
    const names = new Set(channels.map((c) => c.name));
    for (const [name, c] of shown) {
      if (names.has(name)) continue;
      c.element.remove();
      shown.delete(name);
    }
    container.querySelectorAll('.skeleton').forEach((e) => e.remove());
    channels.forEach((channel, i) => {
      let c = shown.get(channel.name);
      if (!c) shown.set(channel.name, (c = card(channel.name)));
      c.update(channel);
      if (container.children[i] !== c.element) container.insertBefore(c.element, container.children[i] ?? null);
    });
    container.classList.toggle('single', channels.length === 1);
    container.setAttribute('aria-busy', 'false');
  };
}

/** @param {string} name */
function card(name) {
  const time = h('span', { class: 'time' });
  const viewers = h('span', null);
  const watching = h('span', { class: 'pill viewers', hidden: true }, icon('eye'), viewers);
  const facts = h('p', { class: 'facts' });
  const show = preview();
  const element = h('a', { class: 'card', href: `/@${name}` },
    h('div', { class: 'thumb' }, cover(name),
      h('span', { class: 'initial', 'aria-hidden': 'true' }, name[0]), show.element,
      h('div', { class: 'thumb-top' }, h('span', { class: 'badge' }, 'Live'), h('span', { class: 'pill' }, time)),
      h('div', { class: 'thumb-bottom' }, watching)),
    h('div', { class: 'card-text' }, h('h2', { class: 'card-name' }, name), facts));
  return {
    element,
    /** @param {Channel} c */
    update(c) {
      const age = clock(Date.now() - Date.parse(c.since));
      setText(time, age);
      show.update(c.preview);
      setText(viewers, String(c.viewers ?? 0));
      watching.hidden = !c.viewers;
      setText(facts, describe(c));
      element.setAttribute('aria-label', `${name}, live for ${age}, ${describe(c)}${c.viewers ? `, ${count(c.viewers, 'viewer', 'viewers')}` : ''}`);
    },
  };
}

const fresh = 10_000; // ms that a preview stands

/** The channel's newest picture; where there is none, what is below shows. */
function preview() {
  const element = h('img', { class: 'preview', alt: '', decoding: 'async', hidden: true });
  let loaded = 0;
  return {
    element,
    /** @param {string} [url] */
    async update(url) {
      if (!url || Date.now() - loaded < fresh || document.hidden) return;
      loaded = Date.now();
      const picture = new Image();
      picture.src = `${url}?${Math.floor(loaded / fresh)}`;
      await picture.decode().catch(() => (loaded = 0));
      element.hidden = !loaded;
      if (loaded) /** @type {HTMLImageElement} */ (element).src = picture.src;
    },
  };
}

/** "1080p60 · H.264 · AAC". @param {Channel} c */
export function describe(c) {
  const [video, audio] = [track(c, 'video'), track(c, 'audio')];
  const parts = [pictureName(video), codecName(video?.codec), codecName(audio?.codec)];
  if (!video && audio) parts.unshift('Audio only');
  return parts.filter(Boolean).join(' · ') || 'Starting…';
}
