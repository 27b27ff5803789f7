// Package rtc speaks WebRTC.
package rtc

import (
	_ "github.com/pion/ice/v4"
	_ "github.com/pion/interceptor/pkg/nack"
	_ "github.com/pion/interceptor/pkg/jitterbuffer"
	_ "github.com/pion/rtcp"
	_ "github.com/pion/rtp/codecs"
	_ "github.com/pion/sdp/v3"
	_ "github.com/pion/webrtc/v4"
)
