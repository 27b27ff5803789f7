import { h } from '../lib/dom.js';
import { mark } from '../lib/chrome.js';

/** @type {Record<string, {title: string, text: string, busy?: boolean, over?: boolean}>} */
const scenes = {
  offline: { title: 'Off the air', text: 'The broadcast begins here by itself, no need to reload.', busy: true },
  ended: { title: 'The broadcast has ended', text: 'Thank you for watching. Stay: the next one begins here by itself.' },
  reconnecting: { title: 'Connection lost', text: 'Trying again…', busy: true },
  away: { title: 'One moment', text: 'The channel’s signal is interrupted. It goes on as soon as it is back.', busy: true, over: true },
  denied: { title: 'This channel is private', text: 'It needs a valid watch link. Ask the channel’s owner for a new one.' },
  unsupported: { title: 'This browser cannot play HLS', text: 'A current Firefox, Chrome, Edge or Safari can.' },
};

/**
 * What covers the picture when there is none, by the session's state.
 * @param {HTMLElement} curtain
 * @param {HTMLElement} poster
 * @param {import('./session.js').Session} session
 */
export function curtain(curtain, poster, session) {
  const show = () => {
    const scene = scenes[session.state];
    curtain.hidden = !scene;
    // Sound alone keeps the poster.
    poster.hidden = !scene && session.state !== 'connecting' && session.video.videoWidth > 0;
    curtain.classList.toggle('over', Boolean(scene?.over));
    document.body.dataset.state = session.state;
    if (!scene) return curtain.replaceChildren();
    const title = h('h2', null, scene.title);
    const text = h('p', null, scene.text);
    curtain.replaceChildren(h('div', { class: scene.busy ? 'curtain-mark busy' : 'curtain-mark' }, mark()), title, text);
  };
  session.addEventListener('state', show);
  session.video.addEventListener('resize', show);
  show();
}
