import { track } from './api.js';
import { copyButton } from './chrome.js';
import { byId, h, setText } from './dom.js';
import { bitrate, bytes, clock, codecName, count, rates } from './format.js';

/** @typedef {import('./api.js').Channel} Channel */

const protocols = { rtmp: 'RTMP', rtmps: 'RTMPS', srt: 'SRT', webrtc: 'WebRTC' };

/**
 * How a broadcast is doing, in words.
 * @param {Channel | undefined} c @param {boolean} answers whether the server does
 */
export function situation(c, answers) {
  if (!answers) return { badge: 'Unknown', tone: 'busy', text: 'The server does not answer, trying again…' };
  if (!c) return { badge: 'Off the air', tone: 'off', text: 'Nothing arrives for this channel. Go live above, or start an encoder.' };
  const e = c.encoder;
  if (!e) return { badge: 'Live', tone: 'live', text: 'Comes from another server, which knows the encoder.' };
  switch (e.state) {
    case 'slate': return { badge: 'Slate on', tone: 'busy', text: `Viewers see the slate: ${e.protocol ? 'the encoder is connected and sends nothing' : 'the encoder is away'}. It goes on by itself.` };
    case 'waiting': return { badge: 'Waiting for the encoder', tone: 'busy', text: 'The encoder is away and viewers see a pause. It goes on when the encoder is back; without it the broadcast ends soon.' };
    default: return c.tracks?.length ? { badge: 'Live', tone: 'live', text: '' }
      : { badge: 'Starting', tone: 'busy', text: 'The encoder is connected. Viewers can join as soon as picture and sound are known.' };
  }
}

/** @param {Channel | undefined} c */
export function spares(c) {
  const [n, switched] = [c?.encoder?.spares ?? 0, c?.encoder?.switches ?? 0];
  return [n > 0 ? count(n, 'spare standing by', 'spares standing by') : '', switched > 0 ? `taken over ${count(switched, 'time', 'times')}` : '']
    .filter(Boolean).join(', ');
}

/** The largest picture, which is the encoder's own. @param {Channel} c */
const picture = (c) => c.tracks?.filter((t) => t.kind === 'video').reduce((a, b) => ((b.height ?? 0) > (a.height ?? 0) ? b : a), /** @type {any} */ ({}));

/**
 * Figures of a broadcast, by name.
 * @param {Channel} c @param {number | null} bps @param {number} now Unix time in ms
 * @returns {[string, string][]}
 */
export function figures(c, bps, now) {
  const [video, e] = [picture(c), c.encoder];
  /** @type {[string, string][]} */
  const all = [['On air', clock(now - Date.parse(c.since))]];
  if (e) all.push(['Over', protocols[/** @type {keyof typeof protocols} */ (e.protocol)] ?? e.protocol ?? '–'], ['Bit rate', e.state === 'live' ? bitrate(bps ?? 0) : '–']);
  if (video?.width) all.push(['Picture', `${video.width}×${video.height}`], ['Frame rate', video.frameRate ? `${Number(video.frameRate.toFixed(2))} fps` : '–']);
  const codecs = [video?.codec, track(c, 'audio')?.codec].map(codecName).filter(Boolean).join(', ');
  if (codecs) all.push(['Codecs', codecs]);
  all.push(['Viewers', String(c.viewers ?? 0)]);
  if (e?.bytes) all.push(['Received', bytes(e.bytes)]);
  if (c.srt) {
    const share = (/** @type {number} */ n) => `${n.toLocaleString('en')}${n && c.srt?.received ? ` (${((100 * n) / c.srt.received).toFixed(2)} %)` : ''}`;
    all.push(['SRT round trip', `${(c.srt.rtt * 1000).toFixed(1)} ms`], ['SRT buffer', `${Math.round(c.srt.latency * 1000)} ms`], ['Packets lost', share(c.srt.lost)],
      ['Retransmitted', share(c.srt.retransmitted)], ['Never came', share(c.srt.missing)]);
  }
  return all;
}

/** @type {Record<string, (n: number) => string>} */
const repairs = {
  anchors: (n) => `time stamps jumped ${count(n, 'time', 'times')}`,
  trackJumps: (n) => `picture and sound jumped apart ${count(n, 'time', 'times')}`,
  backwardDts: (n) => `${count(n, 'time stamp', 'time stamps')} went backwards`,
  missingAudio: (n) => `${count(n, 'hole', 'holes')} in the sound`,
  doubledAudio: (n) => `${count(n, 'frame', 'frames')} of sound came twice`,
  lateDropped: (n) => `${count(n, 'frame', 'frames')} came too late`,
  withoutKey: (n) => `${count(n, 'picture', 'pictures')} came before a key frame`,
  badComposites: (n) => `${count(n, 'picture', 'pictures')} had absurd times`,
};

/** What had to be mended, in words; a counter that wraps is no trouble. @param {Channel | undefined} c */
export function mended(c) {
  const all = Object.entries(c?.encoder?.repairs ?? {}).filter(([kind, n]) => n > 0 && repairs[kind]).map(([kind, n]) => repairs[kind](n));
  return all.length ? `Mended so far: ${all.join(', ')}.` : '';
}

/** The panel of the broadcast: a function that takes the channel's name and what the server says of it. */
export function onAir() {
  const badge = h('span', { class: 'badge off' }, 'Off the air');
  const spare = h('span', { class: 'pill spare', hidden: true });
  const text = h('p', { class: 'onair-text', role: 'status', 'aria-live': 'polite' });
  const shown = h('dl', { class: 'facts-row' });
  const repaired = h('p', { class: 'onair-mended' });
  const watch = h('a', { class: 'button', target: '_blank', rel: 'noopener' }, 'Open the watch page');
  let name = '';
  const links = h('div', { class: 'onair-links', hidden: true }, watch, copyButton(() => `${location.origin}/@${name}`, 'the link to the watch page', 'Copy link'));
  byId('onair').append(h('div', { class: 'panel-head' }, h('h2', { id: 'onair-title' }, 'Broadcast'), badge, spare, links), text, shown, repaired);
  const rate = rates();
  /** @type {Channel | undefined} */
  let last;
  /** @type {number | null} */
  let bps = null;
  return (/** @type {string} */ channel, /** @type {Channel | undefined} */ c, /** @type {boolean} */ answers, /** @type {number} */ now) => {
    name = channel;
    const is = situation(c, answers);
    setText(badge, is.badge);
    badge.className = `badge ${is.tone}`;
    byId('onair').dataset.state = !answers ? 'unknown' : !c ? 'off' : (c.encoder?.state ?? 'live');
    setText(text, is.text);
    text.hidden = !is.text;
    setText(spare, spares(c));
    spare.hidden = !spares(c);
    watch.setAttribute('href', `/@${channel}`);
    links.hidden = !c;
    if (c !== last) bps = c?.encoder ? rate(`${channel} ${c.since}`, c.encoder.bytes, now) : null;
    last = c;
    setRow(shown, c ? figures(c, bps, now) : []);
    setText(repaired, mended(c));
    repaired.hidden = !mended(c);
  };
}

/** Shows figures, leaving alone those that stay. @param {HTMLElement} row @param {[string, string][]} all */
function setRow(row, all) {
  row.hidden = all.length === 0;
  const names = [...row.querySelectorAll('dt')].map((e) => e.textContent);
  if (names.join() !== all.map(([n]) => n).join()) {
    row.replaceChildren(...all.map(([n]) => h('div', null, h('dt', null, n), h('dd', null))));
  }
  row.querySelectorAll('dd').forEach((e, i) => setText(e, all[i][1]));
}
