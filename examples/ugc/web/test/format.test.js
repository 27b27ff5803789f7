import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitrate, clock, codecName, count, pictureName, seconds } from '../src/lib/format.js';

test('codecs have their everyday names', () => {
  const names = {
    'avc1.64001f': 'H.264', 'avc3.42c01e': 'H.264', 'hvc1.1.6.L93.B0': 'HEVC', 'av01.0.08M.08': 'AV1', 'vp09.00.10.08': 'VP9',
    'mp4a.40.2': 'AAC', 'mp4a.40.5': 'HE-AAC', 'mp4a.40.29': 'HE-AAC', 'mp4a.40.34': 'MP3', 'mp4a.6B': 'MP3', '.mp3': 'MP3',
    Opus: 'Opus', 'new1.x': 'new1', '': '',
  };
  for (const [codec, name] of Object.entries(names)) assert.equal(codecName(codec), name, codec);
});

test('pictures are named by their short side, and by a high rate', () => {
  assert.equal(pictureName({ width: 1920, height: 1080, frameRate: 29.97 }), '1080p');
  assert.equal(pictureName({ width: 1280, height: 720, frameRate: 59.94 }), '720p60');
  assert.equal(pictureName({ width: 720, height: 1280, frameRate: 30 }), '720p');
  assert.equal(pictureName({ width: 640, height: 360 }), '360p');
  assert.equal(pictureName({ frameRate: 60 }), '');
  assert.equal(pictureName(undefined), '');
});

test('running times', () => {
  assert.equal(clock(0), '0:00');
  assert.equal(clock(-5000), '0:00', 'clocks differ');
  assert.equal(clock(61_999), '1:01');
  assert.equal(clock(3_600_000), '1:00:00');
  assert.equal(clock(36_061_000), '10:01:01');
});

test('rates, seconds, counts', () => {
  assert.equal(bitrate(96_000), '96 kbit/s');
  assert.equal(bitrate(2_540_000), '2.5 Mbit/s');
  assert.equal(bitrate(12_600_000), '13 Mbit/s');
  assert.equal(bitrate(NaN), '–');
  assert.equal(seconds(0.876), '0.88 s');
  assert.equal(seconds(null), '–');
  assert.equal(count(1, 'viewer', 'viewers'), '1 viewer');
  assert.equal(count(1200, 'viewer', 'viewers'), '1,200 viewers');
});
