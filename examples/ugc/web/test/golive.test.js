import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decibels, share } from '../src/lib/meter.js';
import { backoff, explain, explainMedia, startAt } from '../src/lib/whip.js';

test('a refusal says in plain words what to do, and whether to try again', () => {
  assert.deepEqual(explain(409, 'x'), { message: 'Somebody else is live on this channel already.', again: true });
  assert.equal(explain(503, '').again, true);
  assert.equal(explain(502, '').again, true);
  assert.equal(explain(403, 'ingest: publish: no\n').message, 'The server refused: publish: no');
  for (const status of [401, 403, 404, 422, 400]) assert.equal(explain(status, '').again, false);
});

test('tries are spaced out, up to eight seconds', () => {
  assert.deepEqual([0, 1, 2, 3, 9].map(backoff), [1000, 2000, 4000, 8000, 8000]);
});

test('what a browser says of its devices is explained', () => {
  const named = (/** @type {string} */ name) => Object.assign(new Error('text'), { name });
  assert.match(explainMedia(named('NotAllowedError')), /permit/);
  assert.match(explainMedia(named('NotFoundError')), /found/);
  assert.match(explainMedia(named('Other')), /text/);
});

test('the meter is in decibels below full scale', () => {
  assert.equal(decibels(new Float32Array(4)), -60);
  assert.equal(decibels(new Float32Array([1, -1, 1, -1])), 0);
  assert.ok(Math.abs(decibels(new Float32Array([0.1, -0.1])) + 20) < 0.01);
  assert.equal(share(-60), 0);
  assert.equal(share(0), 1);
});

test('the answer says at which bitrate to begin, for pictures only', () => {
  const sdp = ['m=audio 9 x 111', 'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10', 'm=video 9 x 96 97 98',
    'a=rtpmap:96 VP8/90000', 'a=rtpmap:97 rtx/90000', 'a=fmtp:97 apt=96', 'a=rtpmap:98 H264/90000', 'a=fmtp:98 packetization-mode=1', ''].join('\r\n');
  const out = startAt(sdp, 1_500_000);
  assert.match(out, /a=rtpmap:96 VP8\/90000\r\na=fmtp:96 x-google-start-bitrate=1500\r\n/);
  assert.match(out, /a=fmtp:98 packetization-mode=1;x-google-start-bitrate=1500\r\n/);
  assert.match(out, /a=fmtp:97 apt=96\r\n/);
  assert.match(out, /a=fmtp:111 minptime=10\r\n/);
});
