package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Multistream is what the page /creator said while a push target was added,
// went live and was removed.
type Multistream struct {
	Errors    []string          `json:"errors"`    // uncaught exceptions of the page
	Broadcast map[string]string `json:"broadcast"` // figures of the broadcast
	Watch     string            `json:"watch"`     // where the page links to
	Complaint string            `json:"complaint"` // at the field of an address that is none
	Focused   string            `json:"focused"`   // the field that had the focus then
	Target    struct {
		Badge, URL, Figures string
	} `json:"target"` // once it was live
	Note     string `json:"note"`     // how many there are
	Kept     string `json:"kept"`     // what the form still held of the key
	Asks     string `json:"asks"`     // the removing button, pressed once
	Overflow int    `json:"overflow"` // pixels that the page is wider than the window
}

// AddAndRemoveTarget opens the page /creator of site, has it push the stream
// name to an RTMP server, waits until that is live, and removes the target.
func AddAndRemoveTarget(t testing.TB, site, name, server, key, size string) (r Multistream) {
	t.Helper()
	dir := require(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(dir, "multistream.mjs"), site+"/creator",
		"--name", name, "--server", server, "--key", key, "--size", size, "--chromium", chromium())
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &r)
	}
	if err != nil {
		t.Fatalf("browser: targets of %s: %v\n%s", site, err, complaint.String())
	}
	return r
}
