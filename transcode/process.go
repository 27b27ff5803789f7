package transcode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// process is a worker's: its four pipes, and its end.
type process struct {
	cmd    *exec.Cmd
	media  *os.File // the source, to it
	made   *os.File // renditions, from it
	told   *os.File // what it is to do
	said   *os.File // log lines and figures
	stderr tail
	exited chan struct{} // closed when it has ended and err is set
	err    error
	once   sync.Once
}

// Descriptors of a worker's ends.
const (
	fdMedia = 3 + iota
	fdMade
	fdTold
	fdSaid
)

func startProcess(command []string) (_ *process, err error) {
	if len(command) == 0 {
		exe, err := executable()
		if err != nil {
			return nil, err
		}
		command = []string{exe}
	}
	p := &process{cmd: exec.Command(command[0], command[1:]...), exited: make(chan struct{})}
	var theirs [4]*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			p.closePipes()
		}
	}()
	for i, ours := range []**os.File{&p.media, &p.made, &p.told, &p.said} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		theirs[i], *ours = r, w
		if i%2 == 1 {
			theirs[i], *ours = w, r
		}
	}
	p.cmd.ExtraFiles = theirs[:]
	p.cmd.Env = append(os.Environ(), workerEnv+"=1")
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = workerAttributes()
	started := make(chan error)
	go p.run(started)
	return p, <-started
}

// run starts the process and waits for its end, from one thread: a child that is
// to die with its parent dies with the thread that started it.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.exited)
}

// settle gives a worker that has closed its output time to end, and to be heard.
func (p *process) settle(ctx context.Context, heard <-chan struct{}) {
	late := time.NewTimer(time.Second)
	defer late.Stop()
	for _, done := range []<-chan struct{}{p.exited, heard} {
		select {
		case <-done:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// termWait is how long a worker may take to end when it is asked to.
const termWait = 500 * time.Millisecond

// kill ends the process: closed pipes and SIGTERM first, SIGKILL then. It waits
// for its end.
func (p *process) kill() {
	p.once.Do(func() {
		p.closePipes()
		_ = p.cmd.Process.Signal(terminate) // it may have ended
		late := time.NewTimer(termWait)
		defer late.Stop()
		select {
		case <-p.exited:
		case <-late.C:
			_ = p.cmd.Process.Kill() // as above
		}
	})
	<-p.exited
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.media, p.made, p.told, p.said} {
		f.Close()
	}
}

// reason says how a process ended that should not have.
func (p *process) reason() error {
	how := "it ended without a word"
	if p.err != nil {
		how = p.err.Error()
	}
	if said := p.stderr.String(); said != "" {
		return fmt.Errorf("worker process: %s: %s", how, said)
	}
	return errors.New("worker process: " + how)
}

// tail keeps the first and the last of what is written.
type tail struct {
	mu          sync.Mutex
	first, last []byte
}

const tailBytes = 512

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(b), tailBytes-len(t.first))
	t.first = append(t.first, b[:n]...)
	t.last = append(t.last, b[n:]...)
	if over := len(t.last) - tailBytes; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(b), nil
}

// String returns what was written, shortened.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.first) + string(t.last))
}
