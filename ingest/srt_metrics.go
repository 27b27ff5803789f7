package ingest

import "github.com/prometheus/client_golang/prometheus"

var (
	descSRTConns       = desc("srt_connections", "SRT connections open.", "role")
	descSRTJoined      = desc("srt_connections_total", "SRT connections that have been accepted.", "role")
	descSRTHandshakes  = desc("srt_handshakes_total", "SRT callers that asked to publish or to play.")
	descSRTRefused     = desc("srt_handshakes_refused_total", "SRT callers that were refused.")
	descSRTMalformed   = desc("srt_malformed_packets_total", "SRT packets dropped because they were malformed.")
	descSRTRTT         = desc("srt_rtt_seconds", "Round-trip time to the SRT publisher.", "stream")
	descSRTLatency     = desc("srt_latency_seconds", "How long packets of the SRT publisher are held back for lost ones to come again.", "stream")
	descSRTReceived    = desc("srt_received_packets_total", "SRT packets of the present publisher, repeated ones included.", "stream")
	descSRTLost        = desc("srt_lost_packets_total", "SRT packets seen to be missing, most of which come again.", "stream")
	descSRTRetransmits = desc("srt_retransmitted_packets_total", "SRT packets that the publisher sent again.", "stream")
	descSRTMissing     = desc("srt_missing_packets_total", "SRT packets that did not come in time: gaps in the stream.", "stream")
	descSRTUndecrypted = desc("srt_undecrypted_packets_total", "SRT packets that could not be decrypted.", "stream")
	descSRTSent        = desc("srt_player_sent_bytes_total", "Bytes sent to SRT players, each counted once.")
	descSRTRepeated    = desc("srt_player_repeated_packets_total", "SRT packets sent again to players.")
	descSRTDropped     = desc("srt_player_dropped_packets_total", "SRT packets to players that were given up as too late.")
)

var srtDescs = []*prometheus.Desc{
	descSRTConns, descSRTJoined, descSRTHandshakes, descSRTRefused, descSRTMalformed, descSRTRTT, descSRTLatency,
	descSRTReceived, descSRTLost, descSRTRetransmits, descSRTMissing, descSRTUndecrypted,
	descSRTSent, descSRTRepeated, descSRTDropped,
}

// collect gives the metrics of a server that listens for SRT.
func (p *srtPort) collect(gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	p.mu.Lock()
	l, past := p.listener, p.past
	p.mu.Unlock()
	if l == nil {
		return
	}
	st := l.Stats()
	count(descSRTHandshakes, st.Handshakes)
	count(descSRTRefused, st.Refused)
	count(descSRTMalformed, st.Malformed)
	publishers := make(map[string]bool)
	var open, players int
	for _, c := range p.server.SRTStats() {
		if c.Play {
			players++
			past.add(c.SRTStats)
			continue
		}
		open++
		if publishers[c.Stream] {
			continue // one is being taken over, or has a spare
		}
		publishers[c.Stream] = true
		gauge(descSRTRTT, c.RTT.Seconds(), c.Stream)
		gauge(descSRTLatency, c.Latency.Seconds(), c.Stream)
		count(descSRTReceived, c.PacketsReceived, c.Stream)
		count(descSRTLost, c.Lost, c.Stream)
		count(descSRTRetransmits, c.Retransmitted, c.Stream)
		count(descSRTMissing, c.Missing, c.Stream)
		count(descSRTUndecrypted, c.Undecrypted, c.Stream)
	}
	gauge(descSRTConns, float64(open), "publisher")
	gauge(descSRTConns, float64(players), "player")
	count(descSRTJoined, past.publishers, "publisher")
	count(descSRTJoined, past.players, "player")
	count(descSRTSent, past.sent.BytesSent)
	count(descSRTRepeated, past.sent.Repeated)
	count(descSRTDropped, past.sent.SendDropped)
}
