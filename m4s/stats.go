package m4s

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-live/sluice"
)

// Stats are a link's counters since its start, and gauges.
type Stats struct {
	Connected  bool
	Packets    uint64 // passed on
	Bytes      uint64 // of their Data
	Connects   uint64 // connections made; all but the first are reconnects
	Duplicates uint64 // packets dropped because they came before
	Refused    uint64 // packets dropped because they were out of order, or could not be sent
	// Delay is the time from the newest packet's departure to its arrival, by
	// the clocks of both machines. Where this side sends it is 0.
	Delay time.Duration
	// Acked is the number of packets that the other side has confirmed. Where
	// this side receives it is 0.
	Acked uint64
}

// delayBuckets are the upper bounds of the delay histogram, in seconds.
var delayBuckets = [...]float64{0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}

// meter counts what comes through a link.
type meter struct {
	mu      sync.Mutex
	st      Stats
	delays  [len(delayBuckets) + 1]uint64
	seconds float64 // sum of delays
}

func (m *meter) stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.st
}

func (m *meter) set(f func(*Stats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.st)
}

// packet counts a packet that has arrived.
func (m *meter) packet(p *sluice.Packet, sent time.Time, o *order) {
	delay := time.Since(sent)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.st.Packets++
	m.st.Bytes += uint64(len(p.Data))
	m.st.Duplicates, m.st.Refused = o.duplicates, o.refused
	m.st.Delay = delay
	seconds := delay.Seconds()
	i := 0
	for i < len(delayBuckets) && seconds > delayBuckets[i] {
		i++
	}
	m.delays[i]++
	m.seconds += seconds
}

// copy passes what d decodes on to w, until an error of either.
func (m *meter) copy(ctx context.Context, w *sluice.PipeWriter, d *Decoder, o *order) error {
	for {
		p, err := d.Decode()
		if err != nil {
			m.set(func(st *Stats) { st.Duplicates, st.Refused = o.duplicates, o.refused })
			return err
		}
		next := d.at.Next
		if !o.admit(&p, next) {
			continue
		}
		m.packet(&p, d.Sent(), o)
		if err := w.Write(ctx, p); err != nil {
			return err
		}
	}
}

// Link is a Pull, a Push or a Source.
type Link interface {
	Stats() Stats
	measured() *meter
}

func (s *Source) measured() *meter { return &s.meter }

// LinkCollector returns Prometheus metrics of the links that list returns by
// name, for one registry.
func LinkCollector(list func() map[string]Link) prometheus.Collector { return linkCollector{list} }

type linkCollector struct{ list func() map[string]Link }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_m4s_"+name, help, labels, nil)
}

var (
	descConnected  = desc("link_connected", "1 while the link has a connection.", "link")
	descPackets    = desc("link_packets_total", "Packets passed on.", "link")
	descBytes      = desc("link_bytes_total", "Media passed on.", "link")
	descConnects   = desc("link_connects_total", "Connections made.", "link")
	descDuplicates = desc("link_duplicates_total", "Packets dropped because they came before.", "link")
	descRefused    = desc("link_refused_total", "Packets dropped because they were out of order or could not be sent.", "link")
	descDelay      = desc("link_delay_seconds", "Time from a packet's departure to its arrival, by both machines' clocks.", "link")
)

func (c linkCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descConnected, descPackets, descBytes, descConnects, descDuplicates, descRefused, descDelay} {
		ch <- d
	}
}

func (c linkCollector) Collect(ch chan<- prometheus.Metric) {
	for name, l := range c.list() {
		m := l.measured()
		m.mu.Lock()
		st, delays, seconds := m.st, m.delays, m.seconds
		m.mu.Unlock()
		connected := 0.0
		if st.Connected {
			connected = 1
		}
		ch <- prometheus.MustNewConstMetric(descConnected, prometheus.GaugeValue, connected, name)
		for d, v := range map[*prometheus.Desc]uint64{descPackets: st.Packets, descBytes: st.Bytes,
			descConnects: st.Connects, descDuplicates: st.Duplicates, descRefused: st.Refused} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), name)
		}
		buckets, total := make(map[float64]uint64, len(delayBuckets)), uint64(0)
		for i, n := range delays {
			total += n
			if i < len(delayBuckets) {
				buckets[delayBuckets[i]] = total
			}
		}
		ch <- prometheus.MustNewConstHistogram(descDelay, total, seconds, buckets, name)
	}
}
