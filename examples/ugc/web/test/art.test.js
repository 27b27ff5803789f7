import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validName } from '../src/lib/api.js';
import { hash, random } from '../src/lib/art.js';

test('names that differ in a letter get pictures that differ', () => {
  const hues = ['cam1', 'cam2', 'cam3', 'cam4'].map((n) => Math.floor(random(hash(n))() * 360));
  assert.equal(new Set(hues).size, hues.length);
});

test('a picture is the same every time', () => {
  const [a, b] = [random(hash('demo')), random(hash('demo'))];
  for (let i = 0; i < 20; i++) {
    const v = a();
    assert.equal(v, b());
    assert.ok(v >= 0 && v < 1);
  }
});

test('stream names', () => {
  for (const good of ['a', '0', 'demo', 'a_b-c', 'x'.repeat(64)]) assert.ok(validName(good), good);
  for (const bad of ['', '-a', '_a', 'A', 'a b', 'ä', 'a/b', 'x'.repeat(65)]) assert.ok(!validName(bad), bad);
});
