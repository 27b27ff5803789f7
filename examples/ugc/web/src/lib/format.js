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

/** @param {number | null} [s] @param {number} [digits] */
export function seconds(s, digits = 2) {
  return s == null || !Number.isFinite(s) ? '–' : `${s.toFixed(digits)} s`;
}

/** @param {number} n @param {string} one @param {string} many */
export function count(n, one, many) {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
