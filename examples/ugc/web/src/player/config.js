/**
 * hls.js set for live at little more than a second.
 *
 * The delay to the edge is not set here: the playlist's PART-HOLD-BACK (or
 * HOLD-BACK, for servers without parts) is the target, so that the server
 * remains the one place that knows its part length.
 *
 * @type {Partial<import('hls.js').HlsConfig>}
 */
export const hlsConfig = {
  lowLatencyMode: true,
  // Fragmented MP4 passes through untouched; a worker would only add a hop.
  enableWorker: false,
  // Rates are ours, see pace.js.
  maxLiveSyncPlaybackRate: 1,
  // One stall is worth one part of extra delay; the session takes it back later.
  liveSyncOnStallIncrease: 0.26,
  maxBufferLength: 12,
  maxMaxBufferLength: 24,
  // No back buffer length: when hls.js evicts, it forgets which parts of the
  // segment under way it has, and where that segment ends in a hole (frames
  // that the encoder dropped) it then waits for the next but one. Browsers
  // evict by themselves.
  liveDurationInfinity: true,
  // Frames and AAC frames never end together: holes this small are none.
  maxBufferHole: 0.15,
  nudgeOffset: 0.05,
  highBufferWatchdogPeriod: 1,
  detectStallWithCurrentTimeMs: 700,
  startFragPrefetch: true,
  testBandwidth: false,
  abrEwmaDefaultEstimate: 5_000_000,
  enableInterstitialPlayback: false,
  // Where a playlist ends with a whole segment and no hint, hls.js takes that
  // segment for the next one too and finds the numbers mismatched later.
  ignorePlaylistParsingErrors: true,
  // Retries, with the last picture standing, for some ten seconds; after that
  // the session takes over. They are evenly spaced, since a broadcast in its
  // first seconds counts as an error too: its playlist has parts but no
  // whole segment yet, which hls.js takes for empty.
  manifestLoadPolicy: policy(8000, 0),
  playlistLoadPolicy: policy(10_000, 20),
  fragLoadPolicy: policy(8000, 20),
};

/** @param {number} wait ms @param {number} retries */
function policy(wait, retries) {
  const retry = { maxNumRetry: retries, retryDelayMs: 500, maxRetryDelayMs: 500, backoff: /** @type {'linear'} */ ('linear') };
  return {
    default: {
      maxTimeToFirstByteMs: wait,
      maxLoadTimeMs: wait * 2,
      timeoutRetry: retries ? { ...retry, maxNumRetry: 2 } : null,
      errorRetry: retries ? retry : null,
    },
  };
}
