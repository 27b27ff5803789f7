/**
 * Growing waits between attempts, with jitter so that the viewers of a server
 * that restarted do not return in one instant.
 */
export class Backoff {
  #attempt = 0;

  /**
   * @param {{first?: number, max?: number, random?: () => number}} [options] ms
   */
  constructor({ first = 500, max = 8000, random = Math.random } = {}) {
    this.first = first;
    this.max = max;
    this.random = random;
  }

  /** How many waits were handed out since the last reset. */
  get attempts() {
    return this.#attempt;
  }

  /** The next wait in ms. */
  next() {
    const full = Math.min(this.max, this.first * 2 ** this.#attempt++);
    return full * (0.75 + this.random() * 0.5);
  }

  reset() {
    this.#attempt = 0;
  }
}
