package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// The servers beside which Sluice is measured.
const (
	nginx    = "nginx"
	netHTTP  = "net/http"
	overRTMP = "the same over RTMP"

	srtTransmit = "srt-live-transmit"
)

// metric is a row of the report.
type metric struct{ name, unit, goal, peer string }

var (
	fanoutCPU     = &metric{"RTMP to many players: processor time per Gbit delivered", "s", "at most 1.5 × nginx", nginx}
	fanoutWhole   = &metric{"… share of the stream that they received", "%", "100", nginx}
	delayMedian   = &metric{"… added delay, median", "ms", "below 0.5", nginx}
	delayBare     = &metric{"… beside one thread a processor that only writes the same bytes", "ms", "", bareWrites}
	delayP99      = &metric{"… added delay, 99th percentile", "ms", "below 5", nginx}
	fewMedian     = &metric{"RTMP to 20 players: added delay, median", "ms", "below 0.5", nginx}
	fewP99        = &metric{"… added delay, 99th percentile", "ms", "below 5", nginx}
	joinMedian    = &metric{"RTMP: from connecting to the first key frame, median", "ms", "", nginx}
	joinWorst     = &metric{"… worst of 12", "ms", "below 50", nginx}
	packagingCPU  = &metric{"50 publishers, packaged as HLS: processor time per stream-second", "ms", "at most 2 × nginx", nginx}
	packagingPeak = &metric{"… peak resident memory", "MB", "at most 60 + 5 a stream", nginx}
	segmentRate   = &metric{"HTTP: whole segments, 16 connections", "MB/s", "at least 1 × nginx", nginx}
	segmentCPU    = &metric{"… processor time per Gbit", "s", "", nginx}
	partRate      = &metric{"HTTP: parts, 16 connections", "MB/s", "at least 0.8 × nginx", nginx}
	partCPU       = &metric{"… processor time per Gbit", "s", "", nginx}
	playlistRate  = &metric{"HTTP: media playlists, 64 connections", "requests/s", "at least 40,000", nginx}
	playlistBare  = &metric{"… beside net/http alone, serving the same bytes", "requests/s", "at least half", netHTTP}
	playlistCPU   = &metric{"… processor time per 1,000 requests", "s", "", nginx}
	partMedian    = &metric{"LL-HLS: from a part's last frame sent to the part fetched, median", "ms", "", nginx}
	partP99       = &metric{"… 99th percentile", "ms", "below 5", nginx}
	srtCPU        = &metric{"30 SRT publishers of 2 Mbit/s, received and thrown away: processor time per stream-second", "ms", "", srtTransmit}
	srtPackaged   = &metric{"… demultiplexed and packaged as LL-HLS", "ms", "", srtTransmit}
	srtIdleCPU    = &metric{"SRT connection in which nothing happens: share of a core", "%", "below 0.1", srtTransmit}
	partLast      = &metric{"… a segment's last part, which only the next key frame completes, median", "ms", "one frame more", nginx}
)

var (
	whipCPU   = &metric{"50 WHIP publishers of 1 Mbit/s, packaged: processor time per stream-second", "ms", "", overRTMP}
	whipLost  = &metric{"… RTP packets that never came, frames dropped", "", "0", overRTMP}
	whipFirst = &metric{"WHIP: from the offer to the first part that can be fetched, median of 12", "ms", "", overRTMP}
	whipPart  = &metric{"… from a part's last frame sent to the part fetched, median", "ms", "", overRTMP}
	whipRTMP  = &metric{"… from a frame sent to an RTMP player that has it, median", "ms", "", overRTMP}
	whipWorst = &metric{"… 99th percentile", "ms", "", overRTMP}
)

var metrics = []*metric{
	fanoutCPU, fanoutWhole, delayMedian, delayBare, delayP99, fewMedian, fewP99, joinMedian, joinWorst,
	packagingCPU, packagingPeak, segmentRate, segmentCPU, partRate, partCPU, playlistRate, playlistBare, playlistCPU, partMedian, partP99, partLast,
	srtCPU, srtPackaged, srtIdleCPU,
	whipCPU, whipLost, whipFirst, whipPart, whipRTMP, whipWorst,
}

// results are the samples of each metric by server; the median is reported.
type results map[*metric]map[string][]float64

func (r results) add(m *metric, server string, value float64) {
	if r[m] == nil {
		r[m] = map[string][]float64{}
	}
	r[m][server] = append(r[m][server], value)
}

// quantile returns the q-quantile of the values, NaN if there are none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	values = slices.Sorted(slices.Values(values))
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

// table is the report in Markdown.
func (r results) table() string {
	var w strings.Builder
	fmt.Fprintln(&w, "| what | unit | Sluice | nginx, or as named | ratio | goal |")
	fmt.Fprintln(&w, "| --- | --- | ---: | ---: | ---: | --- |")
	for _, m := range metrics {
		if r[m] == nil {
			continue
		}
		sluice, peer := quantile(r[m]["sluice"], 0.5), quantile(r[m][m.peer], 0.5)
		name := ""
		if m.peer != nginx {
			name = " (" + m.peer + ")"
		}
		fmt.Fprintf(&w, "| %s | %s | %s | %s%s | %s | %s |\n", m.name, m.unit, figure(sluice), figure(peer), name, figure(sluice/peer), m.goal)
	}
	return w.String()
}

// figure writes three significant digits, and nothing for what was not
// measured.
func figure(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return ""
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// machine describes where the figures were made.
func machine(ctx context.Context) string {
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	if _, after, ok := strings.Cut(string(info), "model name\t: "); ok {
		model, _, _ = strings.Cut(after, "\n")
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	nginx, _ := exec.CommandContext(ctx, "/usr/sbin/nginx", "-v").CombinedOutput()
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)),
		runtime.Version(), strings.TrimPrefix(strings.TrimSpace(string(nginx)), "nginx version: "))
}
