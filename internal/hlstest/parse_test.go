package hlstest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const sample = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:8
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=48,HOLD-BACK=24,PART-HOLD-BACK=0.78
#EXT-X-PART-INF:PART-TARGET=0.26
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-MAP:URI="i1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z
#EXTINF:4.00000,
1/2.0-100.m4s
#EXT-X-GAP
#EXTINF:4.00000,
1/2.0-101.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="i2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:14.500Z
#EXT-X-PART:DURATION=0.25,URI="1/3.0-102.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.25,URI="1/3.0-102.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1/3.0-102.2.m4s"
#EXT-X-RENDITION-REPORT:URI="2.m3u8",LAST-MSN=102,LAST-PART=1
`

func TestParse(t *testing.T) {
	p, err := Parse([]byte(sample))
	require.NoError(t, err)
	require.Equal(t, 8*time.Second, p.TargetDuration)
	require.Equal(t, 260*time.Millisecond, p.PartTarget)
	require.Equal(t, position{102, 2}, p.next())
	require.Len(t, p.complete(), 2)
	open := p.find(102)
	require.Equal(t, uint64(3), open.DiscSeq)
	require.Equal(t, "i2.mp4", open.Init)
	require.Len(t, open.Parts, 2)
	require.True(t, p.find(101).Gap)
	require.Equal(t, "i1.mp4", p.find(101).Init)
	require.Equal(t, p.find(100).Start.Add(4*time.Second), p.find(101).Start)
	require.Equal(t, open.Start.Add(500*time.Millisecond), p.edge())
	require.Equal(t, []RenditionReport{{"2.m3u8", 102, 1, true}}, p.Reports)
	require.Nil(t, p.find(103))
}

func TestParseRefuses(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:8\n"
	for name, text := range map[string]string{
		"no header":                   "#EXT-X-TARGETDURATION:8\n",
		"no target duration":          "#EXTM3U\n",
		"fractional target duration":  "#EXTM3U\n#EXT-X-TARGETDURATION:8.5\n",
		"target duration twice":       head + "#EXT-X-TARGETDURATION:8\n",
		"URI without EXTINF":          head + "a.m4s\n",
		"EXTINF without URI":          head + "#EXTINF:4,\n",
		"EXTINF without comma":        head + "#EXTINF:4\na.m4s\n",
		"EXTINF twice":                head + "#EXTINF:4,\n#EXTINF:4,\na.m4s\n",
		"late media sequence":         head + "#EXTINF:4,\na.m4s\n#EXT-X-MEDIA-SEQUENCE:5\n",
		"late skip":                   head + "#EXTINF:4,\na.m4s\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n",
		"part without duration":       head + `#EXT-X-PART:URI="a"` + "\n",
		"part with bare URI":          head + "#EXT-X-PART:DURATION=1,URI=a\n",
		"attribute twice":             head + `#EXT-X-PART:DURATION=1,DURATION=1,URI="a"` + "\n",
		"open quote":                  head + `#EXT-X-PART:DURATION=1,URI="a` + "\n",
		"trailing comma":              head + `#EXT-X-PART:URI="a",` + "\n",
		"discontinuity between parts": head + `#EXT-X-PART:DURATION=1,URI="a"` + "\n#EXT-X-DISCONTINUITY\n",
		"neither yes nor no":          head + `#EXT-X-PART:DURATION=1,URI="a",INDEPENDENT=MAYBE` + "\n",
		"date":                        head + "#EXT-X-PROGRAM-DATE-TIME:yesterday\n",
		"negative duration":           head + "#EXTINF:-1,\na.m4s\n",
		"endless duration":            head + "#EXTINF:99999999999999999999,\na.m4s\n",
		"not UTF-8":                   head + "\xff\n",
		"huge skip":                   head + "#EXT-X-SKIP:SKIPPED-SEGMENTS=18446744073709551615\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(text))
			require.ErrorIs(t, err, ErrPlaylist)
		})
	}
}

func TestMerge(t *testing.T) {
	old, err := Parse([]byte(sample))
	require.NoError(t, err)
	delta, err := Parse([]byte("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:100\n" +
		"#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"i2.mp4\"\n" +
		"#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:14.500Z\n#EXTINF:4,\n1/3.0-102.m4s\n"))
	require.NoError(t, err)
	merged, err := merge(old, delta)
	require.NoError(t, err)
	require.Len(t, merged.Segments, 3)
	require.Equal(t, "i1.mp4", merged.find(100).Init)
	require.Equal(t, uint64(3), merged.find(102).DiscSeq)

	delta.Skipped = 3
	_, err = merge(old, delta)
	require.Error(t, err, "the third skipped segment was open")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("#EXTM3U\r\n#EXT-X-TARGETDURATION:8\r\n#EXT-X-SKIP:SKIPPED-SEGMENTS=9\r\n#EXTINF:3.999,t\r\na\r\n#EXT-X-ENDLIST\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			require.ErrorIs(t, err, ErrPlaylist)
			return
		}
		for i, s := range p.Segments {
			require.Equal(t, p.MediaSequence+p.Skipped+uint64(i), s.MSN)
			require.True(t, s.URI != "" || i == len(p.Segments)-1, "only the last segment may be open")
		}
		_, _ = p.edge(), p.next()
		if !p.Delta {
			same, err := merge(p, p)
			require.NoError(t, err)
			require.Empty(t, difference(same, p, 0))
		}
	})
}

func FuzzParseMultivariant(f *testing.F) {
	f.Add([]byte((&fake{}).multivariant()))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMultivariant(data)
		if err != nil {
			require.ErrorIs(t, err, ErrPlaylist)
			return
		}
		m.lint()
		require.NotContains(t, m.playlists(), "")
	})
}

func FuzzFragments(f *testing.F) {
	t := &fakeTrack{f: &fake{}, id: 1, video: true, timescale: 90000, frame: 3600, perPart: 6, cache: map[string][]byte{}}
	c := t.cut(1000)
	f.Add(t.init(), t.bytes(c, 0))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		init, err := parseInit(head)
		if err != nil {
			return
		}
		frags, err := parseFragments(init, body)
		require.True(t, err != nil || len(frags) > 0)
	})
}
