const floor = -60; // dB

/**
 * The level of samples in dB below full scale, from -60 to 0.
 * @param {Float32Array} samples
 */
export function decibels(samples) {
  let sum = 0;
  for (const v of samples) sum += v * v;
  const rms = Math.sqrt(sum / Math.max(samples.length, 1));
  return Math.min(0, Math.max(floor, 20 * Math.log10(rms || 1e-9)));
}

/** The share of a meter that a level fills. @param {number} db */
export const share = (db) => (db - floor) / -floor;

/**
 * Shows the sound of a stream, sixty times a second at most.
 * @param {HTMLElement} meter @param {HTMLElement} fill @param {HTMLElement} peak
 */
export function levelMeter(meter, fill, peak) {
  /** @type {AudioContext | null} */
  let context = null;
  /** @type {AudioNode | null} */
  let source = null;
  /** @type {AnalyserNode | null} */
  let analyser = null;
  let held = floor;
  const samples = new Float32Array(1024);
  const draw = () => {
    if (!analyser) return;
    analyser.getFloatTimeDomainData(samples);
    const db = decibels(samples);
    held = Math.max(db, held - 0.4);
    fill.style.transform = `scaleX(${share(db)})`;
    peak.style.left = `${share(held) * 100}%`;
    meter.setAttribute('aria-valuenow', String(Math.round(db)));
    requestAnimationFrame(draw);
  };
  return {
    /** @param {MediaStream | null} stream */
    watch(stream) {
      source?.disconnect();
      const running = analyser !== null;
      if (!stream || stream.getAudioTracks().length === 0) {
        analyser = null;
        fill.style.transform = 'scaleX(0)';
        peak.style.left = '0';
        return;
      }
      context ??= new AudioContext();
      context.resume().catch(() => {});
      analyser = context.createAnalyser();
      analyser.fftSize = samples.length;
      source = context.createMediaStreamSource(new MediaStream(stream.getAudioTracks()));
      source.connect(analyser);
      if (!running) draw();
    },
  };
}
