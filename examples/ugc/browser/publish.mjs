#!/usr/bin/env node
// Goes live from Chromium's fake camera and microphone over WHIP, and prints one
// JSON document.
//
//   node publish.mjs ENDPOINT [--codec video/H264] [--seconds 20] [--bitrate 1500]
//                    [--size 640x360] [--rate 30] [--transport tcp] [--no-audio]
//                    [--vanish] [--chromium /usr/bin/chromium]
//
// ENDPOINT is http://127.0.0.1:8080/whip/KEY; the page is one of the same host.
// With --vanish the browser is killed at the end and says no goodbye. Once it is
// connected, a line "live" goes to stderr.
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

// One node_modules for the site and its tests.
const require = createRequire(new URL('../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const { values: options, positionals: [endpoint] } = parseArgs({
  allowPositionals: true,
  options: {
    codec: { type: 'string', default: 'video/H264' },
    seconds: { type: 'string', default: '20' },
    bitrate: { type: 'string', default: '1500' },
    size: { type: 'string', default: '640x360' },
    rate: { type: 'string', default: '30' },
    transport: { type: 'string', default: '' },
    'no-audio': { type: 'boolean', default: false },
    vanish: { type: 'boolean', default: false },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
  },
});
if (!endpoint) {
  console.error('usage: publish.mjs ENDPOINT [--codec video/VP8] [--seconds N]');
  process.exit(2);
}
const [width, height] = options.size.split('x').map(Number);
const url = endpoint + (options.transport ? `?transport=${options.transport}` : '');

const browser = await chromium.launch({
  executablePath: options.chromium,
  headless: true,
  args: [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  ],
});
try {
  const page = await (await browser.newContext()).newPage();
  await page.goto(new URL('/healthz', endpoint).href);
  const report = await page.evaluate(publish, {
    url, codec: options.codec, bitrate: Number(options.bitrate) * 1000, width, height,
    rate: Number(options.rate), audio: !options['no-audio'],
  });
  if (!report.error) {
    console.error('live');
    await page.waitForTimeout(Number(options.seconds) * 1000);
    Object.assign(report, await page.evaluate(stats));
    if (!options.vanish) report.deleted = await page.evaluate(hangUp);
  }
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
}

async function publish({ url, codec, bitrate, width, height, rate, audio }) {
  const media = await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: rate }, audio });
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  for (const track of media.getTracks()) {
    const video = track.kind === 'video';
    const t = pc.addTransceiver(track, { direction: 'sendonly', sendEncodings: video ? [{ maxBitrate: bitrate }] : undefined });
    if (!video) continue;
    const all = RTCRtpSender.getCapabilities('video').codecs;
    const wanted = all.filter((c) => c.mimeType === codec);
    if (wanted.length === 0) return { error: `this browser has no ${codec}: ${[...new Set(all.map((c) => c.mimeType))]}` };
    t.setCodecPreferences([...wanted, ...all.filter((c) => c.mimeType === 'video/rtx')]);
  }
  await pc.setLocalDescription();
  const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  const sdp = await answer.text();
  if (answer.status !== 201) return { error: `${answer.status}: ${sdp}` };
  const location = new URL(answer.headers.get('Location'), url).href;
  await pc.setRemoteDescription({ type: 'answer', sdp });
  for (const sender of pc.getSenders().filter((s) => s.track?.kind === 'video')) { // a new size is a new era
    await sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' });
  }
  window.live = { pc, location };
  await new Promise((resolve, reject) => {
    if (pc.connectionState === 'connected') resolve();
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === 'connected') resolve();
      if (pc.connectionState === 'failed') reject(new Error('no connection'));
    };
    setTimeout(() => reject(new Error(`not connected: ${pc.connectionState}`)), 15000);
  });
  return { location, answer: sdp };
}

async function stats() {
  const all = [...(await window.live.pc.getStats()).values()];
  const out = all.find((s) => s.type === 'outbound-rtp' && s.kind === 'video') ?? {};
  const pair = all.find((s) => s.type === 'candidate-pair' && s.nominated);
  return {
    state: window.live.pc.connectionState,
    codec: all.find((s) => s.id === out.codecId)?.mimeType,
    frames: out.framesEncoded, keyFrames: out.keyFramesEncoded, plis: out.pliCount, firs: out.firCount, nacks: out.nackCount,
    retransmitted: out.retransmittedPacketsSent, bytes: out.bytesSent, width: out.frameWidth, height: out.frameHeight,
    available: pair?.availableOutgoingBitrate, protocol: all.find((s) => s.id === pair?.localCandidateId)?.protocol,
  };
}

async function hangUp() {
  const { pc, location } = window.live;
  const r = await fetch(location, { method: 'DELETE' });
  pc.close();
  return r.status;
}
