package hlstest

import (
	"errors"
	"fmt"
	"strconv"
)

// Multivariant is a parsed multivariant playlist.
type Multivariant struct {
	Version     int
	Independent bool
	Variants    []Variant
	Media       []Media
}

// Variant is an EXT-X-STREAM-INF and its URI.
type Variant struct {
	URI        string
	Bandwidth  uint64
	Codecs     string
	Resolution string
	FrameRate  string
	Audio      string // group
}

// Media is an EXT-X-MEDIA.
type Media struct {
	Type, Group, Name string
	URI               string
	Default           bool
	Autoselect        bool
}

// ParseMultivariant reads a multivariant playlist, strictly.
func ParseMultivariant(data []byte) (*Multivariant, error) {
	out := &Multivariant{}
	var variant *Variant
	err := eachLine(data, func(tag, value string) (err error) {
		switch {
		case tag == "" && variant == nil:
			return errors.New("URI without EXT-X-STREAM-INF before it")
		case tag == "":
			variant.URI = value
			out.Variants, variant = append(out.Variants, *variant), nil
			return nil
		case variant != nil:
			return errors.New("EXT-X-STREAM-INF is not followed by its URI")
		}
		variant, err = out.tag(tag, value)
		return err
	})
	if err == nil && (variant != nil || len(out.Variants) == 0) {
		err = fmt.Errorf("%w: no variant, or the last one has no URI", ErrPlaylist)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (m *Multivariant) tag(tag, value string) (*Variant, error) {
	var err error
	switch tag {
	case "EXT-X-VERSION":
		m.Version, err = strconv.Atoi(value)
	case "EXT-X-INDEPENDENT-SEGMENTS":
		m.Independent = true
	case "EXT-X-STREAM-INF":
		a := parseAttributes(value)
		v := &Variant{
			Bandwidth: a.integer("BANDWIDTH"), Codecs: a.string("CODECS"), Resolution: a.enum("RESOLUTION"),
			FrameRate: a.enum("FRAME-RATE"), Audio: a.string("AUDIO"),
		}
		return v, a.err
	case "EXT-X-MEDIA":
		a := parseAttributes(value)
		m.Media = append(m.Media, Media{
			Type: a.enum("TYPE"), Group: a.string("GROUP-ID"), Name: a.string("NAME"),
			URI: a.string("URI"), Default: a.yes("DEFAULT"), Autoselect: a.yes("AUTOSELECT"),
		})
		err = a.err
	case "EXTINF", "EXT-X-TARGETDURATION":
		err = errors.New("a media playlist, not a multivariant one")
	}
	return nil, err
}

// lint lists what is wrong with a multivariant playlist as such.
func (m *Multivariant) lint() (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	groups := map[string]bool{}
	for _, r := range m.Media {
		groups[r.Group] = groups[r.Group] || r.Type == "AUDIO"
		if r.Type == "" || r.Group == "" || r.Name == "" {
			say("EXT-X-MEDIA %q lacks TYPE, GROUP-ID or NAME", r.URI)
		}
		if r.Default && !r.Autoselect {
			say("EXT-X-MEDIA %q is DEFAULT, but not AUTOSELECT", r.URI)
		}
	}
	used := map[string]bool{}
	for _, v := range m.Variants {
		if v.Bandwidth == 0 {
			say("variant %q lacks BANDWIDTH", v.URI)
		}
		if v.Codecs == "" {
			say("variant %q lacks CODECS", v.URI)
		}
		if v.Audio != "" && !groups[v.Audio] {
			say("variant %q names audio group %q, which is not there", v.URI, v.Audio)
		}
		used[v.Audio] = true
	}
	for g := range groups {
		if !used[g] {
			say("no variant uses group %q", g)
		}
	}
	return out
}

// playlists returns the URIs of the media playlists, each once, in order.
func (m *Multivariant) playlists() (out []string) {
	seen := map[string]bool{"": true}
	add := func(uri string) {
		if !seen[uri] {
			seen[uri] = true
			out = append(out, uri)
		}
	}
	for _, v := range m.Variants {
		add(v.URI)
	}
	for _, r := range m.Media {
		add(r.URI)
	}
	return out
}
