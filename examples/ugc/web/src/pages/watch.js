import '../style/watch.css';
import { live, poll, validName } from '../lib/api.js';
import { cover } from '../lib/art.js';
import { cards, describe } from '../lib/cards.js';
import { copyButton, frame } from '../lib/chrome.js';
import { byId, h, setText } from '../lib/dom.js';
import { clock, count } from '../lib/format.js';
import { goLiveDialog } from '../lib/golive.js';
import { liveButton, sound } from '../player/controls.js';
import { curtain } from '../player/curtain.js';
import { qualityMenu } from '../player/quality.js';
import { Session } from '../player/session.js';
import { Stats } from '../player/stats.js';
import { statsPanel } from '../player/stats-panel.js';

const channel = decodeURIComponent(location.pathname.replace(/^\/@/, '').replace(/\/$/, ''));
if (!validName(channel)) location.replace('/404');
document.title = `${channel} · Sluice`;
document.body.dataset.channel = channel;

/** The playlist's address; a play key in the page's address goes along. */
function playlistURL() {
  const url = new URL(`/live/${channel}/index.m3u8`, location.origin);
  const token = new URLSearchParams(location.search).get('token');
  if (token) url.searchParams.set('token', token);
  return url.href;
}

const dialog = goLiveDialog();
frame(dialog.open);

const video = /** @type {HTMLVideoElement} */ (byId('video'));
const poster = byId('poster');
poster.append(cover(channel));
const session = new Session(video, playlistURL());
const stats = new Stats(channel, video, session);
Object.assign(window, { sluice: stats });

sound(video);
liveButton(session);
qualityMenu(session);
curtain(byId('curtain'), poster, session);
showStats();
const about = aboutChannel();
followServer();
session.start();

function showStats() {
  const [panel, toggle] = [byId('stats'), byId('stats-toggle')];
  const flip = () => {
    panel.hidden = !panel.hidden;
    toggle.setAttribute('aria-pressed', String(!panel.hidden));
    draw();
  };
  const draw = statsPanel(panel, stats, flip);
  toggle.addEventListener('click', flip);
  document.addEventListener('keydown', (e) => {
    const typing = e.target instanceof HTMLElement && e.target.closest('input, textarea, dialog');
    if (e.key === 's' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) flip();
    if (e.key === 'Escape' && !panel.hidden) flip();
  });
}

/** The lines below the picture. */
function aboutChannel() {
  const badge = h('span', { class: 'badge off' }, 'Offline');
  const time = h('span', { class: 'about-time' });
  const facts = h('span', null);
  const viewers = h('span', null);
  byId('about').append(
    h('div', { class: 'avatar', 'aria-hidden': 'true' }, cover(channel), h('span', null, channel[0])),
    h('div', { class: 'about-text' },
      h('h1', null, channel),
      h('p', { class: 'about-line' }, badge, time, facts, viewers)),
    h('div', { class: 'about-actions' }, copyButton(() => `${location.origin}/@${channel}`, 'the link to this channel', 'Copy link')));
  return (/** @type {import('../lib/api.js').Channel | undefined} */ c) => {
    badge.classList.toggle('off', !c);
    setText(badge, c ? 'Live' : 'Offline');
    setText(time, c ? clock(Date.now() + stats.clockOffset - Date.parse(c.since)) : '');
    setText(facts, c ? describe(c) : '');
    setText(viewers, c?.viewers ? count(c.viewers, 'viewer', 'viewers') : '');
  };
}

/** Follows what the server says is live: this channel's facts and the others. */
function followServer() {
  const others = cards(byId('others'));
  let kinds = '';
  poll(async (signal) => {
    const asked = Date.now();
    const state = await live(signal).catch(() => null);
    if (!state) return;
    stats.sync(state.now, asked, Date.now());
    dialog.update(state);
    const mine = state.streams.find((c) => c.name === channel);
    about(mine);
    const rest = state.streams.filter((c) => c.name !== channel).slice(0, 8);
    byId('more').hidden = rest.length === 0;
    others(rest);
    // A multivariant playlist is read once, so a track that came or a codec
    // that changed would go unnoticed.
    const now = mine?.tracks?.map((t) => `${t.kind}:${t.codec?.split('.')[0]}:${t.height ?? ''}`).sort().join() ?? '';
    const [videos, known] = [mine?.tracks?.filter((t) => t.kind === 'video').length, session.engine?.renditions.length];
    if (now && kinds && now !== kinds && session.engine && (videos !== known || !sameCodecs(now, kinds))) {
      session.reload(`tracks: ${kinds} became ${now}`);
    }
    kinds = now || kinds;
  }, 3000);
}

/** Whether two lists of tracks are of the same kinds and codecs. @param {string} a @param {string} b */
function sameCodecs(a, b) {
  const codecs = (/** @type {string} */ list) => [...new Set(list.split(',').map((t) => t.slice(0, t.lastIndexOf(':'))))].join();
  return codecs(a) === codecs(b);
}
