/**
 * Chooses the rendition that the viewer's line can take.
 *
 * A player a second behind live cannot wait for averages: what arrives more
 * slowly than it plays is left as soon as three pieces in a row show it. Up it
 * goes only when a larger rendition would have fitted for some time, and after
 * an attempt that failed it waits longer for the next.
 *
 * @typedef {{bitrate: number, height: number}} Level
 */
export class Adapter {
  /** @type {{bits: number, seconds: number, at: number}[]} */
  #pieces = [];
  #changed = -Infinity; // when the level last changed, ms
  #fits = 0; // since when a larger one would fit, ms; 0: it would not
  #patience = calm;
  #rose = false; // the last change was upward

  /**
   * Takes note of a piece of media that came at a time (ms).
   * @param {number} bits @param {number} seconds that it took @param {number} at
   */
  piece(bits, seconds, at) {
    this.#pieces = [...this.#pieces, { bits, seconds, at }].filter((p) => at - p.at < span);
  }

  /** Bits a second over the newest pieces; all of the last seconds where n is not given. @param {number} [n] */
  rate(n = this.#pieces.length) {
    const pieces = this.#pieces.slice(-n);
    const sum = (/** @type {'bits' | 'seconds'} */ what) => pieces.reduce((total, p) => total + p[what], 0);
    return sum('bits') / Math.max(sum('seconds'), 0.001);
  }

  /**
   * The level to load next.
   * @param {Level[]} levels that may be taken, from the smallest up
   * @param {number} now index of the one that is loaded
   * @param {number} at ms
   */
  choose(levels, now, at) {
    if (this.#pieces.length < few) return now;
    const fast = this.rate(few);
    const best = (/** @type {number} */ rate) => Math.max(0, levels.findLastIndex((l) => l.bitrate <= rate));
    if (fast < levels[now].bitrate * 1.05) {
      const to = Math.min(now, best(fast * 0.75));
      if (to < now) {
        if (this.#rose && at - this.#changed < 4 * calm) this.#patience = Math.min(2 * this.#patience, 16 * calm);
        this.#change(at, false);
      }
      return to;
    }
    const to = best(Math.min(fast, this.rate()) / 1.4);
    if (to <= now) this.#fits = 0;
    else this.#fits ||= at;
    if (to <= now || at - this.#fits < settle || at - this.#changed < this.#patience) return now;
    this.#change(at, true);
    return to;
  }

  /** @param {number} at @param {boolean} rose */
  #change(at, rose) {
    if (rose && at - this.#changed > 8 * calm) this.#patience = calm;
    this.#changed = at;
    this.#rose = rose;
    this.#fits = 0;
    this.#pieces = [];
  }
}

const few = 3; // pieces that tell
const span = 5000; // ms over which the slower average goes
const settle = 2000; // ms for which a larger one must fit
const calm = 4000; // ms between a change and the next one up

/**
 * How long a piece took, for its bit rate: most of the wait for its first byte
 * is the distance to the server, not its line.
 * @param {{start: number, first: number, end: number}} loading ms
 */
export const taken = ({ start, first, end }) => (end - first + (first - start) / 3) / 1000;

/**
 * Those of the levels, sorted by bit rate, that a picture of some lines can show.
 * @template {Level} T
 * @param {T[]} levels @param {number} lines
 * @returns {T[]}
 */
export function shown(levels, lines) {
  const sorted = [...levels].sort((a, b) => a.bitrate - b.bitrate);
  const enough = sorted.find((l) => l.height >= lines);
  return enough ? sorted.filter((l) => l.height <= enough.height) : sorted;
}
