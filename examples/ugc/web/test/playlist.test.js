import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstVariant, isEnded, probe } from '../src/player/playlist.js';

const entry = 'https://tv.example/live/demo/index.m3u8?token=k';
const multivariant = '#EXTM3U\r\n#EXT-X-MEDIA:TYPE=AUDIO,URI="a.m3u8"\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\n\r\n1/index.m3u8?token=k\r\n';
const media = '#EXTM3U\n#EXTINF:4,\n1.m4s\n';

/** @param {Record<string, [number, string]>} answers */
const server = (answers) => /** @type {any} */ (async (/** @type {string} */ url) => {
  const [status, text] = answers[url] ?? [404, ''];
  return { status, url, text: async () => text };
});

test('the first variant is found and resolved', () => {
  assert.equal(firstVariant(multivariant, entry), 'https://tv.example/live/demo/1/index.m3u8?token=k');
  assert.equal(firstVariant(media, entry), null);
  assert.equal(firstVariant('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n', entry), null);
});

test('an end is a tag on a line of its own', () => {
  assert.equal(isEnded(`${media}#EXT-X-ENDLIST`), true);
  assert.equal(isEnded(`${media}# no #EXT-X-ENDLIST here`), false);
});

test('a look tells a broadcast from none, an ended one, a private one and a lost server', async () => {
  const variant = 'https://tv.example/live/demo/1/index.m3u8?token=k';
  const look = (/** @type {any} */ answers) => probe(entry, undefined, server(answers));
  assert.equal(await look({ [entry]: [200, multivariant], [variant]: [200, media] }), 'live');
  assert.equal(await look({ [entry]: [200, multivariant], [variant]: [200, `${media}#EXT-X-ENDLIST\n`] }), 'ended');
  assert.equal(await look({ [entry]: [200, media] }), 'live');
  assert.equal(await look({ [entry]: [200, multivariant] }), 'offline');
  assert.equal(await look({}), 'offline');
  assert.equal(await look({ [entry]: [403, ''] }), 'denied');
  assert.equal(await look({ [entry]: [503, ''] }), 'unreachable');
  assert.equal(await probe(entry, undefined, async () => { throw new TypeError('network'); }), 'unreachable');
});
