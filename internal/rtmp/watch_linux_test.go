package rtmp

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A line that is cut is noticed by what is not confirmed.
func TestDialWatchesTheLine(t *testing.T) {
	addr, _ := accepted(t, Config{})
	c, err := Dial(testContext(t), "rtmp://"+addr+"/live/KEY", Config{WriteTimeout: 7 * time.Second})
	require.NoError(t, err)
	defer c.Close()
	raw, err := c.nc.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		assert.NoError(t, err)
		assert.Equal(t, 7000, got)
	}))
}
