/**
 * A WHIP client (RFC 9725): sends a MediaStream to the server and comes back by
 * itself when the network broke.
 *
 * @typedef {'idle' | 'connecting' | 'live' | 'reconnecting' | 'failed'} State
 * @typedef {{key: string, codec: string, bitrate: number, rate: number, tcp: boolean}} Options
 */

const patience = 4000; // ms that a connection may be interrupted
const connectTime = 12_000;
const tries = 20;

/** How long to wait before a try, in ms. @param {number} n counted from 0 */
export const backoff = (n) => Math.min(1000 * 2 ** n, 8000);

/**
 * What an answer of the server means, in plain words, and whether another try
 * may help.
 * @param {number} status @param {string} text
 */
export function explain(status, text) {
  const said = text.trim().replace(/^(ingest|rtc): /, '');
  switch (status) {
    case 401: return { message: 'A stream key is needed.', again: false };
    case 403: return { message: `The server refused: ${said}`, again: false };
    case 404: return { message: 'The server does not know this stream, or takes nothing from browsers.', again: false };
    case 409: return { message: 'Somebody else is live on this channel already.', again: true };
    case 422: return { message: `The server does not take this codec: ${said}`, again: false };
    case 503: return { message: 'The server is busy or restarting.', again: true };
    default: return { message: `The server answered ${status}: ${said}`, again: status >= 500 };
  }
}

/**
 * What a browser means when it gives no camera, microphone or screen.
 * @param {unknown} e
 */
export function explainMedia(e) {
  switch (e instanceof Error ? e.name : '') {
    case 'NotAllowedError': return 'The browser was not allowed to: permit it beside the address bar and try again.';
    case 'NotFoundError': return 'No camera or microphone was found.';
    case 'NotReadableError': return 'Another program is using the camera or microphone.';
    case 'OverconstrainedError': return 'The camera cannot do this picture size.';
    default: return `It did not work: ${e instanceof Error ? e.message : e}`;
  }
}

/**
 * An answer that has Chromium begin at a bitrate, instead of feeling its way up
 * from 300 kbit/s for ten seconds. Other browsers pass over it.
 * @param {string} sdp @param {number} bitrate in bit/s
 */
export function startAt(sdp, bitrate) {
  let video = false;
  return sdp.split('\r\n').map((line) => {
    if (line.startsWith('m=')) video = line.startsWith('m=video');
    const payload = video && /^a=rtpmap:(\d+) (?!rtx)/i.exec(line)?.[1];
    if (!payload) return line;
    const fmtp = sdp.includes(`a=fmtp:${payload} `);
    return fmtp ? line : `${line}\r\na=fmtp:${payload} x-google-start-bitrate=${Math.round(bitrate / 1000)}`;
  }).map((line) => (/^a=fmtp:\d+ .*(packetization-mode|profile)/.test(line) ? `${line};x-google-start-bitrate=${Math.round(bitrate / 1000)}` : line)).join('\r\n');
}

class Refusal extends Error {
  /** @param {string} message @param {boolean} again */
  constructor(message, again) {
    super(message);
    this.again = again;
  }
}

/**
 * On a bad line the frame rate goes down, not the size: each new size is a
 * break for viewers.
 * @param {RTCPeerConnection} pc
 */
async function keepSize(pc) {
  for (const sender of pc.getSenders().filter((s) => s.track?.kind === 'video')) {
    const parameters = /** @type {any} */ (sender.getParameters());
    parameters.degradationPreference = 'maintain-resolution';
    await sender.setParameters(parameters).catch(() => {}); // not every browser knows it
  }
}

/** Dispatches "state"; state, message and since say what is. */
export class Publisher extends EventTarget {
  /** @type {State} */ state = 'idle';
  message = '';
  since = 0;
  /** @type {RTCPeerConnection | null} */ #pc = null;
  #resource = '';
  /** @type {MediaStream | null} */ #stream = null;
  /** @type {Options | null} */ #options = null;
  #attempt = 0;
  #run = 0; // of start: what belongs to an older one is void
  #timer = 0;
  #last = { at: 0, bytes: 0 };

  /** @param {MediaStream} stream @param {Options} options */
  start(stream, options) {
    this.stop();
    this.#stream = stream;
    this.#options = options;
    this.#attempt = 0;
    this.#say('connecting', '');
    this.#connect(++this.#run);
  }

  /** Hangs up. */
  stop() {
    this.#run++;
    clearTimeout(this.#timer);
    this.#close();
    this.#say('idle', '');
  }

  /** Another picture or sound, while live. @param {MediaStream} stream */
  async replace(stream) {
    this.#stream = stream;
    for (const sender of this.#pc?.getSenders() ?? []) {
      const kind = sender.track?.kind;
      const track = stream.getTracks().find((t) => t.kind === kind);
      if (track && track !== sender.track) await sender.replaceTrack(track);
    }
  }

  /** @param {State} state @param {string} message */
  #say(state, message) {
    if (this.state === state && this.message === message) return;
    if (state === 'live' && !this.since) this.since = Date.now();
    if (state === 'idle' || state === 'failed') this.since = 0;
    this.state = state;
    this.message = message;
    this.dispatchEvent(new Event('state'));
  }

  #close() {
    if (this.#resource) fetch(this.#resource, { method: 'DELETE', keepalive: true }).catch(() => {});
    this.#resource = '';
    this.#pc?.close();
    this.#pc = null;
  }

  /** @param {number} run */
  async #connect(run) {
    try {
      await this.#negotiate(run);
    } catch (e) {
      if (run !== this.#run) return;
      const again = !(e instanceof Refusal) || e.again;
      this.#broken(run, e instanceof Refusal ? e.message : 'The server cannot be reached.', again);
    }
  }

  /** @param {number} run @param {string} why @param {boolean} again */
  #broken(run, why, again) {
    if (run !== this.#run) return;
    this.#close();
    if (!again || this.#attempt >= tries) {
      this.#run++;
      this.#say('failed', why);
      return;
    }
    const wait = backoff(this.#attempt++);
    this.#say('reconnecting', `${why} Trying again in ${Math.round(wait / 1000)} s.`);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(run), wait);
  }

  /** @param {number} run */
  async #negotiate(run) {
    const options = /** @type {Options} */ (this.#options);
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    for (const track of /** @type {MediaStream} */ (this.#stream).getTracks()) this.#send(pc, track, options);
    await pc.setLocalDescription();
    const url = `/whip${options.tcp ? '?transport=tcp' : ''}`;
    const response = await fetch(url, {
      method: 'POST', body: pc.localDescription?.sdp, signal: AbortSignal.timeout(connectTime),
      headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${options.key}` },
    });
    const text = await response.text();
    if (response.status !== 201) {
      const { message, again } = explain(response.status, text);
      throw new Refusal(message, again);
    }
    const resource = new URL(response.headers.get('Location') ?? '', response.url).href;
    if (run !== this.#run) {
      fetch(resource, { method: 'DELETE', keepalive: true }).catch(() => {});
      return;
    }
    this.#resource = resource;
    this.#follow(pc, run);
    await pc.setRemoteDescription({ type: 'answer', sdp: startAt(text, options.bitrate * 0.6) });
    await keepSize(pc);
  }

  /** @param {RTCPeerConnection} pc @param {MediaStreamTrack} track @param {Options} options */
  #send(pc, track, options) {
    const video = track.kind === 'video';
    const encoding = video ? { maxBitrate: options.bitrate, maxFramerate: options.rate } : { maxBitrate: 128_000 };
    const transceiver = pc.addTransceiver(track, { direction: 'sendonly', sendEncodings: [encoding] });
    if (!video) return;
    const all = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
    const wanted = all.filter((c) => c.mimeType === options.codec);
    if (wanted.length > 0) transceiver.setCodecPreferences([...wanted, ...all.filter((c) => c.mimeType === 'video/rtx')]);
  }

  /** @param {RTCPeerConnection} pc @param {number} run */
  #follow(pc, run) {
    const late = () => this.#broken(run, 'No way to the server was found: its WebRTC port may be blocked.', true);
    this.#timer = setTimeout(late, connectTime);
    pc.onconnectionstatechange = () => {
      if (run !== this.#run || pc !== this.#pc) return;
      clearTimeout(this.#timer);
      switch (pc.connectionState) {
        case 'connected':
          this.#attempt = 0;
          this.#say('live', '');
          break;
        case 'disconnected':
          this.#say('reconnecting', 'The connection is interrupted.');
          this.#timer = setTimeout(() => this.#broken(run, 'The connection was lost.', true), patience);
          break;
        case 'failed':
        case 'closed':
          this.#broken(run, 'The connection was lost.', true);
          break;
        default:
          this.#timer = setTimeout(late, connectTime);
      }
    };
  }

  /** What is being sent now; null when nothing is. */
  async stats() {
    if (!this.#pc || this.state !== 'live') return null;
    const all = [...(await this.#pc.getStats()).values()];
    const video = all.find((s) => s.type === 'outbound-rtp' && s.kind === 'video');
    const bytes = all.filter((s) => s.type === 'outbound-rtp').reduce((sum, s) => sum + s.bytesSent, 0);
    const now = performance.now();
    const bitrate = this.#last.at ? Math.max(0, ((bytes - this.#last.bytes) * 8000) / (now - this.#last.at)) : 0;
    this.#last = { at: now, bytes };
    const remote = all.find((s) => s.type === 'remote-inbound-rtp' && s.kind === 'video');
    return {
      bitrate, width: video?.frameWidth, height: video?.frameHeight, frameRate: video?.framesPerSecond,
      limited: video?.qualityLimitationReason, frames: video?.framesEncoded ?? 0, rtt: remote?.roundTripTime,
      codec: all.find((s) => s.id === video?.codecId)?.mimeType?.replace('video/', ''),
      protocol: all.find((s) => s.id === all.find((p) => p.type === 'candidate-pair' && p.nominated)?.localCandidateId)?.protocol,
    };
  }
}
