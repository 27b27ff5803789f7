/**
 * @typedef {{start: number, end: number}} Range
 * @typedef {{do: 'nothing'} | {do: 'seek', to: number, why: string} | {do: 'rebuild'} | {do: 'end'}} Action
 */

/** @param {TimeRanges} ranges @returns {Range[]} */
export function ranges(ranges) {
  return Array.from({ length: ranges.length }, (_, i) => ({ start: ranges.start(i), end: ranges.end(i) }));
}

/** Seconds buffered without a hole from a position on. @param {Range[]} buffered @param {number} at */
export function ahead(buffered, at) {
  const range = buffered.find((r) => at >= r.start - 0.05 && at < r.end);
  return range ? range.end - at : 0;
}

/**
 * What to do about a playhead that has stood still for some time though it
 * should move.
 *
 * An encoder that went away and came back leaves a hole as long as its absence
 * before the playhead, often beyond what a player dares to skip; so does a
 * computer that slept.
 *
 * @param {{stuck: number, at: number, buffered: Range[], live: number | null, resumption: number | null, over: boolean, away: boolean}} now
 *   stuck in ms, not counting the time that the encoder was away; the rest in
 *   seconds of media time
 * @returns {Action}
 */
export function remedy({ stuck, at, buffered, live, resumption, over, away }) {
  const next = buffered.find((r) => r.start > at + 0.01 && r.end - r.start > 0.3);
  const starved = ahead(buffered, at) < 0.2;
  if (next && starved && stuck > 400) {
    const aim = live !== null && live > next.start && live < next.end - 0.2 ? live : next.start + 0.02;
    return { do: 'seek', to: aim, why: 'hole' };
  }
  if (over) return stuck > 2000 && !next ? { do: 'end' } : { do: 'nothing' };
  if (away) return { do: 'nothing' };
  if (stuck > 15_000) return { do: 'rebuild' };
  if (buffered.length === 0) return { do: 'nothing' };
  if (resumption !== null && resumption > at && starved && stuck > 200 && stuck < 3000) {
    return { do: 'seek', to: Math.max(resumption + 0.02, live ?? 0), why: 'resume' };
  }
  if (stuck > 3500 && live !== null && live > at + 1) return { do: 'seek', to: live, why: 'behind' };
  return { do: 'nothing' };
}
