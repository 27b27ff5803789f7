package ingest

import (
	"testing"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/stretchr/testify/require"
)

// mostPerPush is the most that may come of one packet after the start: a row of
// gaps of five minutes for two tracks, and what was held while tracks disagreed.
const mostPerPush = 2*holdUnits + 4*int(longestHole/time.Second)

// FuzzTimeline reads bytes as what connections send and what time does.
func FuzzTimeline(f *testing.F) {
	f.Add([]byte("\x00\x01\x10\x20\x01\x02\x10\x20"), int64(0), false)
	f.Add([]byte("steps, jumps, silence and new connections come from the upper bits \xff\xf0\xe1\xd2\xc3"), int64(1<<32-500), true)
	f.Add([]byte{0x41, 0x80, 0x40, 0x00, 0xc1, 0x08, 0x30, 0x03, 0x41, 0x02, 0xe0, 0x00, 0x81, 0x70, 0x00, 0x00}, int64(1<<62), false)
	video := []*sluice.Track{raw(avcTrack(f, 640, 25, 1), videoID, 1000), raw(avcTrack(f, 1280, 0, 0), videoID, 1000)}
	audio := []*sluice.Track{raw(aac48(f), audioID, 1000), raw(aac44(f), audioID, 1000)}
	f.Fuzz(func(t *testing.T, data []byte, dts int64, unwrapped bool) {
		if len(data) > 4<<12 {
			t.Skip("long enough")
		}
		wrap := int64(1 << 32)
		if unwrapped {
			wrap = 0
		}
		fz := &fuzzer{run: newRun(t, time.Second, Position{}), wrap: wrap, dts: dts, video: video, audio: audio}
		fz.reconnect()
		for ; len(data) >= 4; data = data[4:] {
			fz.step(data[0], data[1], data[2], data[3])
		}
		fz.tl.flush(fz.in)
		fz.collect()
	})
}

type fuzzer struct {
	*run
	wrap         int64
	dts          int64
	video, audio []*sluice.Track
	at           time.Time
}

func (f *fuzzer) reconnect() {
	f.in = newInput(1000, f.wrap, func() hints { return hints{frameRate: 30} })
}

// step does what four bytes say: one packet, after some time, with some DTS.
func (f *fuzzer) step(what, by, arrival, composition byte) {
	if f.at.IsZero() {
		f.at = epoch
	}
	f.at = f.at.Add(time.Duration(arrival) * time.Millisecond)
	step := int64(int8(by))
	switch what >> 5 {
	case 1: // frames are usually in order
		step = int64(by)
	case 2:
		step <<= 8
	case 3:
		step <<= uint(what & 31 * 2)
	case 4:
		f.at = f.at.Add(time.Duration(by) * time.Second)
	case 5:
		f.tl.flush(f.in)
		f.collect()
		f.tl.silence(nil, f.at, f.at.Add(time.Duration(by)*time.Second))
		f.collect()
		f.reconnect()
	case 6:
		f.at = f.at.Add(-time.Duration(by) * time.Minute)
	}
	f.dts += step
	p := sluice.Packet{DTS: f.dts, PTS: f.dts + int64(int8(composition))*int64(what>>4), Key: what&4 == 0, Data: []byte{1}}
	tracks := f.audio
	if what&1 == 0 {
		tracks = f.video
	}
	p.Track = tracks[what>>1&1&(what>>3)]
	held := len(f.in.held)
	require.NoError(f.t, f.tl.push(f.in, p, f.at))
	require.LessOrEqual(f.t, len(f.tl.out), mostPerPush+held*64)
	f.collect()
	f.tl.silence(f.in, f.at, f.at.Add(time.Duration(composition)*100*time.Millisecond))
	require.LessOrEqual(f.t, len(f.tl.out), mostPerPush)
	f.collect()
}
