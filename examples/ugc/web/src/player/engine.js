import { HlsEngine } from './engine-hls.js';
import { NativeEngine } from './engine-native.js';

/**
 * What an engine tells the session that made it.
 * @typedef {object} Hooks
 * @property {() => void} ended the broadcast is over and played to its end
 * @property {(what: string, fatal: boolean) => void} trouble an error, recovered from or not
 * @property {() => void} listed the renditions are known
 * @property {(type: string, detail: any) => void} noted something for the log
 * @property {(what: string, presence: import('./playlist.js').Presence) => void} failed
 *   the engine gave up and is to be replaced
 */

/**
 * What plays a playlist in a video element. Times are seconds of media time or
 * null where they are not known yet.
 * @typedef {object} Engine
 * @property {string} name
 * @property {boolean} over the playlist has ended
 * @property {boolean} away the encoder is away: the playlist grows by gaps or not at all
 * @property {number | null} resumption where the media after the last gap begins
 * @property {number | null} livePosition where to be for the intended delay
 * @property {number | null} playingTime wall-clock time of the picture, ms
 * @property {number | null} delay seconds behind the playlist's end
 * @property {number | null} target what delay should be
 * @property {number} step seconds that the playlist grows by
 * @property {{codecs: string, declared: number, bitrate: number, frameRate: number}} facts
 * @property {import('./quality.js').Rendition[]} renditions to choose from; none where the browser chooses
 * @property {number | null} rendition the one that is on screen, by id
 * @property {(id: number | null) => void} choose the rendition that is loaded from now on; null is automatic
 * @property {(innocent?: boolean) => void} settle called while all is well; innocent says
 *   that the stall before was not the network's fault
 * @property {() => void} destroy
 */

/**
 * The engine this browser can use: Media Source Extensions first, for their
 * control over delay, else what the browser brings. Null where it has neither.
 * @param {HTMLVideoElement} video
 * @returns {(new (video: HTMLVideoElement, url: string, hooks: Hooks) => Engine) | null}
 */
export function chooseEngine(video) {
  if (HlsEngine.supported()) return HlsEngine;
  return NativeEngine.supported(video) ? NativeEngine : null;
}
