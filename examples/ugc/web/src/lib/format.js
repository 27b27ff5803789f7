const families = [
  [/^avc[13]/i, 'H.264'],
  [/^(hvc1|hev1)/i, 'HEVC'],
  [/^av01/i, 'AV1'],
  [/^(vp09|vp9)/i, 'VP9'],
  [/^(vp08|vp8)/i, 'VP8'],
  [/^mp4a\.40\.34|^mp4a\.6b|^mp4a\.69|^\.?mp3/i, 'MP3'],
  [/^mp4a\.40\.(5|29)/i, 'HE-AAC'],
  [/^mp4a/i, 'AAC'],
  [/^opus/i, 'Opus'],
  [/^ac-3/i, 'AC-3'],
  [/^ec-3/i, 'E-AC-3'],
];

/** The everyday name of an RFC 6381 codec string. @param {string} [codec] */
export function codecName(codec) {
  if (!codec) return '';
  for (const [pattern, name] of families) {
    if (/** @type {RegExp} */ (pattern).test(codec)) return /** @type {string} */ (name);
  }
  return codec.split('.')[0];
}

/**
 * "1080p60" as people say it: the short side, and the rate where it is not an
 * ordinary one.
 * @param {{width?: number, height?: number, frameRate?: number}} [v]
 */
export function pictureName(v) {
  if (!v?.width || !v?.height) return '';
  const rate = Math.round(v.frameRate ?? 0);
  return `${Math.min(v.width, v.height)}p${rate > 30 ? rate : ''}`;
}

/** A running time as 4:07 or 1:02:09. @param {number} ms */
export function clock(ms) {
  const total = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const pad = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds)}` : `${minutes}:${pad(seconds)}`;
}

/** @param {number} [bps] */
export function bitrate(bps) {
  if (!bps || !Number.isFinite(bps)) return '–';
  if (bps >= 1e6) return `${(bps / 1e6).toFixed(bps >= 1e7 ? 0 : 1)} Mbit/s`;
  return `${Math.round(bps / 1e3)} kbit/s`;
}

/** "1.2 MB", as disks count. @param {number} [n] */
export function bytes(n) {
  if (n == null || !Number.isFinite(n)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${n.toFixed(n < 10 && i > 0 ? 1 : 0)} ${units[i]}`;
}

/**
 * Bit rates of counters of bytes, over the last seconds: the function takes a
 * counter's name, its value, and when, in ms; null until there are two values.
 * @param {number} [span] ms
 */
export function rates(span = 5000) {
  /** @type {Map<string, {at: number, value: number}[]>} */
  const seen = new Map();
  return (/** @type {string} */ name, /** @type {number} */ value, /** @type {number} */ at) => {
    let all = seen.get(name) ?? [];
    if (all.length > 0 && value < all[all.length - 1].value) all = []; // it counts anew
    all = [...all.filter((s) => at - s.at <= span), { at, value }];
    seen.set(name, all);
    const [first, time] = [all[0], at - all[0].at];
    return time > 0 ? ((value - first.value) * 8000) / time : null;
  };
}

/** @param {number | null} [s] @param {number} [digits] */
export function seconds(s, digits = 2) {
  return s == null || !Number.isFinite(s) ? '–' : `${s.toFixed(digits)} s`;
}

/** @param {number} n @param {string} one @param {string} many */
export function count(n, one, many) {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
