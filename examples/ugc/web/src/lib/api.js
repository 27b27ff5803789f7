/**
 * @typedef {{kind: string, codec?: string, width?: number, height?: number, frameRate?: number,
 *   sampleRate?: number, channels?: number}} Track
 * @typedef {{state: 'live' | 'slate' | 'waiting', protocol?: string, spares: number, switches: number, connections: number,
 *   bytes: number, repairs?: Record<string, number>}} Encoder
 * @typedef {{rtt: number, latency: number, received: number, lost: number, retransmitted: number, missing: number}} SRT
 * @typedef {{name: string, since: string, viewers?: number, preview?: string, tracks?: Track[], encoder?: Encoder, srt?: SRT}} Channel
 * @typedef {{rtmp?: string, rtmps?: string, srt?: string, whip?: string}} Publish
 * @typedef {{streams: Channel[], publish?: Publish, open?: boolean, now?: string}} Live
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

/**
 * Calls work at once and then every period ms while the page is visible, never
 * twice at a time. Coming back to the page calls it at once. Returns what ends it.
 * @param {(signal: AbortSignal) => Promise<void>} work
 * @param {number} period
 */
export function poll(work, period) {
  let timer = 0;
  let running = false;
  let ended = false;
  const run = async () => {
    clearTimeout(timer);
    if (running || ended) return;
    running = true;
    try {
      await work(AbortSignal.timeout(10_000));
    } finally {
      running = false;
      if (!document.hidden && !ended) timer = setTimeout(run, period);
    }
  };
  const back = () => {
    if (!document.hidden) run();
  };
  document.addEventListener('visibilitychange', back);
  run();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', back);
  };
}
