/**
 * @typedef {{kind: string, codec?: string, width?: number, height?: number, frameRate?: number,
 *   sampleRate?: number, channels?: number}} Track
 * @typedef {{name: string, since: string, viewers?: number, preview?: string, tracks?: Track[]}} Channel
 * @typedef {{streams: Channel[], publish?: {rtmp?: string, srt?: string, whip?: string}, open?: boolean, now?: string}} Live
 */

const name = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/** Whether a string may name a stream. @param {string} text */
export const validName = (text) => name.test(text);

/**
 * What is live.
 * @param {AbortSignal} [signal]
 * @returns {Promise<Live>}
 */
export async function live(signal) {
  const response = await fetch('/api/v1/live', { signal, cache: 'no-store', headers: { Accept: 'application/json' } });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const body = await response.json();
  return { ...body, streams: Array.isArray(body.streams) ? body.streams : [] };
}

/** @param {Channel} c @param {string} kind */
export const track = (c, kind) => c.tracks?.find((t) => t.kind === kind);

/** Where publishers connect, as the server says or as is usual. @param {Live | null} l */
export const publishURL = (l) => l?.publish?.rtmp || `rtmp://${location.hostname}:1935/live`;

/** Where publishers connect over SRT, the key included; empty where they do not. @param {Live | null} l @param {string} key */
export const publishSRT = (l, key) => (l?.publish?.srt ? l.publish.srt + key : '');

/**
 * Calls work at once and then every period ms while the page is visible, never
 * twice at a time. Coming back to the page calls it at once.
 * @param {(signal: AbortSignal) => Promise<void>} work
 * @param {number} period
 */
export function poll(work, period) {
  let timer = 0;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (running) return;
    running = true;
    try {
      await work(AbortSignal.timeout(10_000));
    } finally {
      running = false;
      if (!document.hidden) timer = setTimeout(run, period);
    }
  };
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) run();
  });
  run();
}
