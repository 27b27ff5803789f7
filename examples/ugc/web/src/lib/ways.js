import '../style/golive.css';
import { copyButton } from './chrome.js';
import { h, setText } from './dom.js';

/** @typedef {import('./api.js').Live} Live */

/**
 * The addresses that encoders need, of the protocols that are enabled. What
 * takes one address gets the key within it.
 * @param {import('./api.js').Publish} at what the server says
 * @param {string} key
 */
export function addresses(at, key) {
  const within = (/** @type {string | undefined} */ url) => (url ? `${url}/${key}` : '');
  const srt = at.srt ? at.srt + key : '';
  const rtmp = within(at.rtmp);
  return {
    server: at.rtmp ?? '', secureServer: at.rtmps ?? '', whipServer: at.whip ?? '', key,
    rtmp, rtmps: within(at.rtmps), srt, whip: within(at.whip),
    ffmpeg: rtmp ? command(`-f flv '${rtmp}'`) : '',
    ffmpegSRT: srt ? command(`-f mpegts '${srt}'`) : '',
  };
}

const command = (/** @type {string} */ out) => `ffmpeg -re -i video.mp4 -c:v libx264 -preset veryfast -tune zerolatency -g 60 -c:a aac ${out}`;

const loopback = /^(localhost|127\..*|\[::1\])$/;

/**
 * How encoders go live, each value with a button that copies it. Returned with
 * a function that takes what the server says, and the key.
 */
export function ways() {
  const values = {
    server: field('Server'), secureServer: field('Server, encrypted (RTMPS)'), key: field('Stream key'),
    ffmpeg: field('Over RTMP', true), ffmpegSRT: field('Over SRT, for bad lines', true),
    rtmp: field('RTMP address'), rtmps: field('RTMPS address'), srt: field('SRT address'),
    whipServer: field('Server'), bearer: field('Bearer token'), whip: field('Address that holds the key'),
  };
  const note = h('p', { class: 'ways-note' }, 'Asking the server for its addresses…');
  const far = h('p', { class: 'tip' },
    `Another device does not find ${globalThis.location?.hostname}: open this page by the network address of this machine to copy what works there.`);
  const srtTip = h('p', { class: 'tip' }, 'Over a bad line: the SRT address as the server, with the key left empty.');
  far.hidden = !loopback.test(globalThis.location?.hostname ?? '');
  const obs = way('OBS Studio', 'Settings → Stream → Service “Custom…”, then Start Streaming.', values.server, values.secureServer, values.key, srtTip,
    h('p', { class: 'tip' }, 'For the shortest delay: keyframe interval 2 s, tune “zerolatency”.'));
  const phone = way('Phone or hardware', 'Larix Broadcaster, cameras and encoder boxes: one address says it all.', values.rtmp, values.rtmps, values.srt, far);
  const file = way('ffmpeg', 'Sends a file as if it were live:', values.ffmpeg, values.ffmpegSRT);
  const whip = way('WHIP', 'OBS 30 and later (Service “WHIP”), GStreamer, browsers: the shortest delay.', values.whipServer, values.bearer, values.whip);
  const all = h('div', { class: 'howto-ways', hidden: true }, obs, phone, file, whip);
  return {
    element: h('div', null, note, all),
    update(/** @type {Live | null} */ server, /** @type {string} */ key) {
      if (!server) return;
      const at = server.publish ?? {};
      const now = addresses(at, key);
      for (const [name, f] of Object.entries(values)) f.set(name === 'bearer' ? now.key : now[/** @type {keyof typeof now} */ (name)]);
      obs.hidden = !at.rtmp && !at.rtmps;
      file.hidden = !at.rtmp && !at.srt;
      phone.hidden = !at.rtmp && !at.rtmps && !at.srt;
      whip.hidden = !at.whip;
      values.key.element.hidden = obs.hidden;
      values.bearer.element.hidden = whip.hidden;
      srtTip.hidden = !at.srt;
      all.hidden = obs.hidden && phone.hidden && whip.hidden;
      note.hidden = !all.hidden;
      setText(note, 'This server takes no encoders: its streams come from another one.');
    },
  };
}

/** @param {string} title @param {string} text @param {...(HTMLElement | {element: HTMLElement})} parts */
function way(title, text, ...parts) {
  return h('section', { class: 'way' }, h('h3', null, title), h('p', null, text),
    ...parts.map((p) => (p instanceof HTMLElement ? p : p.element)));
}

/** A labelled value with a copy button, hidden while it is empty. @param {string} label @param {boolean} [block] */
function field(label, block) {
  const value = h('code', { class: block ? 'value block' : 'value', tabindex: '0' });
  const element = h('div', { class: block ? 'field tall' : 'field', hidden: true },
    h('span', { class: 'field-label' }, label), value, copyButton(() => value.textContent ?? '', label));
  return {
    element,
    set(/** @type {string} */ text) {
      element.hidden = !text;
      setText(value, text);
    },
  };
}
