import { h, s, setText } from '../lib/dom.js';
import { bitrate, codecName, seconds } from '../lib/format.js';

const span = 60; // of the graph, in samples

/** The rows: a label and what stands beside it. @type {[string, (s: any) => string][]} */
const rows = [
  ['Behind live', (s) => seconds(s.latency)],
  ['Behind playlist', (s) => (s.edgeTarget ? `${seconds(s.edgeDelay)} · target ${seconds(s.edgeTarget)}` : seconds(s.edgeDelay))],
  ['Buffer', (s) => `${seconds(s.buffer)}${s.playbackRate === 1 ? '' : ` · ${s.playbackRate.toFixed(2)}×`}`],
  ['Picture', (s) => (s.width ? `${s.width}×${s.height} · ${Math.round(s.frameRate)} fps` : '–')],
  ['Frames dropped', (s) => `${s.dropped} of ${s.decoded}`],
  ['Codecs', (s) => (s.codecs ? `${s.codecs.split(',').map(codecName).join(' + ')} · ${s.codecs.replace(',', ', ')}` : '–')],
  ['Bitrate', (s) => bitrate(s.bitrate || s.declaredBitrate)],
  ['Stalls', (s) => `${s.stalls}${s.stalledMs ? ` · ${seconds(s.stalledMs / 1000, 1)}` : ''}`],
  ['Player', (s) => `${s.engine ?? '–'} · ${s.state}`],
];

/**
 * Draws the panel of numbers. It costs nothing while it is hidden.
 * @param {HTMLElement} panel
 * @param {import('./stats.js').Stats} stats
 * @param {() => void} onClose
 */
export function statsPanel(panel, stats, onClose) {
  const values = rows.map(() => h('dd'));
  const line = s('polyline', { class: 'graph-line', points: '' });
  const scale = h('span', { class: 'graph-scale' });
  panel.append(
    h('div', { class: 'stats-head' }, h('h2', null, 'Stream statistics'),
      h('button', { class: 'stats-close', type: 'button', 'aria-label': 'Close statistics', onclick: onClose },
        s('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, s('path', { d: 'M5 5l14 14M19 5 5 19' })))),
    h('dl', null, ...rows.flatMap(([label], i) => [h('dt', null, label), values[i]])),
    h('div', { class: 'graph', 'aria-hidden': 'true' },
      s('svg', { viewBox: `0 0 ${span - 1} 20`, preserveAspectRatio: 'none' }, line), scale),
  );
  /** @type {number[]} */
  const history = [];
  const draw = () => {
    if (panel.hidden || document.hidden) return;
    const now = stats.stats();
    rows.forEach(([, text], i) => setText(values[i], text(now)));
    history.push(now.latency ?? 0);
    if (history.length > span) history.shift();
    const top = Math.max(2, ...history);
    const offset = span - history.length;
    line.setAttribute('points', history.map((v, i) => `${i + offset},${20 - (v / top) * 18}`).join(' '));
    setText(scale, `behind live, last minute, top ${top.toFixed(1)} s`);
  };
  setInterval(draw, 1000);
  return draw;
}
