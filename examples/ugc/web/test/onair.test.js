import assert from 'node:assert/strict';
import { register } from 'node:module';
import { test } from 'node:test';

// The modules name their styles, which vite takes out of them.
register(`data:text/javascript,${encodeURIComponent(`export const load = (url, context, next) =>
  url.endsWith('.css') ? { format: 'module', source: '', shortCircuit: true } : next(url, context);`)}`);
const { figures, mended, situation, spares } = await import('../src/lib/onair.js');
const { addresses } = await import('../src/lib/ways.js');
const { bytes, rates } = await import('../src/lib/format.js');

/** @type {import('../src/lib/api.js').Channel} */
const channel = {
  name: 'demo', since: '2026-01-01T00:00:00Z', viewers: 3,
  tracks: [{ kind: 'video', codec: 'avc1.64001f', width: 640, height: 360, frameRate: 29.97 }, { kind: 'audio', codec: 'mp4a.40.2' },
    { kind: 'video', codec: 'avc1.640028', width: 1920, height: 1080, frameRate: 59.94 }],
  encoder: { state: 'live', protocol: 'srt', spares: 0, switches: 0, connections: 1, bytes: 5_000_000, repairs: {} },
};
const now = Date.parse('2026-01-01T00:01:05Z');
const withEncoder = (/** @type {any} */ e) => ({ ...channel, encoder: { ...channel.encoder, ...e } });

test('the state of a broadcast is told', () => {
  const badge = (/** @type {any} */ c, answers = true) => situation(c, answers).badge;
  assert.equal(badge(undefined), 'Off the air');
  assert.equal(badge(channel, false), 'Unknown');
  assert.equal(badge(channel), 'Live');
  assert.equal(badge({ ...channel, encoder: undefined }), 'Live');
  assert.equal(badge({ ...channel, tracks: [] }), 'Starting');
  assert.equal(badge(withEncoder({ state: 'waiting' })), 'Waiting for the encoder');
  assert.equal(badge(withEncoder({ state: 'slate' })), 'Slate on');
  assert.match(situation(withEncoder({ state: 'slate', protocol: undefined }), true).text, /is away/);
  assert.match(situation(withEncoder({ state: 'slate' }), true).text, /sends nothing/);
});

test('spares are counted', () => {
  assert.equal(spares(channel), '');
  assert.equal(spares(undefined), '');
  assert.equal(spares(withEncoder({ spares: 1 })), '1 spare standing by');
  assert.equal(spares(withEncoder({ spares: 2, switches: 1 })), '2 spares standing by, taken over 1 time');
});

test('figures are those of the largest picture', () => {
  const all = Object.fromEntries(figures(channel, 4_200_000, now));
  assert.deepEqual(all, {
    'On air': '1:05', Over: 'SRT', 'Bit rate': '4.2 Mbit/s', Picture: '1920×1080', 'Frame rate': '59.94 fps', Codecs: 'H.264, AAC', Viewers: '3', Received: '5.0 MB',
  });
  const srt = { rtt: 0.0123, latency: 0.12, received: 1000, lost: 25, retransmitted: 24, missing: 0 };
  const lossy = Object.fromEntries(figures({ ...channel, srt }, null, now));
  assert.equal(lossy['SRT round trip'], '12.3 ms');
  assert.equal(lossy['Packets lost'], '25 (2.50 %)');
  assert.equal(lossy.Retransmitted, '24 (2.40 %)');
  assert.equal(lossy['Never came'], '0');
  assert.equal(Object.fromEntries(figures(withEncoder({ state: 'waiting', protocol: undefined }), 9, now))['Bit rate'], '–');
});

test('what was mended is told in words', () => {
  assert.equal(mended(channel), '');
  assert.equal(mended(withEncoder({ repairs: { wraps: 4 } })), '', 'no trouble');
  assert.equal(mended(withEncoder({ repairs: { lateDropped: 1, anchors: 2 } })), 'Mended so far: 1 frame came too late, time stamps jumped 2 times.');
});

test('only what is enabled has addresses', () => {
  const all = addresses({ rtmp: 'rtmp://h:1935/live', rtmps: 'rtmps://h:443/live', srt: 'srt://h:8890?streamid=publish:', whip: 'https://h/whip' }, 'demo');
  assert.equal(all.rtmp, 'rtmp://h:1935/live/demo');
  assert.equal(all.rtmps, 'rtmps://h:443/live/demo');
  assert.equal(all.srt, 'srt://h:8890?streamid=publish:demo');
  assert.equal(all.whip, 'https://h/whip/demo');
  assert.match(all.ffmpeg, /-f flv 'rtmp:\/\/h:1935\/live\/demo'$/);
  assert.match(all.ffmpegSRT, /-f mpegts 'srt:.*demo'$/);
  assert.deepEqual(Object.entries(addresses({}, 'demo')).filter(([, v]) => v), [['key', 'demo']]);
});

test('bit rates come from counters', () => {
  const rate = rates();
  assert.equal(rate('a', 1000, 0), null);
  assert.equal(rate('a', 126_000, 1000), 1_000_000);
  assert.equal(rate('b', 0, 1000), null, 'another counter');
  assert.equal(rate('a', 251_000, 2000), 1_000_000);
  assert.equal(rate('a', 0, 3000), null, 'it counts anew');
  assert.equal(rate('a', 0, 3000 + 60_000), null, 'what is long ago tells nothing');
  assert.deepEqual([0, 999, 1500, 12_345_678, 2e15].map(bytes), ['0 B', '999 B', '1.5 kB', '12 MB', '2000 TB']);
  assert.equal(bytes(undefined), '–');
});
