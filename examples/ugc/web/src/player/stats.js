import { ranges } from './watchdog.js';

/**
 * @typedef {import('./session.js').Session} Session
 * @typedef {{at: number, type: string, detail?: any}} Entry
 */

const kept = 500;

/**
 * Measures what a viewer gets, for the panel and, as window.sluice, for tests
 * and for whoever opens the console.
 */
export class Stats {
  /** @type {Entry[]} the newest of what happened */
  log = [];
  version = 1;
  #frames = 0;
  #rate = { at: 0, frames: 0, value: 0 };
  #firstFrame = 0;
  #mediaTime = 0;
  #size = '';

  /**
   * @param {string} channel
   * @param {HTMLVideoElement} video
   * @param {Session} session
   */
  constructor(channel, video, session) {
    this.channel = channel;
    this.video = video;
    this.session = session;
    this.clockOffset = 0; // server's clock − ours, ms
    session.addEventListener('log', (e) => this.#note(/** @type {CustomEvent} */ (e).detail));
    video.addEventListener('resize', () => this.#onResize());
    this.#onFrame();
  }

  /**
   * Takes the server's idea of now, which arrived in an answer between two
   * times of our own clock. A viewer's clock is often seconds off.
   * @param {string | undefined} now
   * @param {number} asked
   * @param {number} answered
   */
  sync(now, asked, answered) {
    const server = now ? Date.parse(now) : NaN;
    if (Number.isFinite(server)) this.clockOffset = server - (asked + answered) / 2;
  }

  /** Seconds between capture (the server's stamp) and screen, null if unknown. */
  get latency() {
    const playing = this.session.engine?.playingTime;
    if (playing == null || this.video.readyState < 2) return null;
    return (Date.now() + this.clockOffset - playing) / 1000;
  }

  /** Everything, as plain data. */
  stats() {
    const { video, session } = this;
    const { engine } = session;
    const quality = video.getVideoPlaybackQuality?.();
    return {
      channel: this.channel,
      state: session.state,
      engine: engine?.name ?? null,
      paused: video.paused,
      muted: video.muted,
      currentTime: video.currentTime,
      playbackRate: video.playbackRate,
      readyState: video.readyState,
      latency: this.latency,
      edgeDelay: engine?.delay ?? null,
      edgeTarget: engine?.target ?? null,
      buffer: session.buffer,
      buffered: ranges(video.buffered),
      frames: this.#frames,
      frameTime: this.#mediaTime,
      firstFrameMs: this.#firstFrame,
      decoded: quality?.totalVideoFrames ?? 0,
      dropped: quality?.droppedVideoFrames ?? 0,
      frameRate: this.#measureRate(),
      width: video.videoWidth,
      height: video.videoHeight,
      clockOffset: this.clockOffset,
      rendition: engine?.rendition ?? null,
      ...(engine?.facts ? { codecs: engine.facts.codecs, bitrate: engine.facts.bitrate, declaredBitrate: engine.facts.declared } : {}),
      ...session.counts,
    };
  }

  /** @param {Entry} entry */
  #note(entry) {
    this.log.push(entry);
    if (this.log.length > kept) this.log.splice(0, this.log.length - kept);
  }

  #onResize() {
    const size = `${this.video.videoWidth}x${this.video.videoHeight}`;
    if (size === this.#size || !this.video.videoWidth) return;
    this.#size = size;
    this.#note({ at: Date.now(), type: 'size', detail: size });
  }

  #onFrame() {
    const { video } = this;
    video.requestVideoFrameCallback?.((_, meta) => {
      this.#firstFrame ||= performance.now();
      this.#frames = Math.max(this.#frames + 1, 1);
      this.#mediaTime = meta.mediaTime;
      this.#onFrame();
    });
  }

  #measureRate() {
    const now = performance.now();
    const { totalVideoFrames: frames = 0 } = this.video.getVideoPlaybackQuality?.() ?? {};
    if (frames < this.#rate.frames) this.#rate = { at: now, frames, value: 0 };
    if (now - this.#rate.at > 950) {
      const value = this.#rate.at ? ((frames - this.#rate.frames) * 1000) / (now - this.#rate.at) : 0;
      this.#rate = { at: now, frames, value };
    }
    return this.#rate.value;
  }
}
