import '../style/creator.css';
import '../style/cards.css';
import '../style/golive.css';
import { live, poll, validName } from '../lib/api.js';
import { frame } from '../lib/chrome.js';
import { byId, h, setText } from '../lib/dom.js';
import { bitrate, clock } from '../lib/format.js';
import { goLiveDialog } from '../lib/golive.js';
import { levelMeter } from '../lib/meter.js';
import { multistream } from '../lib/multistream.js';
import { onAir } from '../lib/onair.js';
import { ways } from '../lib/ways.js';
import { explainMedia, Publisher } from '../lib/whip.js';

const qualities = [
  { name: '1080p · 4.5 Mbit/s', width: 1920, height: 1080, bitrate: 4_500_000 },
  { name: '720p · 2.5 Mbit/s', width: 1280, height: 720, bitrate: 2_500_000 },
  { name: '480p · 1.2 Mbit/s', width: 854, height: 480, bitrate: 1_200_000 },
  { name: '360p · 600 kbit/s', width: 640, height: 360, bitrate: 600_000 },
];
const codecs = [
  { mime: 'video/H264', name: 'H.264', hint: 'Plays everywhere as it is.' },
  { mime: 'video/AV1', name: 'AV1', hint: 'The best picture for its bits; makes this machine work hard. Newer devices play it.' },
  { mime: 'video/VP9', name: 'VP9', hint: 'A better picture than H.264. Most browsers play it.' },
  { mime: 'video/VP8', name: 'VP8', hint: 'Only for servers that transcode (--ladder): players do not take it as it is.' },
];
const rate = 30;

const dialog = goLiveDialog();
frame(dialog.open);

const element = (/** @type {string} */ id) => /** @type {any} */ (byId(id));
const [video, monitor, badge, timer, message, facts] = ['preview', 'monitor', 'badge', 'timer', 'message', 'facts'].map(element);
const [go, goText, mute, openCamera, openScreen] = ['golive', 'golive-text', 'mute', 'open-camera', 'open-screen'].map(element);
const [camera, microphone, quality, codec, tcp] = ['camera', 'microphone', 'quality', 'codec', 'tcp'].map(element);
const meter = levelMeter(byId('meter'), byId('meter-fill'), byId('meter-peak'));
const publisher = new Publisher();
/** @type {MediaStream | null} */
let stream = null;
/** @type {import('../lib/api.js').Live | null} */
let server = null;
let problem = ''; // of the devices

const key = keyField();
let answers = true;
const broadcast = onAir();
const targets = multistream();
const encoders = ways();
byId('encoders').append(encoders.element);
fillMenus();
monitorHint();
const secure = checkSecure();

openCamera.addEventListener('click', () => open(fromCamera));
openScreen.addEventListener('click', () => open(fromScreen));
for (const menu of [camera, microphone, quality]) menu.addEventListener('change', () => stream && !stream.getVideoTracks()[0]?.getSettings().displaySurface && open(fromCamera));
codec.addEventListener('change', codecHint);
mute.addEventListener('click', flipMute);
go.addEventListener('click', flipLive);
publisher.addEventListener('state', show);
addEventListener('pagehide', () => publisher.stop());
addEventListener('beforeunload', (e) => publisher.state !== 'idle' && publisher.state !== 'failed' && e.preventDefault());
setInterval(facing, 1000);
Object.assign(window, { studio: publisher });
show();

poll(async (signal) => {
  const now = await live(signal).catch(() => null);
  answers = now !== null;
  const could = sends();
  server = now ?? server;
  if (could !== sends()) checkServer();
  if (server) dialog.update(server);
  key.update();
  showChannel();
}, 2000);

/** Whether the server takes what this browser could send. */
function sends() {
  return secure && (!server || Boolean(server.publish?.whip));
}

function checkServer() {
  const note = byId('insecure');
  note.hidden = sends();
  note.textContent = 'This server takes nothing from browsers: WebRTC is switched off. Use one of the encoders below.';
  show();
}

/** What depends on the channel and on what the server says of it. */
function showChannel() {
  const name = key.good ? key.value : 'demo';
  encoders.update(server, name);
  targets(key.open && key.good ? key.value : '');
  const mine = key.good ? server?.streams.find((c) => c.name === key.value) : undefined;
  broadcast(name, mine, answers, Date.now());
}

/** The channel's name, which is its key on an open server. */
function keyField() {
  const remembered = localStorage.getItem('sluice.channel') ?? 'demo';
  const input = /** @type {HTMLInputElement} */ (h('input', {
    id: 'key', class: 'name-input', value: remembered, maxlength: 200, spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off', 'aria-describedby': 'key-hint',
  }));
  const label = h('label', { for: 'key' }, 'Channel name');
  const at = h('span', { class: 'at', 'aria-hidden': 'true' }, '@');
  const hint = h('small', { id: 'key-hint' });
  byId('key-setting').append(label, h('div', { class: 'name-row' }, at, input), hint);
  const field = {
    get open() { return server?.open !== false; },
    get value() { return this.open ? input.value.trim().toLowerCase() : input.value.trim(); },
    get good() { return this.open ? validName(this.value) : this.value !== ''; },
    lock: (/** @type {boolean} */ on) => { input.disabled = on; },
    update() {
      setText(label, this.open ? 'Channel name' : 'Stream key');
      at.hidden = !this.open;
      input.setAttribute('aria-invalid', String(!this.good));
      setText(hint, !this.open ? 'The key that was made for your channel. Keep it to yourself.'
        : this.good ? `You will be at ${location.host}/@${this.value}`
          : 'Use 1 to 64 of a–z 0–9 _ - and begin with a letter or a digit.');
    },
  };
  input.addEventListener('input', () => {
    field.update();
    showChannel();
    show();
  });
  field.update();
  return field;
}

function fillMenus() {
  qualities.forEach((q, i) => quality.append(h('option', { value: i, selected: i === 1 }, q.name)));
  const able = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs ?? [];
  for (const c of codecs.filter(({ mime }) => able.some((a) => a.mimeType === mime))) codec.append(h('option', { value: c.mime }, c.name));
  codecHint();
}

function codecHint() {
  setText(byId('codec-hint'), codecs.find((c) => c.mime === codec.value)?.hint ?? 'This browser cannot send video.');
}

function monitorHint() {
  byId('monitor-empty').append(
    h('p', { class: 'monitor-title' }, 'Choose what to show'),
    h('p', null, 'Nothing is sent before you press “Go live”.'));
}

/** Browsers give cameras to secure pages only. */
function checkSecure() {
  if (navigator.mediaDevices && globalThis.RTCPeerConnection) return true;
  const note = byId('insecure');
  note.hidden = false;
  note.textContent = isSecureContext
    ? 'This browser cannot go live by itself. Use one of the encoders below.'
    : `Browsers open cameras only on https:// pages and on localhost, and this page came over plain http from ${location.hostname}. `
      + 'Serve the site over https, or open it on the machine itself as http://localhost. The encoders below work as they are.';
  for (const button of [openCamera, openScreen, go]) button.disabled = true;
  return false;
}

const size = () => qualities[Number(quality.value)];

async function fromCamera() {
  const want = size();
  const chosen = (/** @type {HTMLSelectElement} */ menu) => (menu.value ? { deviceId: { exact: menu.value } } : {});
  const picture = { ...chosen(camera), width: { ideal: want.width }, height: { ideal: want.height }, frameRate: { ideal: rate } };
  const got = await navigator.mediaDevices.getUserMedia({ video: picture, audio: { ...chosen(microphone) } })
    .catch((e) => (e.name === 'NotFoundError' ? navigator.mediaDevices.getUserMedia({ video: picture }) : Promise.reject(e)));
  await listDevices(got);
  return got;
}

async function fromScreen() {
  const want = size();
  const screen = await navigator.mediaDevices.getDisplayMedia({ video: { width: { max: want.width }, height: { max: want.height }, frameRate: rate }, audio: true });
  if (screen.getAudioTracks().length > 0) return screen;
  const voice = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => null);
  return new MediaStream([...screen.getVideoTracks(), ...(voice?.getAudioTracks() ?? [])]);
}

/** @param {MediaStream} got */
async function listDevices(got) {
  const all = await navigator.mediaDevices.enumerateDevices();
  for (const [menu, kind, track] of [[camera, 'videoinput', got.getVideoTracks()[0]], [microphone, 'audioinput', got.getAudioTracks()[0]]]) {
    const devices = all.filter((d) => d.kind === kind);
    menu.replaceChildren(...devices.map((d, i) => h('option', { value: d.deviceId, selected: d.deviceId === track?.getSettings().deviceId }, d.label || `Device ${i + 1}`)));
    menu.parentElement.hidden = devices.length === 0;
  }
}

/** @param {() => Promise<MediaStream>} get */
async function open(get) {
  problem = '';
  try {
    const fresh = await get();
    const old = stream;
    stream = fresh;
    video.srcObject = fresh;
    video.classList.toggle('mirror', get === fromCamera);
    meter.watch(fresh);
    for (const t of fresh.getAudioTracks()) t.enabled = mute.getAttribute('aria-pressed') !== 'true';
    await publisher.replace(fresh);
    old?.getTracks().forEach((t) => t.stop());
    for (const t of fresh.getVideoTracks()) {
      t.addEventListener('ended', () => {
        if (stream !== fresh) return;
        problem = 'The picture has ended: choose another source.';
        show();
      });
    }
  } catch (e) {
    problem = explainMedia(e);
  }
  show();
}

function flipMute() {
  const on = mute.getAttribute('aria-pressed') !== 'true';
  mute.setAttribute('aria-pressed', String(on));
  setText(mute, on ? 'Unmute' : 'Mute');
  for (const t of stream?.getAudioTracks() ?? []) t.enabled = !on;
}

function flipLive() {
  if (publisher.state !== 'idle' && publisher.state !== 'failed') {
    publisher.stop();
    return;
  }
  if (!stream || !key.good) return;
  if (key.open) localStorage.setItem('sluice.channel', key.value);
  publisher.start(stream, { key: key.value, codec: codec.value, bitrate: size().bitrate, rate, tcp: tcp.checked });
}

/** Makes the page say what is. */
function show() {
  const state = publisher.state;
  const busy = state !== 'idle' && state !== 'failed';
  monitor.dataset.state = state === 'idle' ? (stream ? 'ready' : 'off') : state;
  byId('monitor-empty').hidden = stream !== null;
  badge.classList.toggle('off', state !== 'live');
  setText(badge, { idle: stream ? 'Ready' : 'Off', connecting: 'Connecting', live: 'Live', reconnecting: 'Interrupted', failed: 'Not live' }[state]);
  setText(goText, busy ? 'Stop' : 'Go live');
  go.classList.toggle('stop', busy);
  go.disabled = !busy && (!sends() || !stream || !key.good);
  mute.disabled = !stream?.getAudioTracks().length;
  key.lock(busy);
  for (const menu of [codec, tcp]) menu.disabled = busy;
  const watch = h('a', { href: `/@${key.value}`, target: '_blank', rel: 'noopener' }, `${location.host}/@${key.value}`);
  message.classList.toggle('trouble', Boolean(problem) || state === 'failed' || state === 'reconnecting');
  if (problem) message.replaceChildren(problem);
  else if (state === 'live') message.replaceChildren('You are live. ', ...(key.open ? ['Watch at ', watch] : []));
  else message.replaceChildren(publisher.message || (state === 'connecting' ? 'Connecting…' : ''));
  timer.hidden = facts.hidden = state !== 'live';
  facing();
}

/** What changes by the second. */
async function facing() {
  if (publisher.state !== 'live') return;
  setText(timer, clock(Date.now() - publisher.since));
  const s = await publisher.stats();
  if (!s) return;
  const shown = {
    Sending: bitrate(s.bitrate), Picture: s.width ? `${s.width}×${s.height}, ${Math.round(s.frameRate ?? 0)} fps` : '–', Codec: s.codec ?? '–',
    'Round trip': s.rtt == null ? '–' : `${Math.round(s.rtt * 1000)} ms`, Over: (s.protocol ?? '–').toUpperCase(),
    'Held back by': { bandwidth: 'the line', cpu: 'this machine' }[s.limited ?? ''] ?? 'nothing',
  };
  facts.replaceChildren(...Object.entries(shown).map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))));
}
