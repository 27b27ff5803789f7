package interop

import (
	"bytes"
	"sync"
)

// output keeps the end of what a program writes, to be read while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const outputSize = 256 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if over := o.buf.Len() + len(p) - outputSize; over > 0 {
		o.buf.Next(over)
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
