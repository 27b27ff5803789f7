package ingest

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the server's Prometheus metrics, for one registry.
func (s *Server) Collector() prometheus.Collector { return collector{s} }

type collector struct{ s *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_ingest_"+name, help, labels, nil)
}

var (
	descOpen       = desc("connections", "Connections open, of publishers and players.")
	descAccepted   = desc("connections_accepted_total", "Connections accepted.")
	descRefused    = desc("connections_refused_total", "Connections closed at once because too many were open.")
	descHandshakes = desc("handshakes_failed_total", "Connections that ended before they published or played.")
	descBroadcasts = desc("broadcasts", "Broadcasts running, waiting ones included.")
	descLive       = desc("broadcast_live", "1 while the broadcast has its encoder, 0 while it waits.", "stream")
	descSlate      = desc("broadcast_slate", "1 while the slate stands for the broadcast's encoder.", "stream")
	descWaiting    = desc("broadcast_spares", "Publishers that wait to take the broadcast over.", "stream")
	descSwitches   = desc("broadcast_switches_total", "Times that a publisher who had waited took the present broadcast over.", "stream")
	descBytes      = desc("received_bytes_total", "Media received in the present broadcast.", "stream")
	descPackets    = desc("received_packets_total", "Access units and audio frames received in the present broadcast.", "stream")
	descEra        = desc("era", "The timeline's era.", "stream")
	descPlayers    = desc("players", "RTMP players.")
	descJoined     = desc("players_joined_total", "RTMP players that have come.")
	descSent       = desc("sent_bytes_total", "Bytes sent to RTMP players.")
	descSkips      = desc("player_skips_total", "Times that a slow RTMP player was moved to a newer key frame.")
	descDropped    = desc("player_dropped_messages_total", "Messages that slow RTMP players missed.")
	descTooSlow    = desc("players_too_slow_total", "RTMP players disconnected because they took nothing.")
	descRTC        = desc("rtc_sessions", "WebRTC publishers connected.")
	descRTCPackets = desc("rtc_packets_total", "RTP packets received.")
	descRTCFixed   = desc("rtc_packets_repaired_total", "RTP packets that came when asked for again.")
	descRTCLost    = desc("rtc_packets_lost_total", "RTP packets that never came.")
	descRTCDropped = desc("rtc_frames_dropped_total", "Frames of WebRTC publishers dropped for want of a packet, or of a key frame before them.")
	descRTCKeys    = desc("rtc_key_requests_total", "Key frames asked for of WebRTC publishers.")
	descRepairs    = desc("repairs_total", "What was mended on the timeline of the present broadcast.", "stream", "kind")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descOpen, descAccepted, descRefused, descHandshakes, descBroadcasts,
		descLive, descSlate, descWaiting, descSwitches, descBytes, descPackets, descEra, descRepairs,
		descRTC, descRTCPackets, descRTCFixed, descRTCLost, descRTCDropped, descRTCKeys,
		descPlayers, descJoined, descSent, descSkips, descDropped, descTooSlow} {
		ch <- d
	}
	for _, d := range srtDescs {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	st := c.s.ConnStats()
	gauge(descOpen, float64(st.Open))
	count(descAccepted, st.Accepted)
	count(descRefused, st.Refused)
	count(descHandshakes, st.HandshakesFailed)
	play := c.s.PlayStats()
	gauge(descPlayers, float64(play.Players))
	count(descJoined, play.Joined)
	count(descSent, play.Bytes)
	count(descSkips, play.Skips)
	count(descDropped, play.Dropped)
	count(descTooSlow, play.TooSlow)
	c.s.srt.collect(gauge, count)
	rtc, sessions := c.s.rtc.stats()
	gauge(descRTC, float64(sessions))
	count(descRTCPackets, rtc.Packets)
	count(descRTCFixed, rtc.Repaired)
	count(descRTCLost, rtc.Lost)
	count(descRTCDropped, rtc.FramesDropped)
	count(descRTCKeys, rtc.KeysAsked)
	all := c.s.Broadcasts()
	gauge(descBroadcasts, float64(len(all)))
	for _, b := range all {
		st := b.Stats()
		gauge(descLive, oneIf(st.Live), b.Name)
		gauge(descSlate, oneIf(st.Slate), b.Name)
		gauge(descWaiting, float64(st.Waiting), b.Name)
		count(descSwitches, st.Switches, b.Name)
		gauge(descEra, float64(st.Era), b.Name)
		count(descBytes, st.Bytes, b.Name)
		count(descPackets, st.Packets, b.Name)
		for kind, n := range st.Repairs.byKind() {
			count(descRepairs, n, b.Name, kind)
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// byKind names the counters for metrics.
func (r Repairs) byKind() map[string]uint64 {
	return map[string]uint64{
		"wrap": r.Wraps, "anchor": r.Anchors, "track_jump": r.TrackJumps, "backward_dts": r.BackwardDTS,
		"missing_audio": r.MissingAudio, "doubled_audio": r.DoubledAudio, "late_dropped": r.LateDropped,
		"without_key": r.WithoutKey, "bad_composition": r.BadComposites,
	}
}
