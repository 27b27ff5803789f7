import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Adapter, shown } from '../src/player/adapt.js';
import { Backoff } from '../src/player/backoff.js';
import { pace } from '../src/player/pace.js';
import { match, named } from '../src/player/quality.js';
import { ahead, remedy } from '../src/player/watchdog.js';

test('waits double up to a limit and begin anew after a reset', () => {
  const b = new Backoff({ first: 500, max: 3000, random: () => 0.5 });
  assert.deepEqual([b.next(), b.next(), b.next(), b.next(), b.next()], [500, 1000, 2000, 3000, 3000]);
  b.reset();
  assert.equal(b.next(), 500);
});

test('waits are spread by a quarter either way', () => {
  assert.equal(new Backoff({ first: 1000, random: () => 0 }).next(), 750);
  assert.equal(new Backoff({ first: 1000, random: () => 1 }).next(), 1250);
});

const part = 0.26;

test('a late player with media in hand hurries, but not audibly', () => {
  assert.equal(pace({ distance: 0.3, buffer: 1, rate: 1, part }), 1.03);
  assert.equal(pace({ distance: 0.7, buffer: 1, rate: 1, part }), 1.07);
  assert.equal(pace({ distance: 5, buffer: 4, rate: 1, part }), 1.1);
});

test('a late player without media in hand does not', () => {
  assert.equal(pace({ distance: 2, buffer: 0.2, rate: 1, part }), 1);
  assert.equal(pace({ distance: 2, buffer: 0.3, rate: 1.1, part }), 1);
});

test('hurrying goes on until the target is reached, so that it does not flutter', () => {
  assert.equal(pace({ distance: 0.1, buffer: 0.8, rate: 1, part }), 1);
  assert.equal(pace({ distance: 0.1, buffer: 0.8, rate: 1.03, part }), 1.03);
  assert.equal(pace({ distance: 0.05, buffer: 0.8, rate: 1.03, part }), 1);
});

test('a player nearer to the edge than asked slows down until it is back', () => {
  assert.equal(pace({ distance: -0.2, buffer: 0.4, rate: 1, part }), 1);
  assert.equal(pace({ distance: -0.3, buffer: 0.4, rate: 1, part }), 0.97);
  assert.equal(pace({ distance: -0.1, buffer: 0.5, rate: 0.97, part }), 0.97);
  assert.equal(pace({ distance: 0, buffer: 0.7, rate: 0.97, part }), 1);
});

test('a viewer who is far behind has chosen to be', () => {
  assert.equal(pace({ distance: 20, buffer: 10, rate: 1, part }), 1);
});

test('what is buffered ahead ends at the first hole', () => {
  const buffered = [{ start: 0, end: 4 }, { start: 6, end: 9 }];
  assert.equal(ahead(buffered, 3), 1);
  assert.equal(ahead(buffered, 5), 0);
  assert.equal(ahead(buffered, 6), 3);
  assert.equal(ahead([], 0), 0);
});

/** @param {object} over */
const stuck = (over) => ({ stuck: 1000, at: 10, buffered: [{ start: 5, end: 10.05 }], live: 10, resumption: null, over: false, away: false, ...over });

test('a playhead that stands for a moment is left alone', () => {
  assert.deepEqual(remedy(stuck({ stuck: 100 })), { do: 'nothing' });
  assert.deepEqual(remedy(stuck({})), { do: 'nothing' });
});

test('a hole is jumped, to the live position if that is buffered', () => {
  const buffered = [{ start: 5, end: 10 }, { start: 18, end: 22 }];
  assert.deepEqual(remedy(stuck({ buffered, live: 15 })), { do: 'seek', to: 18.02, why: 'hole' });
  assert.deepEqual(remedy(stuck({ buffered, live: 21 })), { do: 'seek', to: 21, why: 'hole' });
});

test('while the encoder is away nothing is tried, however long it takes', () => {
  assert.deepEqual(remedy(stuck({ away: true, stuck: 60_000, live: 60 })), { do: 'nothing' });
});

test('when the encoder is back the gap is jumped, though nothing after it is loaded yet', () => {
  assert.deepEqual(remedy(stuck({ resumption: 40, live: 39.5, stuck: 250 })), { do: 'seek', to: 40.02, why: 'resume' });
  assert.deepEqual(remedy(stuck({ resumption: 40, live: 41, stuck: 250 })), { do: 'seek', to: 41, why: 'resume' });
  assert.deepEqual(remedy(stuck({ resumption: 9, live: 10.5, stuck: 250 })), { do: 'nothing' }, 'a gap long past');
});

test('a player left behind goes to the live position, and is rebuilt if that does not help', () => {
  assert.deepEqual(remedy(stuck({ stuck: 4000, live: 14 })), { do: 'seek', to: 14, why: 'behind' });
  assert.deepEqual(remedy(stuck({ stuck: 16_000, live: 14 })), { do: 'rebuild' });
});

test('a player that has nothing yet is not sent around', () => {
  assert.deepEqual(remedy(stuck({ buffered: [], at: 0, live: 14, stuck: 4000 })), { do: 'nothing' });
  assert.deepEqual(remedy(stuck({ buffered: [], at: 0, live: 14, stuck: 16_000 })), { do: 'rebuild' });
});

test('a broadcast that is over ends when nothing is left to play', () => {
  assert.deepEqual(remedy(stuck({ over: true })), { do: 'nothing' });
  assert.deepEqual(remedy(stuck({ over: true, stuck: 2500 })), { do: 'end' });
  const buffered = [{ start: 5, end: 10 }, { start: 18, end: 22 }];
  assert.equal(remedy(stuck({ over: true, stuck: 2500, buffered, live: null })).do, 'seek');
});

const ladder = named([
  { id: 2, width: 426, height: 240, frameRate: 30, bitrate: 4e5 },
  { id: 0, width: 1280, height: 720, frameRate: 30, bitrate: 3e6 },
  { id: 3, width: 1280, height: 720, frameRate: 30, bitrate: 2e6 },
  { id: 1, width: 854, height: 480, frameRate: 30, bitrate: 1e6 },
]);

test('renditions are named from the best down, those of one picture by their bit rate', () => {
  assert.deepEqual(ladder.map((r) => r.name), ['720p · 3.0 Mbit/s', '720p · 2.0 Mbit/s', '480p', '240p']);
});

test('a choice is kept on a stream that has not the same renditions', () => {
  assert.equal(match(ladder, '480p')?.id, 1);
  assert.equal(match(ladder, '360p')?.id, 2, 'the best with no more lines');
  assert.equal(match(ladder, '144p'), null, 'automatic where there is none');
  assert.equal(match(ladder, ''), null);
});

const sizes = [{ bitrate: 5e5, height: 240 }, { bitrate: 1.4e6, height: 480 }, { bitrate: 2.9e6, height: 720 }];

/** Loads parts of the chosen level over a line of a speed, for some ms. */
function play(adapter, from, level, ms, speed) {
  let at = from;
  while (at < from + ms) {
    const bits = sizes[level].bitrate * 0.26;
    at += Math.max(260, (bits / speed) * 1000);
    adapter.piece(bits, bits / speed, at);
    level = adapter.choose(sizes, level, at);
  }
  return level;
}

test('a line that has become too slow is noticed within three parts', () => {
  const a = new Adapter();
  assert.equal(play(a, 0, 2, 6000, 2e7), 2);
  assert.equal(play(a, 6000, 2, 1700, 2e6), 1);
});

test('a line that has become fast again is trusted after a while', () => {
  const a = new Adapter();
  assert.equal(play(a, 0, 0, 1500, 2e7), 0);
  assert.equal(play(a, 1500, 0, 6000, 2e7), 2);
});

test('a rendition that does not fit is tried less and less often', () => {
  const a = new Adapter();
  let [tries, level, last] = [0, 1, 1];
  for (let at = 0; at < 120_000; at += 500) {
    level = play(a, at, level, 500, level === 2 ? 2e6 : 8e6); // it looks as if it would
    if (level === 2 && last !== 2) tries++;
    last = level;
  }
  assert.ok(tries >= 2 && tries <= 6, `${tries} tries in two minutes`);
});

test('no rendition is taken that is larger than what is shown, but for the next', () => {
  assert.deepEqual(shown(sizes, 400).map((l) => l.height), [240, 480]);
  assert.deepEqual(shown(sizes, 2000).map((l) => l.height), [240, 480, 720]);
});
