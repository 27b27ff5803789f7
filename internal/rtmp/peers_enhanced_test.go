package rtmp

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	gocodecs "github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// gotrack is a track as gortmplib has it, and ours that should come of it.
type gotrack struct {
	track *gortmplib.Track
	codec sluice.FourCC
	key   []byte
	write func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error
	// listen has f called for each of the track's frames that gortmplib reads.
	listen func(r *gortmplib.Reader, t *gortmplib.Track, f func(frame []byte))
}

func gotracks(t testing.TB) map[string]gotrack {
	sets := hevcSetsOf(t)
	sps, pps, err := codec.AVCParameterSets(testAVCC(t, 1280))
	require.NoError(t, err)
	var tu av1.Bitstream
	require.NoError(t, tu.Unmarshal(testAV1Key))
	stereo := &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2, ChannelCount: 2}
	return map[string]gotrack{
		"HEVC": {
			&gortmplib.Track{Codec: &gocodecs.H265{VPS: sets[0], SPS: sets[1], PPS: sets[2]}}, sluice.HVC1, hevc(20, 7),
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error {
				return w.WriteH265(t, at+80*time.Millisecond, at, [][]byte{hevc(20, 7)[4:]})
			},
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataH265(t, func(_, _ time.Duration, au [][]byte) { f(append([]byte{0, 0, 0, 4}, au[0]...)) })
			},
		},
		"H.264": {
			&gortmplib.Track{Codec: &gocodecs.H264{SPS: sps[0], PPS: pps[0]}}, sluice.AVC1, sample(true, 7, 30),
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error {
				return w.WriteH264(t, at+80*time.Millisecond, at, [][]byte{sample(true, 7, 30)[4:]})
			},
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataH264(t, func(_, _ time.Duration, au [][]byte) {
					if !isParameterSet(au) {
						f(append([]byte{0, 0, 0, 30}, au[0]...))
					}
				})
			},
		},
		"AV1": {
			&gortmplib.Track{Codec: &gocodecs.AV1{}}, sluice.AV01, testAV1Key,
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error { return w.WriteAV1(t, at, tu) },
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataAV1(t, func(_ time.Duration, tu [][]byte) {
					b, err := av1.Bitstream(tu).Marshal()
					if err == nil {
						f(b)
					}
				})
			},
		},
		"VP9": {
			&gortmplib.Track{Codec: &gocodecs.VP9{}}, sluice.VP09, testVP9Key,
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error {
				return w.WriteVP9(t, at, testVP9Key)
			},
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataVP9(t, func(_ time.Duration, frame []byte) { f(frame) })
			},
		},
		"Opus": {
			&gortmplib.Track{Codec: &gocodecs.Opus{IDHeader: &opus.IDHeader{Version: 1, ChannelCount: 2}}}, sluice.Opus, []byte{0xfc, 7},
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error {
				return w.WriteOpus(t, at, []byte{0xfc, 7})
			},
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataOpus(t, func(_ time.Duration, b []byte) { f(b) })
			},
		},
		"AC-3": {
			&gortmplib.Track{Codec: &gocodecs.AC3{SampleRate: 48000, ChannelCount: 2}}, sluice.AC3, testAC3,
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error {
				return w.WriteAC3(t, at, testAC3)
			},
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataAC3(t, func(_ time.Duration, b []byte) { f(b) })
			},
		},
		"AAC": {
			&gortmplib.Track{Codec: &gocodecs.MPEG4Audio{Config: stereo}}, sluice.MP4A, []byte{0x21, 7},
			func(w *gortmplib.Writer, t *gortmplib.Track, at time.Duration) error {
				return w.WriteMPEG4Audio(t, at, []byte{0x21, 7})
			},
			func(r *gortmplib.Reader, t *gortmplib.Track, f func([]byte)) {
				r.OnDataMPEG4Audio(t, func(_ time.Duration, b []byte) { f(b) })
			},
		},
	}
}

// hevcSetsOf returns VPS, SPS and PPS of the test's configuration.
func hevcSetsOf(t testing.TB) (sets [][]byte) {
	b := testHVCC(t)[23:]
	for range 3 {
		n := int(b[3])<<8 | int(b[4])
		sets, b = append(sets, b[5:5+n]), b[5+n:]
	}
	return sets
}

var gocases = [][]string{
	{"HEVC", "Opus"},
	{"AV1", "AC-3"},
	{"VP9", "AAC"},
	{"H.264", "HEVC", "AV1", "VP9", "AAC", "Opus", "AC-3"}, // several of a kind: multitrack
}

func TestGortmplibPublishesEnhanced(t *testing.T) {
	for _, names := range gocases {
		t.Run(names[0], func(t *testing.T) {
			addr, conns := accepted(t, Config{})
			ctx := testContext(t)
			all := gotracks(t)
			published, received := make(chan error, 1), make(chan struct{})
			go func() {
				published <- func() error {
					c := &gortmplib.Client{URL: parseURL(t, "rtmp://"+addr+"/live/KEY"), Publish: true}
					if err := c.Initialize(ctx); err != nil {
						return err
					}
					defer c.Close()
					w := &gortmplib.Writer{Conn: c}
					for _, name := range names {
						w.Tracks = append(w.Tracks, all[name].track)
					}
					if err := w.Initialize(); err != nil {
						return err
					}
					for n := range 10 {
						for _, name := range names {
							if err := all[name].write(w, all[name].track, time.Duration(n)*40*time.Millisecond); err != nil {
								return err
							}
						}
					}
					<-received // closing takes back what is on the way
					return nil
				}()
			}()
			pub, err := (<-conns).Publish(ctx)
			require.NoError(t, err)
			defer pub.Close()
			for n := range 10 {
				for _, name := range names {
					p := nextMedia(t, pub)
					require.Equal(t, all[name].codec, p.Track.Codec)
					require.Equal(t, all[name].key, p.Data, name)
					require.True(t, p.Key, name)
					require.EqualValues(t, n*40, p.DTS)
				}
			}
			require.Len(t, pub.Tracks(), len(names))
			assert.Zero(t, pub.Stats().Dropped)
			close(received)
			require.NoError(t, <-published)
		})
	}
}

// What gortmplib reads of our client's publication and of our server's player
// connections, which have one track of a kind.
func TestGortmplibReadsEnhanced(t *testing.T) {
	for _, names := range gocases {
		t.Run(names[0], func(t *testing.T) {
			all := gotracks(t)
			type frame struct {
				name string
				data []byte
			}
			received := make(chan frame, 1000)
			read := func(ctx context.Context, c gortmplib.Conn) {
				r := &gortmplib.Reader{Conn: c}
				if !assert.NoError(t, r.Initialize()) || !assert.Len(t, r.Tracks(), len(names)) {
					return
				}
				for i, name := range names {
					all[name].listen(r, r.Tracks()[i], func(b []byte) {
						select {
						case received <- frame{name, bytes.Clone(b)}:
						case <-ctx.Done():
						}
					})
				}
				for r.Read() == nil {
				}
			}
			addr := listen(t, func(ctx context.Context, nc net.Conn) {
				c := &gortmplib.ServerConn{RW: nc}
				if assert.NoError(t, c.Initialize()) && assert.NoError(t, c.Accept()) {
					read(ctx, c)
				}
			})
			ctx := testContext(t)
			c, err := Dial(ctx, "rtmp://"+addr+"/live/KEY", Config{})
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.Publish(ctx, time.Time{}))
			c.mux.many = true // it takes them, and does not say so
			tracks := ourTracks(t, names)
			require.NoError(t, c.Describe(ctx, tracks))
			packet := func(n, i int) sluice.Packet {
				at := tracks[i].Ticks(time.Unix(1.7e9, int64(n)*4e7))
				return sluice.Packet{Track: tracks[i], DTS: at, PTS: at, Key: true, Data: all[names[i]].key}
			}
			for n := range 60 { // it looks at two seconds before it says what there is
				for i := range names {
					require.NoError(t, c.WritePacket(ctx, packet(n, i)))
				}
			}
			for range 60 {
				for _, name := range names {
					select {
					case got := <-received:
						require.Equal(t, name, got.name)
						require.Equal(t, all[name].key, got.data, name)
					case <-ctx.Done():
						t.Fatal(ctx.Err())
					}
				}
			}
			require.NoError(t, c.Close())
			if len(names) > 2 {
				return
			}

			s := newSite(t, FanoutConfig{})
			for n := range 120 {
				for i := range names {
					p := packet(n, i)
					p.Key = n == 0 || p.Track.Kind == sluice.Audio // where the player is to begin
					s.write(t, p)
				}
			}
			player := &gortmplib.Client{URL: parseURL(t, "rtmp://"+s.addr+"/play/demo")}
			require.NoError(t, player.Initialize(ctx))
			done := make(chan struct{})
			go func() { defer close(done); read(ctx, player) }()
			defer func() { player.Close(); <-done }()
			for range 200 {
				select {
				case got := <-received:
					require.Equal(t, all[got.name].key, got.data, got.name)
				case <-done:
					t.Fatal("the player has left")
				case <-ctx.Done():
					t.Fatal(ctx.Err())
				}
			}
		})
	}
}

// ourTracks are the tracks of gotracks as we have them.
func ourTracks(t testing.TB, names []string) (tracks []*sluice.Track) {
	byName := map[string]*sluice.Track{"H.264": testVideo(t, 1280), "AAC": testAudio(t)}
	for _, c := range enhancedCodecs(t) {
		byName[c.name] = c.track
	}
	for i, name := range names {
		own := *byName[name]
		own.ID = uint32(i + 1)
		tracks = append(tracks, &own)
	}
	return tracks
}
