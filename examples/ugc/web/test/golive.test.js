import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decibels, share } from '../src/lib/meter.js';
import { backoff, explain, explainMedia } from '../src/lib/whip.js';

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
