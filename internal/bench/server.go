package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is a process under test.
type server struct {
	name     string
	cmd      *exec.Cmd
	dir      string
	rtmp     string // host:port
	http     string
	playApp  string // RTMP application that players use
	exited   chan struct{}
	log      string // file
	exitText error
}

// launcher starts one kind of server.
type launcher func(ctx context.Context) (*server, error)

// launchSluice starts bin/ugc.
func launchSluice(binary string) launcher {
	return func(ctx context.Context) (*server, error) {
		s, err := newServer("sluice", "play")
		if err != nil {
			return nil, err
		}
		return s, s.start(ctx, binary, "--open", "--http", s.http, "--rtmp", s.rtmp, "--srt", "", "--rtc", "127.0.0.1:0", "--data", filepath.Join(s.dir, "data"))
	}
}

// launchNginx starts nginx with this many worker processes: one for RTMP,
// since its workers do not share streams, and "auto" for files.
func launchNginx(workers string) launcher {
	return func(ctx context.Context) (*server, error) {
		s, err := newServer("nginx", "live")
		if err != nil {
			return nil, err
		}
		config := filepath.Join(s.dir, "nginx.conf")
		if err := os.MkdirAll(filepath.Join(s.dir, "www"), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(config, []byte(s.nginxConfig(workers)), 0o644); err != nil {
			return nil, err
		}
		return s, s.start(ctx, "/usr/sbin/nginx", "-p", s.dir, "-c", config)
	}
}

func (s *server) nginxConfig(workers string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	process := "worker_processes " + workers + ";"
	if workers == "1" {
		process = "master_process off;"
	}
	return strings.NewReplacer("DIR", s.dir, "USER", user, "PROCESS", process, "HTTP", s.http, "RTMP", s.rtmp).Replace(`
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
USER PROCESS daemon off; pid DIR/pid; error_log DIR/log warn;
events { worker_connections 4096; }
http {
	types { video/mp4 mp4 m4s; application/vnd.apple.mpegurl m3u8; }
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
	client_body_temp_path DIR/t; proxy_temp_path DIR/t; fastcgi_temp_path DIR/t; uwsgi_temp_path DIR/t; scgi_temp_path DIR/t;
	server { listen HTTP; location / { root DIR/www; } }
}
rtmp {
	access_log off;
	server {
		listen RTMP; chunk_size 4096;
		application live { live on; }
		application hls { live on; hls on; hls_path DIR/www/hls; hls_nested on; hls_fragment 4s; hls_playlist_length 24s; }
	}
}
`)
}

func newServer(name, playApp string) (*server, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{name: name, dir: dir, playApp: playApp, exited: make(chan struct{}), log: filepath.Join(dir, "log")}
	for _, addr := range []*string{&s.rtmp, &s.http} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*addr = ln.Addr().String()
		defer ln.Close()
	}
	return s, nil
}

// start returns once the server answers on both of its ports.
func (s *server) start(ctx context.Context, program string, args ...string) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.CommandContext(ctx, program, args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.exitText = s.cmd.Wait()
		close(s.exited)
	}()
	for _, addr := range []string{s.rtmp, s.http} {
		if err := s.awaitPort(addr); err != nil {
			s.stop()
			return err
		}
	}
	return nil
}

func (s *server) awaitPort(addr string) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended at its start: %w\n%s", s.name, s.exitText, s.output())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen on %s\n%s", s.name, addr, s.output())
		}
	}
}

// stop ends the server and removes its files.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case <-s.exited:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	os.RemoveAll(s.dir)
}

func (s *server) output() string {
	b, _ := os.ReadFile(s.log)
	return string(b[max(0, len(b)-4000):])
}

// cpu returns the processor seconds that the server and its workers have used.
func (s *server) cpu() (total float64, err error) {
	pid := strconv.Itoa(s.cmd.Process.Pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return 0, fmt.Errorf("%s is gone: %w\n%s", s.name, err, s.output())
	}
	for _, pid := range append(strings.Fields(string(children)), pid) {
		one, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}

func cpuOf(pid string) (float64, error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, err
	}
	// The program's name, in parentheses, may hold spaces.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	return (user + system) / ticksPerSecond, err
}

// peakMemory returns the most memory that was resident, in bytes.
func (s *server) peakMemory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	var kilobytes int64
	_, err = fmt.Sscan(rest, &kilobytes)
	return kilobytes << 10, err
}
