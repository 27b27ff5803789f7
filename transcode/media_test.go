package transcode

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/asticode/go-astiav"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestMain(m *testing.M) {
	WorkerMain()
	goleak.VerifyTestMain(m)
}

const cell = time.Second // T of the streams made here

// clip lets Debian's ffmpeg make media and returns it as stamped packets, as a
// timeline yields them. args are ffmpeg's, without the output file. Video is
// track 1, audio track 2.
func clip(t testing.TB, args string) []sluice.Packet {
	t.Helper()
	return stampAll(demux(t, encodeMP4(t, args)), 1)
}

func encodeMP4(t testing.TB, args string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.mp4")
	all := append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, strings.Fields(args)...)
	all = append(all, "-strict", "-2", "-movflags", "+frag_keyframe+delay_moov+default_base_moof", path)
	out, err := exec.Command(testmedia.Need(t, "ffmpeg"), all...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

const testStart = sluicetest.FirstSegment // seconds since the epoch

// demux reads a fragmented MP4: packets in the order of their DTS, from
// testStart on, unstamped.
func demux(t testing.TB, b []byte) (all []sluice.Packet) {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(b))
	require.NoError(t, err)
	for i, trak := range f.Moov.Traks {
		track, skip := describe(t, trak)
		ratio := int64(track.Timescale) / int64(trak.Mdia.Mdhd.Timescale)
		trex := f.Moov.Mvex.Trexs[i]
		for _, s := range f.Segments {
			for _, frag := range s.Fragments {
				samples, err := frag.GetFullSamples(trex)
				if err != nil || frag.Moof.Traf.Tfhd.TrackID != trak.Tkhd.TrackID {
					samples, err = samplesOf(frag, trex, trak.Tkhd.TrackID)
				}
				require.NoError(t, err)
				for _, s := range samples {
					p := sluice.Packet{Track: track, Data: s.Data, Dur: int64(s.Dur) * ratio,
						Key: track.Kind == sluice.Audio || s.Flags&0x10000 == 0}
					p.DTS = testStart*int64(track.Timescale) + (int64(s.DecodeTime)-skip)*ratio
					p.PTS = p.DTS + int64(s.CompositionTimeOffset)*ratio
					all = append(all, p)
				}
			}
		}
	}
	sortPackets(all)
	return all
}

func samplesOf(frag *mp4.Fragment, trex *mp4.TrexBox, id uint32) (all []mp4.FullSample, err error) {
	for _, traf := range frag.Moof.Trafs {
		if traf.Tfhd.TrackID != id {
			continue
		}
		at := traf.Tfdt.BaseMediaDecodeTime()
		for _, trun := range traf.Truns {
			trun.AddSampleDefaultValues(traf.Tfhd, trex)
			pos := frag.Moof.StartPos + uint64(trun.DataOffset)
			for _, s := range trun.Samples {
				from := pos - frag.Mdat.PayloadAbsoluteOffset()
				all = append(all, mp4.FullSample{Sample: s, DecodeTime: at, Data: frag.Mdat.Data[from : from+uint64(s.Size)]})
				pos += uint64(s.Size)
				at += uint64(s.Dur)
			}
		}
	}
	return all, nil
}

func sortPackets(all []sluice.Packet) {
	slices.SortStableFunc(all, func(a, b sluice.Packet) int { return a.Track.Time(a.DTS).Compare(b.Track.Time(b.DTS)) })
}

// describe makes a track of the sample entry as it stands in the file.
func describe(t testing.TB, trak *mp4.TrakBox) (*sluice.Track, int64) {
	var entry bytes.Buffer
	require.NoError(t, trak.Mdia.Minf.Stbl.Stsd.Children[0].Encode(&entry))
	track := &sluice.Track{ID: 1, Kind: sluice.Video, Timescale: 90000, Config: entry.Bytes(), SegmentDur: cell, Era: 7}
	copy(track.Codec[:], entry.Bytes()[4:8])
	if trak.Mdia.Hdlr.HandlerType == "soun" {
		track.ID, track.Kind, track.Timescale = 2, sluice.Audio, trak.Mdia.Mdhd.Timescale
		track.Channels = int(binary.BigEndian.Uint16(entry.Bytes()[24:]))
		track.SampleRate = int(binary.BigEndian.Uint32(entry.Bytes()[32:]) >> 16)
	} else {
		track.Width = int(binary.BigEndian.Uint16(entry.Bytes()[32:]))
		track.Height = int(binary.BigEndian.Uint16(entry.Bytes()[34:]))
		require.Zero(t, 90000%trak.Mdia.Mdhd.Timescale, "use -video_track_timescale 90000")
	}
	track.PartTarget = int64(track.Timescale) * 26 / 100
	var skip int64
	if trak.Edts != nil {
		for _, e := range trak.Edts.Elst[0].Entries {
			skip = max(skip, e.MediaTime)
		}
	}
	return track, skip
}

// stampAll cuts packets into segments as the timeline does, and announces the
// tracks. Numbers go on from the cell of the first packet.
func stampAll(packets []sluice.Packet, parts int64) (all []sluice.Packet) {
	type state struct {
		number, cell int64
	}
	states := map[uint32]*state{}
	for _, p := range packets {
		ts := int64(p.Track.Timescale)
		length := ts * int64(cell) / int64(time.Second) * parts
		s := states[p.Track.ID]
		if s == nil {
			s = &state{number: p.PTS / length, cell: p.PTS / length}
			states[p.Track.ID] = s
			all = append(all, sluice.Packet{Track: p.Track, DTS: p.DTS, PTS: p.PTS, Segment: uint64(s.number)})
		} else if c := p.PTS / length; p.Key && c > s.cell || c > s.cell+1 {
			s.number, s.cell = s.number+1, max(c, s.cell+1)
		}
		p.Segment = uint64(s.number)
		all = append(all, p)
	}
	return all
}

// run sends packets through a ladder and returns what comes out.
func run(t testing.TB, l Ladder, packets []sluice.Packet) []sluice.Packet {
	t.Helper()
	out, err := tryRun(t, l, packets)
	require.NoError(t, err)
	return out
}

func tryRun(t testing.TB, l Ladder, packets []sluice.Packet) (all []sluice.Packet, err error) {
	t.Helper()
	if l.MaxDelay == 0 {
		l.MaxDelay = -1
	}
	src, err := l.Transform(t.Context(), &sluicetest.Slice{Packets: packets})
	require.NoError(t, err)
	defer src.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
}

// media returns the packets of a track that have data.
func media(track uint32, packets []sluice.Packet) (all []sluice.Packet) {
	for _, p := range sluicetest.Of(track, packets) {
		if p.Data != nil {
			all = append(all, p)
		}
	}
	return all
}

// keys returns the PTS of key frames.
func keys(packets []sluice.Packet) (at []int64) {
	for _, p := range packets {
		if p.Key {
			at = append(at, p.PTS)
		}
	}
	return at
}

// shown is a decoded picture.
type shown struct {
	pts int64
	img *image.YCbCr
}

func decodeVideo(t testing.TB, packets []sluice.Packet) (all []shown) {
	t.Helper()
	require.NotEmpty(t, packets)
	d, err := openDecoder(packets[0].Track, packets[0].DTS-90000, 1)
	require.NoError(t, err)
	defer d.close()
	keep := func(f *astiav.Frame) error {
		pts, ok := d.pts(f)
		require.True(t, ok)
		img := new(image.YCbCr)
		require.NoError(t, f.Data().ToImage(img))
		all = append(all, shown{pts, img})
		return nil
	}
	for _, p := range packets {
		require.NoError(t, d.send(p, keep))
	}
	require.NoError(t, d.drain(keep))
	return all
}

// decodeAudio returns the sound and where it begins, at 48 kHz.
func decodeAudio(t testing.TB, packets []sluice.Packet) (s stereo, start int64) {
	t.Helper()
	require.NotEmpty(t, packets)
	d, err := openDecoder(packets[0].Track, packets[0].DTS-90000, 1)
	require.NoError(t, err)
	defer d.close()
	start = noPTS
	var r *resampler
	keep := func(f *astiav.Frame) error {
		if pts, _ := d.pts(f); start == noPTS {
			start = sluice.Rescale(pts, int64(packets[0].Track.Timescale), audioRate)
		}
		if r == nil {
			r, err = newResampler(f)
			require.NoError(t, err)
		}
		return r.push(f, func(f *astiav.Frame) error { s.appendFrame(f, 0); return nil })
	}
	for _, p := range packets {
		require.NoError(t, d.send(p, keep))
	}
	require.NoError(t, d.drain(keep))
	require.NotNil(t, r)
	r.close()
	return s, start
}

// vp8 returns two seconds of bars in VP8, by way of an IVF file.
func vp8(t testing.TB) (all []sluice.Packet) {
	path := filepath.Join(t.TempDir(), "clip.ivf")
	args := "-nostdin -loglevel error " + bars + "-c:v libvpx -deadline realtime -cpu-used 8 -g 25 -t 2 -f ivf " + path
	out, err := exec.Command(testmedia.Need(t, "ffmpeg"), strings.Fields(args)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	track, err := codec.VP(sluice.VP08, 0, 8, 320, 180)
	require.NoError(t, err)
	track.ID, track.SegmentDur = 1, cell
	for b = b[32:]; len(b) >= 12; {
		n, at := int(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint64(b[4:]))
		data := b[12 : 12+n]
		at = testStart*90000 + at*3600
		all = append(all, sluice.Packet{Track: track, DTS: at, PTS: at, Dur: 3600, Key: data[0]&1 == 0, Data: data})
		b = b[12+n:]
	}
	return stampAll(all, 1)
}
