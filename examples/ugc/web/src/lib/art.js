import { s } from './dom.js';

/** FNV-1a, for pictures that only depend on a name. @param {string} text */
export function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    h ^= text.charCodeAt(i);
    h = Math.imul(h, 0x01000193);
  }
  // FNV alone leaves names that differ in the last letter close together.
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  h ^= h >>> 12;
  return h >>> 0;
}

/**
 * Reproducible numbers in [0, 1) from a seed (mulberry32).
 * @param {number} seed
 */
export function random(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * The path of a band of water that fills the picture below it.
 * @param {() => number} next
 * @param {number} level
 */
function wave(next, level) {
  const step = 80;
  let d = `M-40 ${level + (next() - 0.5) * 26}`;
  for (let x = -40; x < 360; x += step) {
    const y = level + (next() - 0.5) * 40;
    d += ` S${x + step * 0.55} ${y - 8} ${x + step} ${y}`;
  }
  return `${d} V190 H-40 Z`;
}

let serial = 0;

/**
 * A quiet picture of layered water in colours that belong to a name.
 * @param {string} name
 */
export function cover(name) {
  const next = random(hash(name));
  const hue = Math.floor(next() * 360);
  const second = (hue + 35 + next() * 60) % 360;
  const id = `cover${serial++}`;
  const svg = s('svg', { viewBox: '0 0 320 180', preserveAspectRatio: 'xMidYMid slice', 'aria-hidden': 'true', class: 'cover' });
  svg.append(
    s('defs', null,
      s('linearGradient', { id, x1: 0, y1: 0, x2: 1, y2: 1 },
        s('stop', { offset: '0', 'stop-color': `hsl(${hue} 52% 30%)` }),
        s('stop', { offset: '1', 'stop-color': `hsl(${second} 58% 14%)` }))),
    s('rect', { width: 320, height: 180, fill: `url(#${id})` }),
    s('circle', { cx: 60 + next() * 200, cy: 40 + next() * 40, r: 22 + next() * 26, fill: `hsl(${second} 80% 72%)`, opacity: 0.16 }),
  );
  for (let i = 0; i < 4; i++) {
    svg.append(s('path', {
      d: wave(next, 74 + i * 26),
      fill: `hsl(${(hue + i * 14) % 360} ${50 - i * 5}% ${30 - i * 6}%)`,
      opacity: 0.55,
    }));
  }
  return svg;
}
