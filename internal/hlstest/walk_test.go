package hlstest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// walkFake walks a fake presentation on fake time.
func walkFake(t *testing.T, f *fake, long time.Duration) Report {
	t.Helper()
	return walkUntil(t, f, long, "")
}

// walkUntil walks until a rule is broken.
func walkUntil(t *testing.T, f *fake, long time.Duration, rule string) Report {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	found := func(v Violation) {
		if v.Rule == rule {
			cancel()
		}
	}
	report, err := Walk(ctx, &http.Client{Transport: f}, "http://fake/live/index.m3u8",
		Options{For: long, ProbeEvery: time.Second, Slack: 500 * time.Millisecond, Found: found})
	require.NoError(t, err)
	return report
}

// TestClean is what every mutation below is measured against: a walk over
// an era, a gap, and both of them leaving the window.
func TestClean(t *testing.T) {
	onFakeTime(t)
	for _, c := range []struct {
		name     string
		perPart  int64
		foretell bool
		seconds  int
	}{
		{"short last parts", 6, false, 100}, // the era's beginning leaves the window
		{"full last parts", 10, false, 60}, {"foretold ends", 10, true, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake("", c.perPart)
				f.foretell = c.foretell
				report := walkFake(t, f, time.Duration(c.seconds)*time.Second)
				require.Empty(t, report.Violations, report.String())
				require.Zero(t, f.gaps, "gaps were fetched")
				for _, s := range report.Renditions {
					require.Greater(t, s.Parts, 2*c.seconds)
					require.Greater(t, s.Reloads, 2*c.seconds)
					require.Greater(t, s.Segments, 17+c.seconds/5)
					require.Equal(t, 1, s.Gaps)
					require.Equal(t, 1, s.Discontinuities)
					require.Greater(t, s.Deltas, c.seconds/15)
					require.Greater(t, s.Removed, c.seconds/2)
					require.Equal(t, c.perPart == 10 && s.Kind == "vide" && !c.foretell, s.HintsUnused > 10, "%+v", s)
				}
			})
		})
	}
}

// TestMutations gives the fake one fault at a time; each must be seen.
func TestMutations(t *testing.T) {
	onFakeTime(t)
	for fault, rule := range mutations {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				perPart := int64(6)
				if fault == "hint-hangs" || fault == "hint-phantom" {
					perPart = 10
				}
				f := newFake(fault, perPart)
				if fault == "window" {
					f.window = 20
				}
				long := 100 * time.Second
				if atEnd[fault] {
					long = 12 * time.Second
				}
				report := walkUntil(t, f, long, rule)
				require.True(t, report.Has(rule), "want a violation of %s: %s", rule, report)
			})
		})
	}
}

// atEnd lists the faults that a walk sees when it looks back.
var atEnd = map[string]bool{"codecs": true, "bandwidth": true, "report-stale": true, "report-ahead": true}

// mutations is the rule that each fault must be seen to break.
var mutations = map[string]string{
	"blocking": "blocking", "blocking-whole": "blocking", "blocking-long": "reload", "plain-blocks": "blocking", "stale": "stale",
	"hint-404": "hint", "hint-bytes": "hint", "hint-name": "hint", "hint-missing": "hint", "hint-twice": "hint",
	"hint-hangs": "hint", "hint-phantom": "hint",
	"delta-count": "delta", "delta-boundary": "delta", "delta-ignored": "delta", "delta-extinf": "delta",
	"report-missing": "rendition-report", "report-stale": "rendition-report", "report-ahead": "rendition-report",
	"part-long": "part-duration", "part-short": "part-duration", "part-lie": "part-duration",
	"part-missing": "name", "repeated": "repeated", "byte-exact": "byte-exact", "number": "name", "name": "name",
	"sequence-back": "sequence", "segment-missing": "name", "changed": "changed", "part-changed": "changed",
	"extinf-over": "target-duration", "extinf": "extinf", "extinf-era": "extinf", "tfdt": "tfdt",
	"date-time-drift": "date-time", "date-time-offset": "date-time", "date-time-missing": "date-time",
	"independent": "independent", "independent-lacks": "independent", "independent-segments": "independent-segments",
	"sync": "sync", "open-gop": "open-gop", "target-changes": "target-duration", "header-changes": "header",
	"hold-back": "server-control", "part-hold-back": "server-control", "part-hold-back-short": "server-control",
	"no-block": "server-control", "skip-until": "server-control", "version": "version", "part-inf": "part-inf",
	"disc-stuck": "name", "disc-missing": "name", "disc-one": "discontinuity-sequence",
	"map-missing": "map", "map-broken": "map", "removed": "removed", "removed-parts": "removed",
	"parts-removed": "parts-removed", "window": "window",
	"content-type": "content-type", "cache-control": "cache-control", "cache-playlist": "cache-control", "cors": "cors",
	"gzip": "gzip", "etag": "etag", "etag-ignored": "etag", "head": "head", "range": "range",
	"bad-request": "bad-request", "not-found": "not-found",
	"codecs": "codecs", "bandwidth": "bandwidth", "multivariant": "multivariant",
}

func TestSkipUnasked(t *testing.T) {
	onFakeTime(t)
	synctest.Test(t, func(t *testing.T) {
		require.True(t, walkFake(t, newFake("skip-unasked", 6), 5*time.Second).Has("skip-unasked"))
	})
}

func TestEnd(t *testing.T) {
	onFakeTime(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFake("", 6)
		f.ends = time.Now().Add(10 * time.Second)
		began := time.Now()
		report := walkFake(t, f, time.Hour)
		require.Empty(t, report.Violations, report.String())
		require.Less(t, time.Since(began), time.Minute)
	})
}

// TestHTTP walks over a real connection.
func TestHTTP(t *testing.T) {
	f := newFake("", 6)
	srv := httptest.NewServer(f)
	defer srv.Close()
	client := srv.Client()
	defer client.CloseIdleConnections()
	report, err := Walk(context.Background(), client, srv.URL+"/live/index.m3u8", Options{For: 6 * time.Second, ProbeEvery: 200 * time.Millisecond})
	require.NoError(t, err)
	require.True(t, report.OK(), report.String())
	require.Greater(t, report.Renditions[0].Parts, 4)
}

func TestCannotWalk(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	client := srv.Client()
	defer client.CloseIdleConnections()
	_, err := Walk(t.Context(), client, srv.URL+"/live/index.m3u8", Options{})
	require.ErrorContains(t, err, "404")
}
