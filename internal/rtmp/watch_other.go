//go:build !linux

package rtmp

import (
	"net"
	"time"
)

// watch does nothing where there is no TCP_USER_TIMEOUT.
func watch(net.Conn, time.Duration) {}
