import { byId, h } from '../lib/dom.js';
import { bitrate, pictureName } from '../lib/format.js';

const chosen = 'sluice-quality';

/**
 * @typedef {{id: number, width: number, height: number, frameRate: number, bitrate: number}} Rendition
 */

/**
 * The renditions from the best down, each with a name of its own: "720p", or
 * "720p · 2.8 Mbit/s" where two have the same picture.
 * @param {Rendition[]} renditions
 * @returns {(Rendition & {name: string})[]}
 */
export function named(renditions) {
  const sorted = [...renditions].sort((a, b) => b.height - a.height || b.frameRate - a.frameRate || b.bitrate - a.bitrate);
  const count = (/** @type {string} */ name) => sorted.filter((r) => pictureName(r) === name).length;
  return sorted.map((r) => {
    const name = pictureName(r) || bitrate(r.bitrate);
    return { ...r, name: count(name) > 1 ? `${name} · ${bitrate(r.bitrate)}` : name };
  });
}

/**
 * The rendition that a viewer who once chose a name gets: that one, or else the
 * best that has no more lines; null is automatic.
 * @param {(Rendition & {name: string})[]} all
 * @param {string} wish
 */
export function match(all, wish) {
  if (!wish) return null;
  const lines = parseInt(wish, 10);
  return all.find((r) => r.name === wish) ?? all.find((r) => Math.min(r.width, r.height) <= lines) ?? null;
}

/**
 * The choice of rendition. It shows itself only where there is one.
 * @param {import('./session.js').Session} session
 */
export function qualityMenu(session) {
  const select = /** @type {HTMLSelectElement} */ (byId('quality'));
  session.quality = localStorage.getItem(chosen) ?? '';
  let shown = '';
  select.addEventListener('change', () => {
    localStorage.setItem(chosen, select.value);
    session.choose(select.value);
    show();
  });
  const show = () => {
    const all = named(session.engine?.renditions ?? []);
    const now = all.find((r) => r.id === session.engine?.rendition);
    const auto = session.quality || !now ? 'Auto' : `Auto · ${now.name}`;
    const names = [auto, ...all.map((r) => r.name)];
    select.hidden = all.length < 2;
    if (names.join() !== shown) {
      shown = names.join();
      select.replaceChildren(...names.map((name, i) => h('option', { value: i ? name : '' }, name)));
    }
    select.value = match(all, session.quality)?.name ?? '';
  };
  session.addEventListener('state', show);
  setInterval(show, 500);
}
