import 'media-chrome/dist/media-controller.js';
import 'media-chrome/dist/media-control-bar.js';
import 'media-chrome/dist/media-play-button.js';
import 'media-chrome/dist/media-mute-button.js';
import 'media-chrome/dist/media-volume-range.js';
import 'media-chrome/dist/media-pip-button.js';
import 'media-chrome/dist/media-fullscreen-button.js';
import 'media-chrome/dist/media-loading-indicator.js';
import { byId, setText } from '../lib/dom.js';

const lateBy = 1.5; // seconds behind the intended delay that count as "not live"
const mutedPref = 'sluice-muted';

/**
 * The "Live" button: lit at the live edge, else the way back to it.
 * @param {import('./session.js').Session} session
 */
export function liveButton(session) {
  const [button, text] = [byId('golive'), byId('golive-text')];
  button.addEventListener('click', () => session.goLive());
  const show = () => {
    const playing = session.engine !== null && !session.video.paused;
    const late = session.lateness ?? 0;
    const atEdge = playing && session.state === 'live' && late < lateBy;
    button.classList.toggle('lit', atEdge);
    /** @type {HTMLButtonElement} */ (button).disabled = session.engine === null;
    setText(text, atEdge || session.engine === null ? 'Live' : 'Go live');
    button.setAttribute('aria-label', atEdge ? 'Playing live' : 'Go to the live edge');
  };
  session.addEventListener('state', show);
  setInterval(show, 500);
}

/**
 * Sound: muted at first, since browsers let nothing else begin by itself; a
 * viewer who has unmuted before is taken at their word.
 * @param {HTMLVideoElement} video
 */
export function sound(video) {
  const button = byId('unmute');
  video.muted = localStorage.getItem(mutedPref) !== 'no';
  const show = () => {
    button.hidden = !video.muted || video.paused || video.readyState < 2;
  };
  button.addEventListener('click', () => {
    video.muted = false;
    if (video.volume === 0) video.volume = 1;
    video.play().catch(() => {});
  });
  video.addEventListener('volumechange', () => {
    // A page that mutes because the browser demands it is not a wish.
    if (navigator.userActivation?.isActive ?? true) localStorage.setItem(mutedPref, video.muted ? 'yes' : 'no');
    show();
  });
  for (const event of ['playing', 'pause', 'emptied', 'loadeddata']) video.addEventListener(event, show);
  show();
}
