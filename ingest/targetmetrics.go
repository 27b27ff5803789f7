package ingest

import "github.com/prometheus/client_golang/prometheus"

// TargetCollector returns Prometheus metrics of push targets, which list returns
// by stream, for one registry. A name may stand once in each stream.
func TargetCollector(list func() map[string][]TargetStats) prometheus.Collector {
	return targetCollector{list}
}

type targetCollector struct {
	list func() map[string][]TargetStats
}

var (
	descPushState    = desc("push_state", "1 for the state that the push target is in, 0 for the others.", "stream", "target", "state")
	descPushBytes    = desc("push_sent_bytes_total", "Bytes sent to the push target.", "stream", "target")
	descPushPackets  = desc("push_sent_packets_total", "Access units and audio frames sent to the push target.", "stream", "target")
	descPushDropped  = desc("push_dropped_packets_total", "Packets left out because the push target was too slow.", "stream", "target")
	descPushConnects = desc("push_connects_total", "Times that the push target went live.", "stream", "target")
	descPushFailures = desc("push_failures_total", "Attempts and connections of the push target that failed.", "stream", "target")
)

func (c targetCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descPushState, descPushBytes, descPushPackets, descPushDropped, descPushConnects, descPushFailures} {
		ch <- d
	}
}

func (c targetCollector) Collect(ch chan<- prometheus.Metric) {
	for stream, all := range c.list() {
		for _, st := range all {
			for i, state := range targetStates {
				ch <- prometheus.MustNewConstMetric(descPushState, prometheus.GaugeValue, oneIf(st.State == TargetState(i)), stream, st.Name, state)
			}
			for d, n := range map[*prometheus.Desc]uint64{descPushBytes: st.Bytes, descPushPackets: st.Packets,
				descPushDropped: st.Dropped, descPushConnects: st.Connects, descPushFailures: st.Failures} {
				ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), stream, st.Name)
			}
		}
	}
}
