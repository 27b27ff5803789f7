import { bitrate, bytes, clock, count } from './format.js';

/**
 * @typedef {{name: string, url: string, state: string, since: string, error: string, next?: string, bytes: number,
 *   packets: number, dropped: number, connects: number, failures: number}} Target
 */

/** What the server said no to, and in which field: "url", "name" …, or none. */
export class Refusal extends Error {
  /** @param {number} status @param {string} text @param {string} [field] */
  constructor(status, text, field = '') {
    super(plain(text));
    this.status = status;
    this.field = field;
  }
}

/**
 * A sentence out of an error of the server: without the parts of the program
 * that it came through.
 * @param {string} text
 */
export function plain(text) {
  const said = text.trim().replace(/^(ingest|rtmp|srt|rtc|m4s): /, '').replace(/^push( "[^"]*")?: /, '')
    .replace(/^not a push target: /, '').replace(/^(ingest|rtmp|srt|rtc|m4s): /, '');
  if (!said) return '';
  return said[0].toUpperCase() + said.slice(1) + (/[.!?…]$/.test(said) ? '' : '.');
}

/** @param {string} stream @param {string} [target] */
const path = (stream, target) => `/api/v1/live/${encodeURIComponent(stream)}/targets${target == null ? '' : `/${encodeURIComponent(target)}`}`;

/** @param {string} url @param {RequestInit} [init] */
async function call(url, init) {
  const response = await fetch(url, { cache: 'no-store', ...init });
  if (response.status === 204) return null;
  const text = await response.text();
  /** @type {any} */
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's page, say: the status has to do.
  }
  if (!response.ok) throw new Refusal(response.status, body?.error ?? `the server answered ${response.status}`, body?.field);
  return body;
}

/** The push targets of a stream. @param {string} stream @param {AbortSignal} [signal] @returns {Promise<Target[]>} */
export const list = async (stream, signal) => (await call(path(stream), { signal }))?.targets ?? [];

/** @param {string} stream @param {{url: string, name?: string, token?: string}} target @returns {Promise<Target>} */
export const add = (stream, target) =>
  call(path(stream), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(target) });

/** Done too where it had gone already. @param {string} stream @param {string} target */
export const remove = (stream, target) => call(path(stream, target), { method: 'DELETE' }).catch((e) => {
  if (e.status !== 404) throw e;
});

/**
 * An address and a key, which most platforms give apart, as the server wants them.
 * @param {string} url @param {string} key
 * @returns {{url: string, token?: string}}
 */
export function withKey(url, key) {
  if (!key) return { url };
  if (/^rtmps?:/i.test(url)) return { url: `${url.replace(/\/+$/, '')}/${key}` };
  if (/^srt:/i.test(url)) return { url: `${url}${url.includes('?') ? '&' : '?'}streamid=${encodeURIComponent(key)}` };
  return { url, token: key };
}

/** @type {Record<string, {word: string, tone: string}>} */
const states = {
  idle: { word: 'Ready', tone: 'off' },
  connecting: { word: 'Connecting', tone: 'busy' },
  live: { word: 'Live', tone: 'live' },
  retrying: { word: 'Trying again', tone: 'busy' },
  refused: { word: 'Refused', tone: 'bad' },
};

/**
 * What there is to say of a target: a word, why it does not work, and figures.
 * @param {Target} t @param {number | null} bps its bit rate @param {number} now Unix time in ms
 */
export function describe(t, bps, now) {
  const { word, tone } = states[t.state] ?? { word: t.state, tone: 'off' };
  const figures = [];
  if (t.state === 'idle') figures.push('Starts with the broadcast');
  if (t.state === 'live' && bps != null) figures.push(bitrate(bps));
  if (t.bytes > 0) figures.push(`${bytes(t.bytes)} sent`);
  if (t.state !== 'idle') figures.push(`for ${clock(now - Date.parse(t.since))}`);
  if (t.dropped > 0) figures.push(`${count(t.dropped, 'packet', 'packets')} left out: it is too slow`);
  if (t.connects > 1) figures.push(`connected ${count(t.connects, 'time', 'times')}`);
  const wait = t.next ? Math.ceil((Date.parse(t.next) - now) / 1000) : 0;
  if (wait > 0) figures.push(`next try in ${wait} s`);
  return { word, tone, error: plain(t.error ?? ''), figures };
}

/** "3 targets, 2 live". @param {Target[]} all */
export function summary(all) {
  if (all.length === 0) return '';
  const live = all.filter((t) => t.state === 'live').length;
  return `${count(all.length, 'target', 'targets')}, ${live === 0 ? 'none' : live} live`;
}
