#!/usr/bin/env node
// Adds a push target with the page /creator as a person would, waits until it
// is live, removes it, and prints one JSON document of what the page said.
//
//   node multistream.mjs http://127.0.0.1:8080/creator --name demo
//     --server rtmp://HOST/app --key KEY [--target far] [--size 1280x900]
//     [--screenshot out.png] [--chromium /usr/bin/chromium]
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

// One node_modules for the site and its tests.
const require = createRequire(new URL('../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const { values: options, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string', default: 'demo' },
    server: { type: 'string' },
    key: { type: 'string', default: '' },
    target: { type: 'string', default: 'far' },
    size: { type: 'string', default: '1280x900' },
    screenshot: { type: 'string' },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
  },
});
if (!url || !options.server) {
  console.error('usage: multistream.mjs http://HOST/creator --name NAME --server URL --key KEY');
  process.exit(2);
}
const [width, height] = options.size.split('x').map(Number);
const report = { errors: [] };

const browser = await chromium.launch({
  executablePath: options.chromium,
  headless: true,
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
process.once('SIGINT', () => browser.close());
try {
  const page = await (await browser.newContext({ viewport: { width, height } })).newPage();
  page.setDefaultTimeout(45_000);
  page.on('pageerror', (e) => report.errors.push(String(e)));
  await page.goto(url);
  await page.fill('#key', options.name);
  await page.waitForSelector('#onair[data-state="live"] dd');
  report.broadcast = await page.$$eval('#onair dl div', (all) => Object.fromEntries(all.map((e) => [e.querySelector('dt').textContent, e.querySelector('dd').textContent])));
  report.watch = await page.getAttribute('#onair a', 'href');
  await page.focus('#multistream > summary');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.targets-empty:not([hidden])');

  // What the server does not take is said at the field, which has the focus.
  await page.fill('#target-url', 'ftp://nowhere/x');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#target-url[aria-invalid="true"]');
  report.complaint = await page.textContent('#target-url-hint');
  report.focused = await page.evaluate(() => document.activeElement?.id);

  await page.fill('#target-url', options.server);
  await page.fill('#target-token', options.key);
  await page.fill('#target-name', options.target);
  await page.keyboard.press('Enter');
  const row = `.target[data-target="${options.target}"]`;
  await page.waitForSelector(`${row}[data-state="live"]`);
  await page.waitForFunction((row) => /bit\/s/.test(document.querySelector(`${row} .target-figures`)?.textContent ?? ''), row);
  report.target = {
    badge: await page.textContent(`${row} .badge`), url: await page.textContent(`${row} .target-url`), figures: await page.textContent(`${row} .target-figures`),
  };
  report.note = await page.textContent('#multistream-note');
  report.kept = await page.inputValue('#target-token');
  report.overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (options.screenshot) await page.screenshot({ path: options.screenshot, fullPage: true });
  console.error('live');
  await page.click(`${row} .remove`);
  report.asks = await page.textContent(`${row} .remove`);
  await page.click(`${row} .remove`);
  await page.waitForSelector(row, { state: 'detached' });
  await page.waitForSelector('.targets-empty:not([hidden])');
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
}
