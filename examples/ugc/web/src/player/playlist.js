/**
 * @typedef {'live' | 'ended' | 'offline' | 'denied' | 'unreachable'} Presence
 */

/**
 * The address of the first media playlist in a multivariant playlist, or null
 * where the text is a media playlist itself.
 * @param {string} text
 * @param {string} base
 */
export function firstVariant(text, base) {
  const lines = text.split(/\r?\n/);
  const at = lines.findIndex((l) => l.startsWith('#EXT-X-STREAM-INF'));
  if (at < 0) return null;
  const uri = lines.slice(at + 1).find((l) => l.trim() !== '' && !l.startsWith('#'));
  return uri ? new URL(uri.trim(), base).href : null;
}

/** Whether a media playlist will grow no more. @param {string} text */
export const isEnded = (text) => /^#EXT-X-ENDLIST/m.test(text);

/** @param {number} status @returns {Presence} */
export function presenceOf(status) {
  if (status === 401 || status === 403) return 'denied';
  if (status === 404 || status === 410) return 'offline';
  return status >= 200 && status < 300 ? 'live' : 'unreachable';
}

/**
 * Asks whether there is a broadcast to play.
 * @param {string} url of the multivariant playlist
 * @param {AbortSignal} [signal]
 * @param {typeof fetch} [get]
 * @returns {Promise<Presence>}
 */
export async function probe(url, signal, get = fetch) {
  try {
    const entry = await get(url, { signal, cache: 'no-store' });
    const presence = presenceOf(entry.status);
    if (presence !== 'live') return presence;
    const text = await entry.text();
    const variant = firstVariant(text, entry.url || url);
    if (!variant) return isEnded(text) ? 'ended' : 'live';
    const media = await get(variant, { signal, cache: 'no-store' });
    const there = presenceOf(media.status);
    if (there !== 'live') return there;
    return isEnded(await media.text()) ? 'ended' : 'live';
  } catch {
    return 'unreachable';
  }
}
