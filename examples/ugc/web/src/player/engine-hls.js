import Hls from 'hls.js';
import { Adapter, shown, taken } from './adapt.js';
import { hlsConfig } from './config.js';
import { presenceOf } from './playlist.js';

/**
 * @typedef {import('./engine.js').Hooks} Hooks
 * @typedef {import('./engine.js').Engine} Engine
 * @typedef {import('hls.js').MediaFragment} Fragment
 * @typedef {import('hls.js').Part} Part
 */

const { Events, ErrorTypes, ErrorDetails } = Hls;
const calm = 30_000;

/**
 * Plays through Media Source Extensions.
 * @implements {Engine}
 */
export class HlsEngine {
  name = 'hls.js';
  #recovered = 0;
  #lastStall = 0;
  #begun = false;
  #adapter = new Adapter();
  /** @type {number | null} */
  #chosen = null; // by the viewer
  /** @type {number | null} */
  #wanted = null; // at the next key frame
  /** @type {{at: number, bits: number, dur: number}[]} */
  #loads = [];

  static supported = () => Hls.isSupported();

  /**
   * @param {HTMLVideoElement} video
   * @param {string} url
   * @param {Hooks} hooks
   */
  constructor(video, url, hooks) {
    this.video = video;
    this.hooks = hooks;
    this.hls = new Hls(hlsConfig);
    this.#listen();
    this.hls.attachMedia(video);
    this.hls.loadSource(url);
  }

  destroy() {
    this.hls.destroy();
  }

  get details() {
    return this.hls.latestLevelDetails;
  }

  /** Whether the playlist has said that it will not grow. */
  get over() {
    return this.details?.live === false;
  }

  /** Whether the newest the playlist has to offer is a gap, or nothing for a while. */
  get away() {
    const d = this.details;
    if (!d?.live) return false;
    return isGap(newest(d)) || d.age > Math.max(2.5, this.step * 2);
  }

  /** Where the media begins that follows the last gap, null where there is no gap. */
  get resumption() {
    const d = this.details;
    const gap = d?.fragments.findLast((f) => isGap(f));
    return !gap || (d && isGap(newest(d))) ? null : gap.end;
  }

  /** Where in media time a viewer should be, null where it is not known. */
  get livePosition() {
    return this.hls.liveSyncPosition;
  }

  /** Wall-clock time of the picture on screen, ms. */
  get playingTime() {
    return this.hls.playingDate?.getTime() ?? null;
  }

  /** Seconds behind the end of the playlist: now, and meant to be. */
  get delay() {
    return this.details ? this.hls.latency : null;
  }
  get target() {
    return this.hls.targetLatency;
  }

  /** Length of what the playlist grows by, in seconds. */
  get step() {
    const d = this.details;
    return d?.partTarget || d?.targetduration || 1;
  }

  get facts() {
    const level = this.hls.levels[this.hls.currentLevel] ?? this.hls.levels[0];
    const audio = this.hls.audioTracks[this.hls.audioTrack];
    const codecs = [level?.videoCodec, audio?.audioCodec ?? level?.audioCodec].filter(Boolean);
    return { codecs: codecs.join(','), declared: level?.bitrate ?? 0, bitrate: this.#measured(), frameRate: level?.frameRate ?? 0 };
  }

  /** Those whose sound is in the codec that plays; a rendition is listed once for each. */
  get renditions() {
    const { levels } = this.hls;
    const group = levels[this.#level]?.attrs.AUDIO;
    return levels.flatMap((l, id) => (l.attrs.AUDIO === group
      ? [{ id, width: l.width, height: l.height, frameRate: l.frameRate, bitrate: l.bitrate }] : []));
  }

  get rendition() {
    return this.hls.currentLevel < 0 ? null : this.hls.currentLevel;
  }

  /** From the next key frame on; what is buffered is still played. @param {number | null} id */
  choose(id) {
    this.#chosen = this.#wanted = id;
  }

  get #level() {
    return Math.max(0, this.hls.loadLevel, this.hls.firstLevel);
  }

  /**
   * Forgets the delay that stalls have added: when there were none lately, or
   * at once where the viewer's network was not to blame.
   */
  settle(innocent = false) {
    const d = this.details;
    if (!this.#lastStall || !d || (!innocent && performance.now() - this.#lastStall < calm)) return;
    this.#lastStall = 0;
    const wanted = d.partHoldBack || d.holdBack;
    if (wanted) this.hls.targetLatency = wanted;
  }

  #measured() {
    const since = performance.now() - 8000;
    this.#loads = this.#loads.filter((l) => l.at > since);
    const dur = this.#loads.reduce((sum, l) => sum + l.dur, 0);
    return dur > 0 ? this.#loads.reduce((sum, l) => sum + l.bits, 0) / dur : 0;
  }

  #listen() {
    const { hls, hooks } = this;
    hls.on(Events.MANIFEST_PARSED, () => hooks.listed());
    hls.on(Events.LEVEL_LOADED, (_, { details }) => {
      // Of a broadcast that is over already nothing is to be played here.
      if (!this.#begun && !details.live) hooks.ended();
      this.#begun = true;
    });
    hls.on(Events.MEDIA_ENDED, () => {
      if (this.over) hooks.ended();
    });
    hls.on(Events.FRAG_LOADED, (_, { frag, part }) => {
      if (frag.type !== 'main' || frag.sn === 'initSegment') return;
      const piece = part ?? frag;
      const { loaded, loading } = piece.stats;
      this.#loads.push({ at: performance.now(), bits: loaded * 8, dur: piece.duration });
      this.#adapter.piece(loaded * 8, taken(loading), performance.now());
      this.#adapt(frag, part ?? null);
    });
    hls.on(Events.LEVEL_SWITCHING, (_, { level, height, bitrate }) => hooks.noted('rendition', { level, height, bitrate }));
    hls.on(Events.ERROR, (_, data) => this.#onError(data));
  }

  /**
   * Decides on the rendition when a piece of one has come. hls.js adapts too,
   * but by averages over more seconds than a player near the edge has in hand.
   * @param {Fragment} frag @param {Part | null} part
   */
  #adapt(frag, part) {
    const { hls } = this;
    const level = frag.level;
    if (level !== hls.loadLevel) return;
    if (this.#chosen === null) {
      const levels = shown(this.renditions, this.video.clientHeight * window.devicePixelRatio);
      const now = levels.findIndex((l) => l.id === level);
      const to = levels[now < 0 ? levels.length - 1 : this.#adapter.choose(levels, now, performance.now())]?.id;
      if (to !== undefined && to !== level) this.#wanted = to;
    }
    const change = this.#wanted !== null && this.#wanted !== level && this.#beforeKey(frag, part);
    if (change || hls.autoLevelEnabled) hls.loadLevel = change ? /** @type {number} */ (this.#wanted) : level;
    if (this.#wanted === hls.loadLevel) this.#wanted = null;
  }

  /**
   * Whether what follows a piece begins with a key frame: only there a
   * rendition can take over. Elsewhere hls.js goes back to the last one, and
   * what was buffered since is lost.
   * @param {Fragment} frag @param {Part | null} part
   */
  #beforeKey(frag, part) {
    const parts = this.hls.levels[frag.level].details?.partList;
    if (!part || !parts) return true;
    const at = parts.findIndex((p) => p.fragment.sn === frag.sn && p.index === part.index);
    const next = parts[at + 1];
    return next ? next.independent : frag.sn <= (this.details?.endSN ?? 0);
  }

  /** @param {import('hls.js').ErrorData} data */
  #onError(data) {
    const { hooks } = this;
    if (data.details === ErrorDetails.BUFFER_STALLED_ERROR) this.#lastStall = performance.now();
    hooks.trouble(`${data.details}: ${data.error?.message ?? data.reason ?? ''}`, data.fatal);
    if (!data.fatal) return;
    if (data.type === ErrorTypes.MEDIA_ERROR && performance.now() - this.#recovered > 5000) {
      this.#recovered = performance.now();
      this.hls.recoverMediaError();
      return;
    }
    const status = data.response?.code ?? 0;
    hooks.failed(data.details, status ? presenceOf(status) : 'unreachable');
  }
}

/**
 * The last part or segment of a playlist.
 * @param {import('hls.js').LevelDetails} d
 */
function newest(d) {
  const part = d.partList?.at(-1);
  return part && part.fragment.sn >= d.endSN ? part : d.fragments.at(-1);
}

/** @param {{gap?: boolean} | undefined} piece */
const isGap = (piece) => Boolean(piece?.gap);
