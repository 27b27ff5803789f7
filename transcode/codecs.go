package transcode

import (
	"encoding/binary"
	"fmt"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// made says how what an encoder writes becomes a track and its packets.
type made struct {
	track  func(private []byte) (*sluice.Track, error) // from FFmpeg's "extradata"
	sample func(data []byte) ([]byte, error)
}

// outputs is the only place that tells the codings of encoders apart, by
// FFmpeg's names.
var outputs = map[string]made{
	"h264": {avcTrack, codec.FromAnnexB},
	"hevc": {hevcTrack, codec.FromAnnexB},
	"av1":  {av1Track, codec.AV1Sample},
	"aac":  {codec.AAC, asIs},
	"opus": {opusTrack, asIs},
}

func asIs(b []byte) ([]byte, error) { return b, nil }

func avcTrack(private []byte) (*sluice.Track, error) {
	var sps, pps [][]byte
	for u := range codec.AnnexBNALUs(private) {
		switch u[0] & 31 {
		case 7:
			sps = append(sps, u)
		case 8:
			pps = append(pps, u)
		}
	}
	record, err := codec.AVCRecord(sps, pps)
	if err != nil {
		return nil, err
	}
	return codec.AVC(record)
}

func hevcTrack(private []byte) (*sluice.Track, error) {
	record, err := codec.HEVCRecord(codec.HEVCParameterSets(private))
	if err != nil {
		return nil, err
	}
	return codec.HEVC(record)
}

// av1Track takes av1C as well as bare OBUs, which encoders differ in.
func av1Track(private []byte) (*sluice.Track, error) {
	if len(private) > 4 && private[0] == 0x81 {
		private = private[4:]
	}
	return codec.AV1(private)
}

// opusTrack says no pre-skip: what the encoder put in front is taken off.
func opusTrack(private []byte) (*sluice.Track, error) {
	if len(private) < 19 {
		return nil, fmt.Errorf("OpusHead of %d bytes", len(private))
	}
	t, err := codec.Opus(codec.OpusHead{Channels: int(private[9]), InputRate: binary.LittleEndian.Uint32(private[12:])})
	if err == nil {
		t.FrameDur = opusFrame
	}
	return t, err
}
