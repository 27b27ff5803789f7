package srt

import (
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A machine with several addresses answers from the one that was spoken to.

// wantDestination asks the system to say where packets came to. Where it
// cannot, it chooses itself what answers come from.
func wantDestination(pc *net.UDPConn) {
	_ = ipv4.NewPacketConn(pc).SetControlMessage(ipv4.FlagDst, true)
	_ = ipv6.NewPacketConn(pc).SetControlMessage(ipv6.FlagDst, true)
}

// replyFrom makes the control message for answers to a packet of that one.
func replyFrom(oob []byte) []byte {
	if len(oob) == 0 {
		return nil
	}
	var v4 ipv4.ControlMessage
	if v4.Parse(oob) == nil && v4.Dst.To4() != nil {
		return (&ipv4.ControlMessage{Src: v4.Dst}).Marshal()
	}
	var v6 ipv6.ControlMessage
	if v6.Parse(oob) == nil && v6.Dst != nil && v6.Dst.To4() == nil {
		return (&ipv6.ControlMessage{Src: v6.Dst}).Marshal()
	}
	return nil
}
