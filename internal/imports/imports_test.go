package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/sluice-live/sluice"

// ranks orders the folders at the top: each may import those of a lower rank,
// and internal/* and examples/* their own.
var ranks = map[string]int{
	"":          0,
	"internal":  1,
	"m4s":       2,
	"ingest":    3,
	"transcode": 3,
	"dvr":       3,
	"origin":    3,
	"control":   4,
	"examples":  5,
}

// harness is what exists for tests and measurements alone, beside the
// conformance suites, whose names end in "test".
var harness = map[string]bool{
	"internal/bench":     true,
	"internal/imports":   true,
	"internal/interop":   true,
	"internal/testmedia": true,
}

func isHarness(folder string) bool {
	first := strings.SplitN(folder, "/", 3)
	if len(first) < 2 || first[0] != "internal" {
		return false
	}
	return harness[first[0]+"/"+first[1]] || strings.HasSuffix(first[1], "test")
}

// violation says what is wrong with a package importing another; both are
// import paths. It returns nil if nothing is.
func violation(from, to string) error {
	from = folder(from)
	if !strings.HasPrefix(to+"/", module+"/") {
		if from == "" && strings.Contains(strings.SplitN(to, "/", 2)[0], ".") {
			return errors.New("the root package imports the standard library alone")
		}
		return nil
	}
	to = folder(to)
	if isHarness(from) {
		return nil
	}
	if isHarness(to) {
		return errors.New("the product does not import what is for tests")
	}
	fromRank, known := ranks[top(from)]
	if !known {
		return fmt.Errorf("%s has no place in the order of packages", top(from))
	}
	toRank := ranks[top(to)]
	samePackage := top(from) == top(to) && top(from) != ""
	if toRank < fromRank || samePackage {
		return nil
	}
	return fmt.Errorf("%s does not stand above %s", top(from), top(to))
}

func folder(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

func top(folder string) string { return strings.SplitN(folder, "/", 2)[0] }

type listed struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
}

func list(t *testing.T) []listed {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,CgoFiles", module+"/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // without it files that use cgo are not named as such
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

func TestImportRules(t *testing.T) {
	for _, p := range list(t) {
		for _, to := range p.Imports {
			assert.NoError(t, violation(p.ImportPath, to), "%s imports %s", p.ImportPath, to)
		}
		if top(folder(p.ImportPath)) != "transcode" {
			assert.Empty(t, p.CgoFiles, "%s uses cgo", p.ImportPath)
		}
	}
}

func TestViolation(t *testing.T) {
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"", "net/http", true},
		{"", "github.com/stretchr/testify", false},
		{"", module + "/internal/access", false},
		{"", module + "/ingest", false},
		{"internal/cmaf", module, true},
		{"internal/cmaf", module + "/internal/codec", true},
		{"internal/cmaf", module + "/m4s", false},
		{"internal/cmaf", module + "/origin", false},
		{"internal/cmaf", module + "/internal/testmedia", false},
		{"internal/rtmp", module + "/internal/sinktest", false},
		{"internal/testmedia", module + "/origin", true},
		{"internal/bench/rtmp", module + "/ingest", true},
		{"m4s", module + "/internal/cmaf", true},
		{"m4s", module + "/dvr", false},
		{"ingest", module, true},
		{"ingest", module + "/m4s", true},
		{"ingest", module + "/ingest/timeline", true},
		{"ingest", module + "/origin", false},
		{"origin", module + "/dvr", false},
		{"control", module + "/transcode", true},
		{"control", module + "/examples/ugc/web", false},
		{"examples/ugc", module + "/control", true},
		{"examples/ugc", module + "/examples/ugc/web", true},
		{"surprise", module, false},
	} {
		from := strings.TrimSuffix(module+"/"+c.from, "/")
		err := violation(from, c.to)
		assert.Equal(t, c.allowed, err == nil, "%s imports %s: %v", from, c.to, err)
	}
}
