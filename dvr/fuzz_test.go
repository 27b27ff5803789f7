package dvr

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/sluicetest"
)

// FuzzBlob reads any bytes as a blob: what it finds lies in them.
func FuzzBlob(f *testing.F) {
	a := newArchive(f)
	consume(f, a.Stream("demo"), sluicetest.Packets(2, sluicetest.Audio(1)))
	path := blobsOf(f, a.Stream("demo"))[0]
	raw, err := os.ReadFile(path)
	require.NoError(f, err)
	idx, err := os.ReadFile(path[:len(path)-len(blobExt)] + indexExt)
	require.NoError(f, err)
	f.Add(raw)
	f.Add(raw[:len(raw)*2/3])
	f.Add(idx)
	f.Fuzz(func(t *testing.T, b []byte) {
		head, err := headOf(bytes.NewReader(b))
		if err != nil {
			return
		}
		scanned, indexed := &blob{head: head}, &blob{head: head}
		s := scanner{f: bytes.NewReader(b), size: int64(len(b)), blob: scanned}
		require.NoError(t, s.run(true))
		indexed.parseIndex(b, int64(len(b)))
		for _, x := range []*blob{scanned, indexed} {
			for i, e := range x.entries {
				require.LessOrEqual(t, e.off+e.size, int64(len(b)))
				require.NotNil(t, x.segment(i).Track)
			}
		}
	})
}

// FuzzSamples reads any bytes as a table of samples: what it accepts is written
// as it was said.
func FuzzSamples(f *testing.F) {
	part := Part{Size: 1000, crc: 7, Samples: []Sample{{Offset: 100, Size: 500, DTS: 1000, PTS: 3000, Dur: 40, Key: true}, {Offset: 600, Size: 400, DTS: 1040, PTS: 1040, Dur: 39, Discont: true}}}
	f.Add(appendPart(nil, 990, &part), int64(990), int64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, size int64) {
		if start < 0 || start > maxTime {
			return
		}
		parts, err := parseSamples(b, start, size)
		if err != nil {
			return
		}
		var again []byte
		for i := range parts {
			again = appendPart(again, start, &parts[i])
		}
		same, err := parseSamples(again, start, size)
		require.NoError(t, err)
		require.Equal(t, parts, same)
	})
}

// FuzzDescriptions reads tracks and recordings, and what files are called.
func FuzzDescriptions(f *testing.F) {
	body, err := trackBody(3, sluicetest.Video(1))
	require.NoError(f, err)
	f.Add(body)
	f.Add([]byte(`{"id":"x","from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","created":"2026-01-02T00:00:00Z"}`))
	f.Add([]byte("14-00000000001790000000-2.blob"))
	f.Add([]byte("a%20b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, track, err := parseTrack(b); err == nil {
			again, err := trackBody(n, track)
			require.NoError(t, err)
			_, same, err := parseTrack(again)
			require.NoError(t, err)
			require.Equal(t, track, same)
		}
		if r, err := parseRecording(b); err == nil {
			require.True(t, isRecordingID(r.ID))
		}
		if n, ok := parseBlobName("day", time.Unix(0, 0).UTC(), string(b)); ok {
			require.Equal(t, "day/"+string(b), n.path())
		}
		if name, ok := streamName(string(b)); ok {
			folder, err := streamFolder(name)
			require.NoError(t, err)
			require.Equal(t, string(b), folder)
		}
	})
}
