import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { add, describe, list, plain, Refusal, remove, summary, withKey } from '../src/lib/targets.js';

const real = globalThis.fetch;
afterEach(() => { globalThis.fetch = real; });

/** @param {number} status @param {string | null} body */
function answer(status, body) {
  /** @type {any[]} */
  const calls = [];
  globalThis.fetch = async (url, init) => {
    calls.push([init?.method ?? 'GET', url, init?.body]);
    return new Response(body, { status });
  };
  return calls;
}

/** @type {import('../src/lib/targets.js').Target} */
const target = {
  name: 'mine', url: 'rtmp://h/live/***', state: 'live', since: '2026-01-01T00:00:00Z', error: '', bytes: 12_345_678, packets: 9, dropped: 0, connects: 1, failures: 0,
};
const now = Date.parse('2026-01-01T00:01:05Z');

test('the errors of the server become sentences', () => {
  assert.equal(plain('ingest: push: not a push target: write its URL as rtmp://h/a/k\n'), 'Write its URL as rtmp://h/a/k.');
  assert.equal(plain('ingest: push "mine": there is a push target of that name already'), 'There is a push target of that name already.');
  assert.equal(plain('rtmp: dial: connection refused'), 'Dial: connection refused.');
  assert.equal(plain(''), '');
});

test('a key goes where its protocol has it', () => {
  assert.deepEqual(withKey('rtmp://h/live/', 'k?x=1'), { url: 'rtmp://h/live/k?x=1' });
  assert.deepEqual(withKey('RTMPS://h:443/rtmp', 'k'), { url: 'RTMPS://h:443/rtmp/k' });
  assert.deepEqual(withKey('srt://h:1', 'a b'), { url: 'srt://h:1?streamid=a%20b' });
  assert.deepEqual(withKey('srt://h:1?latency=200', 'k'), { url: 'srt://h:1?latency=200&streamid=k' });
  assert.deepEqual(withKey('https://h/whip', 'k'), { url: 'https://h/whip', token: 'k' });
  assert.deepEqual(withKey('rtmp://h/live/k', ''), { url: 'rtmp://h/live/k' });
});

test('a target is told in words and figures', () => {
  assert.deepEqual(describe(target, 2_500_000, now), { word: 'Live', tone: 'live', error: '', figures: ['2.5 Mbit/s', '12 MB sent', 'for 1:05'] });
  const away = describe({ ...target, state: 'retrying', error: 'ingest: push: no', next: '2026-01-01T00:01:09.500Z', dropped: 1, connects: 2 }, 0, now);
  assert.deepEqual(away, {
    word: 'Trying again', tone: 'busy', error: 'No.',
    figures: ['12 MB sent', 'for 1:05', '1 packet left out: it is too slow', 'connected 2 times', 'next try in 5 s'],
  });
  assert.deepEqual(describe({ ...target, state: 'idle', bytes: 0 }, null, now).figures, ['Starts with the broadcast']);
  assert.equal(describe({ ...target, state: 'refused' }, null, now).word, 'Refused');
  assert.equal(describe({ ...target, state: 'new' }, null, now).word, 'new');
});

test('targets are counted', () => {
  assert.equal(summary([]), '');
  assert.equal(summary([target]), '1 target, 1 live');
  assert.equal(summary([target, { ...target, state: 'refused' }]), '2 targets, 1 live');
  assert.equal(summary([{ ...target, state: 'idle' }]), '1 target, none live');
});

test('names are escaped, and what has gone is removed', async () => {
  let calls = answer(200, JSON.stringify({ targets: [target] }));
  assert.deepEqual(await list('demo'), [target]);
  assert.equal(calls[0][1], '/api/v1/live/demo/targets');
  calls = answer(404, '{"error":"gone","field":""}');
  await remove('demo', 'a/b c');
  assert.deepEqual(calls[0].slice(0, 2), ['DELETE', '/api/v1/live/demo/targets/a%2Fb%20c']);
  calls = answer(204, null);
  await remove('demo', 'mine');
  assert.equal(calls.length, 1);
});

test('a refusal carries the field and the reason', async () => {
  const calls = answer(400, JSON.stringify({ error: 'ingest: push: not a push target: no port', field: 'url' }));
  await assert.rejects(add('demo', { url: 'srt://h' }), (/** @type {any} */ e) => e instanceof Refusal && e.status === 400 && e.field === 'url' && e.message === 'No port.');
  assert.deepEqual(JSON.parse(calls[0][2]), { url: 'srt://h' });
  answer(403, JSON.stringify({ error: 'only from this machine', field: '' }));
  await assert.rejects(list('demo'), { status: 403, message: 'Only from this machine.' });
  answer(502, '<html>');
  await assert.rejects(remove('demo', 'mine'), { status: 502, message: 'The server answered 502.' });
});
