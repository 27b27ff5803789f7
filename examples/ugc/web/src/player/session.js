import { Backoff } from './backoff.js';
import { chooseEngine } from './engine.js';
import { pace } from './pace.js';
import { probe } from './playlist.js';
import { match, named } from './quality.js';
import { ahead, ranges, remedy } from './watchdog.js';

/**
 * @typedef {'connecting' | 'live' | 'buffering' | 'away' | 'offline' | 'ended' | 'reconnecting' | 'denied' | 'unsupported'} State
 * @typedef {import('./playlist.js').Presence} Presence
 */

const tick = 250;
const patience = 1500; // between looks at a channel that is off the air, ms

/**
 * Keeps one channel playing in one video element for as long as the page is
 * open: waits for the broadcast, plays it, outlives what happens to it, and
 * waits for the next. Dispatches "state" and "log".
 */
export class Session extends EventTarget {
  /** @type {State} */
  state = 'connecting';
  /** @type {import('./engine.js').Engine | null} */
  engine = null;
  /** Name of the rendition that the viewer wants; empty is automatic. */
  quality = '';
  counts = { stalls: 0, stalledMs: 0, rebuilds: 0, seeks: 0, errors: 0 };
  #backoff = new Backoff();
  #moved = { at: 0, time: -1 };
  #lastSeek = 0;
  #present = 1; // since when the encoder is there, 0 while it is not
  #jump = 0; // until when a jump ahead would go unnoticed
  #timer = 0;
  #ticker = 0;
  #generation = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {string} url of the multivariant playlist
   */
  constructor(video, url) {
    super();
    this.video = video;
    this.url = url;
  }

  start() {
    document.addEventListener('visibilitychange', () => this.#onVisible());
    window.addEventListener('online', () => this.#hurry());
    this.#ticker = setInterval(() => this.#watch(), tick);
    this.#build();
  }

  stop() {
    clearInterval(this.#ticker);
    clearTimeout(this.#timer);
    this.#drop();
  }

  get buffer() {
    return ahead(ranges(this.video.buffered), this.video.currentTime);
  }

  /** How much later than intended the picture is, in seconds. */
  get lateness() {
    const { delay, target } = this.engine ?? {};
    if (delay == null) return null;
    return delay - (target ?? 0);
  }

  /** Jumps to the newest there is. */
  goLive() {
    const to = this.engine?.livePosition;
    if (to != null) this.#seek(to, 'asked');
    this.#play();
  }

  /** @param {string} quality name of a rendition; empty is automatic */
  choose(quality) {
    this.quality = quality;
    this.#log('quality', quality || 'auto');
    this.engine?.choose(match(named(this.engine.renditions), quality)?.id ?? null);
  }

  /** Starts over, for a broadcast whose tracks are no longer the same. */
  reload(/** @type {string} */ why) {
    this.#log('reload', why);
    this.#build();
  }

  #build() {
    clearTimeout(this.#timer);
    this.#drop();
    const Engine = chooseEngine(this.video);
    if (!Engine) return this.#set('unsupported');
    const generation = ++this.#generation;
    const mine = () => generation === this.#generation;
    this.#moved = { at: performance.now(), time: -1 };
    this.#present = 1;
    this.#jump = 0;
    if (this.state === 'offline' || this.state === 'ended') this.#set('connecting');
    this.engine = new Engine(this.video, this.url, {
      ended: () => mine() && this.#end(),
      noted: (type, detail) => this.#log(type, detail),
      listed: () => mine() && this.quality && this.choose(this.quality),
      failed: (what, presence) => mine() && this.#fail(what, presence),
      trouble: (what, fatal) => {
        this.counts.errors++;
        this.#log(fatal ? 'fatal' : 'error', what);
      },
    });
    this.#play();
  }

  #drop() {
    this.#generation++;
    this.engine?.destroy();
    this.engine = null;
    this.video.playbackRate = 1;
  }

  async #play() {
    try {
      await this.video.play();
    } catch (error) {
      if (/** @type {DOMException} */ (error).name !== 'NotAllowedError' || this.video.muted) return;
      this.video.muted = true;
      this.video.play().catch(() => {});
    }
  }

  /** @param {State} state */
  #set(state) {
    if (state === this.state) return;
    this.state = state;
    this.#log('state', state);
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  /** @param {string} type @param {any} [detail] */
  #log(type, detail) {
    this.dispatchEvent(new CustomEvent('log', { detail: { at: Date.now(), type, detail } }));
  }

  #end() {
    this.#drop();
    this.#set('ended');
    this.#wait('ended');
  }

  /** @param {string} what @param {Presence} presence */
  #fail(what, presence) {
    this.#log('failed', what);
    this.#drop();
    this.counts.rebuilds++;
    this.#settle(presence);
  }

  /** Shows what a look at the channel found and looks again later. @param {Presence} presence */
  #settle(presence) {
    if (presence === 'offline' || presence === 'denied' || presence === 'ended') {
      this.#backoff.reset();
      this.#set(presence);
    } else if (this.state !== 'offline' && this.state !== 'ended') {
      this.#set('reconnecting');
    }
    this.#wait(presence);
  }

  /** @param {Presence} presence */
  #wait(presence) {
    clearTimeout(this.#timer);
    const known = presence === 'offline' || presence === 'ended';
    const pause = presence === 'denied' ? 10_000 : known ? patience * (0.8 + Math.random() * 0.4) : this.#backoff.next();
    const generation = this.#generation;
    this.#timer = setTimeout(async () => {
      const found = await probe(this.url, AbortSignal.timeout(8000));
      if (generation !== this.#generation) return;
      if (found === 'live') this.#build();
      else this.#settle(found);
    }, pause);
  }

  #hurry() {
    if (this.engine || this.state === 'unsupported') return;
    this.#backoff.reset();
    this.#build();
  }

  /** A page in the background is throttled and falls behind. */
  #onVisible() {
    if (document.hidden || this.video.paused) return;
    if ((this.lateness ?? 0) > 3) this.goLive();
  }

  /** @param {number} to @param {string} why */
  #seek(to, why) {
    this.#log('seek', { from: this.video.currentTime, to, why });
    this.counts.seeks++;
    this.#lastSeek = performance.now();
    this.video.currentTime = to;
  }

  #watch() {
    const { video, engine } = this;
    if (!engine) return;
    const now = performance.now();
    const moving = Math.abs(video.currentTime - this.#moved.time) > 0.001;
    if (moving || video.paused) {
      this.#onMoving(now, moving);
      return;
    }
    // Nothing has arrived yet: the engine is still asking, and says when it gives up.
    if (engine.livePosition === null) this.#moved.at = now;
    const stuck = now - this.#moved.at;
    const away = engine.away && stuck > 1200;
    if (!away) this.#present ||= now;
    else this.#present = 0;
    if (this.state === 'live' && stuck > 500) {
      this.counts.stalls++;
      this.#set('buffering');
    }
    if (this.state === 'buffering') this.counts.stalledMs += tick;
    if (away) this.#set('away');
    else if (this.state === 'away') {
      engine.settle(true);
      this.#set('buffering');
    }
    this.#act(remedy({
      stuck: Math.min(stuck, now - this.#lastSeek, now - (this.#present || now)),
      at: video.currentTime,
      buffered: ranges(video.buffered),
      live: engine.livePosition,
      resumption: engine.resumption,
      over: engine.over,
      away,
    }));
  }

  /** @param {number} now @param {boolean} moving */
  #onMoving(now, moving) {
    const { video, engine } = this;
    const first = this.#moved.time < 0;
    this.#moved = { at: now, time: video.currentTime };
    this.#present ||= now;
    if (!engine || !moving || first || video.seeking || video.readyState < 3) return;
    // After a start or an interruption a jump goes unnoticed, later it would not.
    if (this.state !== 'live') this.#jump = now + 2000;
    this.#backoff.reset();
    this.#set('live');
    engine.settle();
    const distance = this.lateness;
    if (now < this.#jump && (distance ?? 0) > 0.4 && this.#buffered(engine.livePosition)) {
      this.#jump = 0;
      return this.#seek(/** @type {number} */ (engine.livePosition), 'start');
    }
    if (distance === null || engine.target === null) return;
    const rate = pace({ distance, buffer: this.buffer, rate: video.playbackRate, part: engine.step });
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  /** Whether playing on from a position needs no waiting. @param {number | null} at */
  #buffered(at) {
    return at !== null && ahead(ranges(this.video.buffered), at) > 0.4;
  }

  /** @param {import('./watchdog.js').Action} action */
  #act(action) {
    switch (action.do) {
      case 'seek':
        this.#seek(action.to, action.why);
        break;
      case 'rebuild':
        this.#fail('stuck', 'unreachable');
        break;
      case 'end':
        this.#end();
        break;
    }
  }
}
