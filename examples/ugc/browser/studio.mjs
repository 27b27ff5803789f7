#!/usr/bin/env node
// Goes live with the page /creator as a person would, with Chromium's fake
// camera, and prints one JSON document of what the page said.
//
//   node studio.mjs http://127.0.0.1:8080/creator --name cam [--codec video/VP8]
//                   [--seconds 20] [--tcp] [--screenshot out.png] [--size 1280x800]
//                   [--screen] [--chromium /usr/bin/chromium]
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

// One node_modules for the site and its tests.
const require = createRequire(new URL('../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const { values: options, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string', default: 'demo' },
    codec: { type: 'string', default: 'video/H264' },
    seconds: { type: 'string', default: '10' },
    tcp: { type: 'boolean', default: false },
    screen: { type: 'boolean', default: false },
    idle: { type: 'boolean', default: false },
    screenshot: { type: 'string' },
    size: { type: 'string', default: '1280x900' },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
  },
});
if (!url) {
  console.error('usage: studio.mjs http://HOST/creator --name NAME');
  process.exit(2);
}
const [width, height] = options.size.split('x').map(Number);
const report = { states: [], messages: [], errors: [], stats: null, level: null };

const browser = await chromium.launch({
  executablePath: options.chromium,
  headless: true,
  args: [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--auto-select-desktop-capture-source=Entire screen',
  ],
});
try {
  const page = await (await browser.newContext({ viewport: { width, height } })).newPage();
  page.on('pageerror', (e) => report.errors.push(String(e)));
  await page.goto(url);
  if (!options.idle) await goLive(page);
  if (options.screenshot) await page.screenshot({ path: options.screenshot, fullPage: true });
  if (!options.idle) {
    await page.click('#golive');
    await page.waitForFunction(() => window.studio.state === 'idle');
  }
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
}

async function goLive(page) {
  await page.evaluate(() => {
    window.seen = [];
    window.studio.addEventListener('state', () => window.seen.push(window.studio.state));
  });
  await page.fill('#key', options.name);
  await page.selectOption('#codec', options.codec);
  if (options.tcp) await page.check('#tcp');
  await page.click(options.screen ? '#open-screen' : '#open-camera');
  await page.waitForSelector('#golive:not([disabled])', { timeout: 15_000 });
  await page.click('#golive');
  try {
    await page.waitForFunction(() => ['live', 'failed'].includes(window.studio.state), null, { timeout: 20_000 });
    if (await page.evaluate(() => window.studio.state) === 'live') {
      console.error('live');
      await page.waitForTimeout(Number(options.seconds) * 1000);
    }
    report.stats = await page.evaluate(() => window.studio.stats());
  } finally {
    report.states = await page.evaluate(() => window.seen);
    report.messages.push(await page.textContent('#message'));
    report.level = Number(await page.getAttribute('#meter', 'aria-valuenow'));
    report.encoders = await page.$$eval('#encoders .field:not([hidden]) .value', (all) => all.map((e) => e.textContent));
  }
}
