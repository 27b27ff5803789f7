package dvr

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// description is a track as a record has it, in JSON. Codec has one character
// for each of its bytes.
type description struct {
	ID         uint32      `json:"id"`
	Kind       sluice.Kind `json:"kind"`
	Codec      string      `json:"codec"`
	Timescale  uint32      `json:"timescale"`
	Config     []byte      `json:"config"`
	Era        uint32      `json:"era"`
	Maker      uint32      `json:"maker"`
	SegmentDur int64       `json:"segment_ns"`
	PartTarget int64       `json:"part_target"`
	FrameDur   int64       `json:"frame_dur,omitempty"`
	Name       string      `json:"name,omitempty"`
	Language   string      `json:"language,omitempty"`
	Width      int         `json:"width,omitempty"`
	Height     int         `json:"height,omitempty"`
	SampleRate int         `json:"sample_rate,omitempty"`
	Channels   int         `json:"channels,omitempty"`
	Bandwidth  int         `json:"bandwidth,omitempty"`
}

// trackBody returns the body of a track's record, the blob's nth.
func trackBody(n uint32, t *sluice.Track) ([]byte, error) {
	codec := make([]rune, 0, 4)
	for _, c := range t.Codec {
		codec = append(codec, rune(c))
	}
	js, err := json.Marshal(description{
		ID: t.ID, Kind: t.Kind, Codec: string(codec), Timescale: t.Timescale, Config: t.Config, Era: t.Era, Maker: t.Maker,
		SegmentDur: int64(t.SegmentDur), PartTarget: t.PartTarget, FrameDur: t.FrameDur, Name: t.Name, Language: t.Language,
		Width: t.Width, Height: t.Height, SampleRate: t.SampleRate, Channels: t.Channels, Bandwidth: t.Bandwidth,
	})
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, n), js...), nil
}

func parseTrack(b []byte) (n uint32, t *sluice.Track, err error) {
	var d description
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("track of %d bytes: %w", len(b), ErrFormat)
	}
	if err := json.Unmarshal(b[4:], &d); err != nil {
		return 0, nil, fmt.Errorf("track: %w: %w", ErrFormat, err)
	}
	t = &sluice.Track{
		ID: d.ID, Kind: d.Kind, Timescale: d.Timescale, Config: d.Config, Era: d.Era, Maker: d.Maker,
		SegmentDur: time.Duration(d.SegmentDur), PartTarget: d.PartTarget, FrameDur: d.FrameDur, Name: d.Name, Language: d.Language,
		Width: d.Width, Height: d.Height, SampleRate: d.SampleRate, Channels: d.Channels, Bandwidth: d.Bandwidth,
	}
	codec := []rune(d.Codec)
	if len(codec) != 4 {
		return 0, nil, fmt.Errorf("track of codec %q: %w", d.Codec, ErrFormat)
	}
	for i, c := range codec {
		t.Codec[i] = byte(c)
	}
	if err := cmaf.CheckTrack(t); err != nil {
		return 0, nil, fmt.Errorf("track: %w: %w", ErrFormat, err)
	}
	if d.SegmentDur <= 0 || t.SegmentDur > time.Hour {
		return 0, nil, fmt.Errorf("track with segments of %v: %w", t.SegmentDur, ErrFormat)
	}
	return binary.BigEndian.Uint32(b), t, nil
}
