/**
 * The playback rate that brings a live player back to its target delay.
 *
 * It hurries when it is late and has media in hand, and slows down a little
 * when it is nearer to the edge than the server asked for: both by too little to be heard.
 * hls.js has such a control too, but works only with more than one second
 * buffered, which a player 0.8 s behind the edge never has.
 *
 * @param {{distance: number, buffer: number, rate: number, part: number}} now seconds:
 *   distance is delay − target, buffer what is buffered ahead, part the
 *   length of a part (or of a segment where there are none)
 * @returns {number}
 */
export function pace({ distance, buffer, rate, part }) {
  // Beyond this the viewer has chosen to be behind: pausing is not lateness.
  if (distance > 12) return 1;
  const enough = Math.min(1, Math.max(0.4, part * 1.5));
  const hurrying = rate > 1;
  if (distance > (hurrying ? 0.06 : 0.2) && buffer > (hurrying ? enough * 0.8 : enough)) {
    return 1 + Math.min(0.1, Math.max(0.03, Math.round(distance * 10) / 100));
  }
  const dragging = rate < 1;
  if (distance < (dragging ? -0.05 : -0.25)) return 0.97;
  return 1;
}
