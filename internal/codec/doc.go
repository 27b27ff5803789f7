// Package codec turns codec configuration as protocols carry it (avcC,
// AudioSpecificConfig, an MP3 frame header) into tracks with ISO sample
// entries, and gives it back.
//
//	t, err := codec.AVC(avcC)    // a video track: avc1 entry, size, frame rate
//	avcC, err := codec.AVCConfig(t)
//	s, err := codec.RFC6381(t)   // "avc1.64001f", for playlists
//
// The other way of carrying H.264 and H.265 is with start codes and the
// parameter sets in band (MPEG-TS, RTP): see [InBand] and [AppendAnnexB]. Sound
// in frames that describe themselves: [ParseADTS], [LATM], [ParseMPEGAudio],
// [AC3Size].
//
// # Adding a codec
//
// One file per codec, all of one shape: a constructor from the configuration
// that protocols carry to a *sluice.Track, a function that gives it back, and
// a format with what can be asked of any track; then one line in the table in
// codec.go. No other package switches on a codec in order to package it.
//
// # Caveats
//
// Everything here reads bytes from outside: lengths are checked, errors wrap
// [ErrInvalid] or [ErrUnsupported], and no function retains or modifies what
// it is given unless it says so.
package codec
