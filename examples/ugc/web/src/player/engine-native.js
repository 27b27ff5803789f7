/**
 * @typedef {import('./engine.js').Hooks} Hooks
 * @typedef {import('./engine.js').Engine} Engine
 */

/**
 * Plays with the HLS of the browser (Safari on phones).
 * @implements {Engine}
 */
export class NativeEngine {
  name = 'native';
  away = false;
  resumption = null;
  target = null;
  step = 1;
  renditions = [];
  rendition = null;
  facts = { codecs: '', declared: 0, bitrate: 0, frameRate: 0 };

  /** @param {HTMLVideoElement} video */
  static supported = (video) => video.canPlayType('application/vnd.apple.mpegurl') !== '';

  /**
   * @param {HTMLVideoElement} video
   * @param {string} url
   * @param {Hooks} hooks
   */
  constructor(video, url, hooks) {
    this.video = video;
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    video.addEventListener('ended', () => hooks.ended(), { signal });
    video.addEventListener('error', () => {
      const what = `mediaError${video.error?.code ?? ''}`;
      hooks.trouble(what, true);
      hooks.failed(what, 'unreachable');
    }, { signal });
    video.src = url;
  }

  destroy() {
    this.listeners.abort();
    this.video.removeAttribute('src');
    this.video.load();
  }

  get over() {
    return this.video.ended;
  }

  /** The browser holds back by itself: the end it offers is where to be. */
  get livePosition() {
    const { seekable } = this.video;
    return seekable.length ? seekable.end(seekable.length - 1) : null;
  }

  get playingTime() {
    const start = /** @type {any} */ (this.video).getStartDate?.()?.getTime();
    return Number.isFinite(start) ? start + this.video.currentTime * 1000 : null;
  }

  get delay() {
    const end = this.livePosition;
    return end === null ? null : end - this.video.currentTime;
  }

  choose() {}

  settle() {}
}
