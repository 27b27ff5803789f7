#!/usr/bin/env node
// Opens a watch page in Chromium, observes it and prints one JSON document.
//
//   node watch.mjs URL [--seconds 20] [--screenshot out.png] [--size 1280x720]
//                      [--wait 20] [--chromium /usr/bin/chromium] [--scale 1]
//                      [--click SELECTOR] [--until-state STATE] [--interval 250]
//                      [--quality 480p@5,@10] [--bandwidth 900@5,0@20]
//
// --wait is how long the first frame may take, --seconds how long is observed
// after it. With --until-state the watching ends as soon as the page's state is
// that one. --quality chooses renditions from the menu, each so many seconds
// after the first frame, "" being automatic; --bandwidth bounds what arrives,
// in kbit/s, 0 being no bound. The exit status is 0 when the document was written; whether what
// it says is good is for the reader to judge.
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

// One node_modules for the site and its tests.
const require = createRequire(new URL('../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const { values: options, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '10' },
    wait: { type: 'string', default: '20' },
    screenshot: { type: 'string' },
    size: { type: 'string', default: '1280x720' },
    scale: { type: 'string', default: '1' },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
    click: { type: 'string' },
    'until-state': { type: 'string' },
    interval: { type: 'string', default: '250' },
    quality: { type: 'string', default: '' },
    bandwidth: { type: 'string', default: '' },
  },
});
if (!url) {
  console.error('usage: watch.mjs URL [--seconds N] [--screenshot out.png]');
  process.exit(2);
}

const [width, height] = options.size.split('x').map(Number);
const interval = Number(options.interval);
const plan = (text, act) => text.split(',').filter(Boolean).map((one) => {
  const [value, seconds] = one.split('@');
  return { after: Number(seconds) * 1000, act: (page) => act(page, value) };
});
const changes = [...plan(options.quality, chooseQuality), ...plan(options.bandwidth, limitBandwidth)]
  .sort((a, b) => a.after - b.after);
let devtools; // the bound of the bandwidth is this session's
const report = {
  url, playing: false, firstFrameMs: 0, frames: 0, dropped: 0, advanced: 0, stalls: 0, stalledMs: 0,
  latency: null, sizes: [], states: [], errors: [], console: [], failedRequests: [], log: [], samples: [], final: null,
};

const browser = await chromium.launch({
  executablePath: options.chromium,
  headless: true,
  args: [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
    '--autoplay-policy=no-user-gesture-required',
  ],
});
try {
  await observe(await browser.newContext({ viewport: { width, height }, deviceScaleFactor: Number(options.scale) }));
} finally {
  await browser.close();
}
summarise();
console.log(JSON.stringify(report));

async function observe(context) {
  const page = await context.newPage();
  page.on('pageerror', (e) => report.errors.push(String(e)));
  page.on('console', (m) => {
    if (['error', 'warning'].includes(m.type()) && report.console.length < 100) report.console.push(`${m.type()}: ${m.text()}`);
  });
  page.on('response', (r) => {
    if (r.status() >= 400 && report.failedRequests.length < 100) report.failedRequests.push(`${r.status()} ${r.url()}`);
  });
  const opened = Date.now();
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  if (options.click) await page.click(options.click);
  const watch = await page.evaluate(() => 'sluice' in window);
  if (!watch) {
    await page.waitForTimeout(Number(options.seconds) * 1000);
  } else {
    await sample(page, opened);
  }
  if (options.screenshot) await page.screenshot({ path: options.screenshot });
  if (watch) report.log = await page.evaluate(() => window.sluice.log);
}

async function sample(page, opened) {
  const patience = opened + Number(options.wait) * 1000;
  let end = Infinity;
  let begin = Infinity;
  for (let next = Date.now(); Date.now() < end; next += interval) {
    while (changes.length && Date.now() - begin >= changes[0].after) await changes.shift().act(page);
    const now = { ...await page.evaluate(() => window.sluice.stats()), colour: await page.evaluate(colour) };
    const at = Date.now() - opened;
    report.samples.push({ at, ...now });
    if (report.states.at(-1)?.state !== now.state) report.states.push({ at, state: now.state });
    if (now.width && report.sizes.at(-1)?.width !== now.width) report.sizes.push({ at, width: now.width, height: now.height });
    if (plays(now) && !report.playing) {
      report.playing = true;
      report.firstFrameMs = now.firstFrameMs;
      begin = Date.now();
      end = begin + Number(options.seconds) * 1000;
    }
    if (options['until-state'] === now.state) break;
    if (!report.playing && Date.now() > patience) break;
    await page.waitForTimeout(Math.max(0, next + interval - Date.now()));
  }
}

// In the page: the mean colour of the picture shown, decoded; null without one.
function colour() {
  const video = document.querySelector('video');
  if (!video?.videoWidth || video.readyState < 2) return null;
  const canvas = (window.sampled ??= new OffscreenCanvas(1, 1));
  const context = (window.sampledContext ??= canvas.getContext('2d', { willReadFrequently: true }));
  context.drawImage(video, 0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

async function chooseQuality(page, name) {
  await page.waitForFunction((n) => [...document.querySelectorAll('#quality option')].some((o) => o.value === n), name);
  await page.selectOption('#quality', name, { force: true });
}

async function limitBandwidth(page, kbps) {
  devtools ??= await page.context().newCDPSession(page);
  const throughput = Number(kbps) > 0 ? (Number(kbps) * 1000) / 8 : -1;
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions',
    { offline: false, latency: 0, downloadThroughput: throughput, uploadThroughput: -1 });
}

// A frame was shown, or there is sound and no picture to show.
function plays(s) {
  return s.frames > 0 || (s.state === 'live' && !s.width);
}

function summarise() {
  const playing = report.samples.filter(plays);
  if (playing.length === 0) return;
  const [first, last] = [playing[0], playing.at(-1)];
  report.final = last;
  report.frames = last.frames - first.frames;
  report.dropped = last.dropped;
  report.stalls = last.stalls;
  report.stalledMs = last.stalledMs;
  // What was played, seeks left out.
  report.advanced = playing.slice(1).reduce((sum, s, i) => {
    const step = s.currentTime - playing[i].currentTime;
    return step > 0 && step < 1 ? sum + step : sum;
  }, 0);
  const latencies = playing.map((s) => s.latency).filter((v) => v !== null).sort((a, b) => a - b);
  if (latencies.length > 0) {
    const at = (p) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * p))];
    report.latency = { min: latencies[0], median: at(0.5), p95: at(0.95), max: latencies.at(-1), last: last.latency };
  }
}
