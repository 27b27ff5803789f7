package m4s

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the Handler's Prometheus metrics, for one registry.
func (h *Handler) Collector() prometheus.Collector { return collector{h} }

type collector struct{ h *Handler }

var (
	descPulls      = desc("pulls", "Pulls going on.")
	descPushes     = desc("pushes", "Connections of pushers.")
	descPulled     = desc("pulls_total", "Pulls begun.")
	descPushed     = desc("pushes_total", "Connections of pushers taken.")
	descResumed    = desc("resumed_total", "Pulls and pushes that went on where an earlier connection was cut.")
	descSentP      = desc("sent_packets_total", "Packets sent to pullers.")
	descSentB      = desc("sent_bytes_total", "Bytes sent to pullers.")
	descDropped    = desc("dropped_packets_total", "Packets that pullers missed by being slow, and those that could not be sent.")
	descReceivedP  = desc("received_packets_total", "Packets taken from pushers.")
	descReceivedB  = desc("received_bytes_total", "Media taken from pushers.")
	descInDup      = desc("received_duplicates_total", "Packets of pushers dropped because they came before.")
	descInRefused  = desc("received_refused_total", "Packets of pushers dropped because they were out of order.")
	descDenied     = desc("denied_total", "Requests that Authorize refused.")
	descTimeouts   = desc("timeouts_total", "Peers dropped because they took or said nothing.")
	descMalformed  = desc("malformed_total", "Pushed streams ended because they were none.")
	descKeyFrames  = desc("key_requests_total", "Requests for key frames passed on.")
	allHandlerDesc = []*prometheus.Desc{descPulls, descPushes, descPulled, descPushed, descResumed, descSentP, descSentB, descDropped,
		descReceivedP, descReceivedB, descInDup, descInRefused, descDenied, descTimeouts, descMalformed, descKeyFrames}
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allHandlerDesc {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	st := &c.h.stats
	for d, v := range map[*prometheus.Desc]int64{descPulls: st.pulls.Load(), descPushes: st.pushes.Load()} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	for d, v := range map[*prometheus.Desc]uint64{
		descPulled: st.pulled.Load(), descPushed: st.pushed.Load(), descResumed: st.resumed.Load(),
		descSentP: st.outPackets.Load(), descSentB: st.outBytes.Load(), descDropped: st.outDropped.Load(),
		descReceivedP: st.inPackets.Load(), descReceivedB: st.inBytes.Load(), descInDup: st.inDuplicates.Load(),
		descInRefused: st.inRefused.Load(), descDenied: st.denied.Load(), descTimeouts: st.timeouts.Load(),
		descMalformed: st.malformed.Load(), descKeyFrames: st.keys.Load(),
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
}
