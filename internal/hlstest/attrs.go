package hlstest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxSeconds bounds durations so that sums over a playlist cannot overflow.
const maxSeconds = 1 << 24

var errAttributes = errors.New("attribute list is malformed")

// attributes is a parsed attribute list. Reading a value through its methods
// keeps the first error, so that a tag's parsing runs straight down.
type attributes struct {
	values map[string]attribute
	err    error
}

type attribute struct {
	text   string
	quoted bool
}

func parseAttributes(s string) *attributes {
	a := &attributes{values: map[string]attribute{}}
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			a.fail(fmt.Errorf("%w: name %q", errAttributes, name))
			return a
		}
		if _, dup := a.values[name]; dup {
			a.fail(fmt.Errorf("%w: %s twice", errAttributes, name))
			return a
		}
		var v attribute
		if v, s, ok = cutValue(rest); !ok {
			a.fail(fmt.Errorf("%w: value of %s", errAttributes, name))
			return a
		}
		a.values[name] = v
	}
	return a
}

// cutValue takes one value and the comma behind it off the front of s.
func cutValue(s string) (v attribute, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		text, after, found := strings.Cut(s[1:], `"`)
		if !found || (after != "" && after[0] != ',') || after == "," {
			return v, "", false
		}
		return attribute{text, true}, strings.TrimPrefix(after, ","), true
	}
	text, after, comma := strings.Cut(s, ",")
	if text == "" || strings.ContainsAny(text, "\" \t") || (comma && after == "") {
		return v, "", false
	}
	return attribute{text: text}, after, true
}

func (a *attributes) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *attributes) has(name string) bool {
	_, ok := a.values[name]
	return ok
}

func (a *attributes) string(name string) string {
	v, ok := a.values[name]
	if ok && !v.quoted {
		a.fail(fmt.Errorf("%w: %s is not quoted", errAttributes, name))
	}
	return v.text
}

func (a *attributes) enum(name string) string {
	v := a.values[name]
	if v.quoted {
		a.fail(fmt.Errorf("%w: %s is quoted", errAttributes, name))
	}
	return v.text
}

func (a *attributes) yes(name string) bool {
	switch v := a.enum(name); v {
	case "YES":
		return true
	case "", "NO":
	default:
		a.fail(fmt.Errorf("%w: %s is %q, want YES or NO", errAttributes, name, v))
	}
	return false
}

func (a *attributes) integer(name string) uint64 {
	s := a.enum(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		a.fail(fmt.Errorf("%w: %s: %w", errAttributes, name, err))
	}
	return n
}

func (a *attributes) seconds(name string) time.Duration {
	s := a.enum(name)
	if s == "" {
		return 0
	}
	d, err := parseSeconds(s)
	if err != nil {
		a.fail(fmt.Errorf("%w: %s: %w", errAttributes, name, err))
	}
	return d
}

// parseSeconds reads a decimal number of seconds exactly, to the nanosecond.
func parseSeconds(s string) (time.Duration, error) {
	whole, fraction, point := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || n > maxSeconds {
		return 0, fmt.Errorf("%q is no number of seconds", s)
	}
	d := time.Duration(n) * time.Second
	if !point {
		return d, nil
	}
	unit := time.Second
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is no number of seconds", s)
		}
		unit /= 10
		d += time.Duration(c-'0') * unit
	}
	return d, nil
}
