package transcode

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the Prometheus metrics of all ladders, for one registry.
func (m *Monitor) Collector() prometheus.Collector { return collector{m} }

type collector struct{ m *Monitor }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_transcode_"+name, help, labels, nil)
}

var (
	descLadders = desc("ladders", "Ladders running.")
	descSpeed   = desc("speed_ratio", "Media decoded and scaled a second of work; below 1 the machine cannot keep up.", "stream")
	descQueue   = desc("queued_packets", "Packets that wait to be decoded.", "stream")
	descQueued  = desc("queued_bytes", "Media that waits to be decoded.", "stream")
	descDamaged = desc("damaged_packets_total", "Packets that could not be decoded.", "stream")
	descLost    = desc("lost_packets_total", "Packets skipped, and pictures that came out of order.", "stream")
	descRestart = desc("worker_restarts_total", "Isolated or remote ladders started again after a failure.", "stream")
	descMissed  = desc("worker_missed_packets_total", "Packets of the source that reached no worker, because it was away too long.", "stream")
	descFrames  = desc("encoded_frames_total", "Pictures encoded.", "stream", "rendition", "encoder")
	descBytes   = desc("encoded_bytes_total", "Media encoded.", "stream", "rendition", "encoder")
	descDropped = desc("dropped_frames_total", "Pictures dropped because the machine could not keep up.", "stream", "rendition")
	descEncode  = desc("encode_seconds_total", "Time spent in the encoder.", "stream", "rendition", "encoder")
	descDelay   = desc("delay_seconds", "From the arrival of the newest picture's packet to its rendition's.", "stream", "rendition")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLadders, descSpeed, descQueue, descQueued, descDamaged, descLost, descRestart, descMissed,
		descFrames, descBytes, descDropped, descEncode, descDelay} {
		ch <- d
	}
}

// Collect reports the newest of ladders with one name.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	all := c.m.Stats()
	gauge(descLadders, float64(len(all)))
	newest := map[string]Stats{}
	for _, s := range all {
		newest[s.Name] = s
	}
	for _, s := range newest {
		gauge(descSpeed, s.Speed, s.Name)
		gauge(descQueue, float64(s.QueuedPackets), s.Name)
		gauge(descQueued, float64(s.QueuedBytes), s.Name)
		count(descDamaged, float64(s.Damaged), s.Name)
		count(descLost, float64(s.Lost), s.Name)
		count(descRestart, float64(s.Restarts), s.Name)
		count(descMissed, float64(s.Missed), s.Name)
		seen := map[string]bool{}
		for _, r := range s.Renditions {
			if r.Encoder == "" || seen[r.Name] {
				continue
			}
			seen[r.Name] = true
			count(descFrames, float64(r.Frames), s.Name, r.Name, r.Encoder)
			count(descBytes, float64(r.Bytes), s.Name, r.Name, r.Encoder)
			count(descDropped, float64(r.Dropped), s.Name, r.Name)
			count(descEncode, r.Encode.Seconds(), s.Name, r.Name, r.Encoder)
			gauge(descDelay, r.Delay.Seconds(), s.Name, r.Name)
		}
	}
}
