package amf_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	amf0 "github.com/yutopp/go-amf0"

	"github.com/sluice-live/sluice/internal/rtmp/amf"
)

func Example() {
	b := amf.Append(nil, "connect", 1, amf.Object{{Name: "app", Value: "live"}})
	values, err := amf.Decode(b)
	fmt.Println(values[0], values[1], amf.Members(values[2]).String("app"), err)
	// Output: connect 1 live <nil>
}

func TestRoundTrip(t *testing.T) {
	for _, v := range []any{
		nil, 0.0, -1.5, math.Inf(1), true, false, "", "ü", strings.Repeat("x", 65535), strings.Repeat("x", 65536),
		amf.Undefined{}, amf.Date(12345),
		amf.Object(nil),
		amf.Object{{Name: "a", Value: 1.0}, {Name: "b", Value: amf.ECMA{{Name: "c", Value: "d"}}}},
		amf.ECMA{{Name: "duration", Value: 0.0}},
		[]any{1.0, "two", nil, []any{true}},
	} {
		got, err := amf.Decode(amf.Append(nil, v, "end"))
		require.NoError(t, err)
		assert.Equal(t, []any{v, "end"}, got)
	}
}

func TestDecodeForeign(t *testing.T) {
	for name, c := range map[string]struct {
		hex  string
		want []any
	}{
		"ECMA array whose count is wrong": {"08ffffffff 0001 61 0101 000009", []any{amf.ECMA{{Name: "a", Value: true}}}},
		"typed object":                    {"10 0001 58 0001 61 05 000009", []any{amf.Object{{Name: "a"}}}},
		"XML":                             {"0f 00000002 3c3e", []any{"<>"}},
		"member without a name":           {"03 0000 0101 000009", []any{amf.Object{{Name: "", Value: true}}}},
		"not UTF-8":                       {"02 0001 ff", []any{"\xff"}},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		require.NoError(t, err)
		got, err := amf.Decode(b)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"strict array of 4 billion": {[]byte{0x0a, 0xff, 0xff, 0xff, 0xff}, amf.ErrTruncated},
		"long string of 4 GiB":      {[]byte{0x0c, 0xff, 0xff, 0xff, 0xff, 'x'}, amf.ErrTruncated},
		"deep arrays":               {bytes.Repeat([]byte{0x0a, 0, 0, 0, 1}, 10000), amf.ErrTooComplex},
		"deep objects":              {bytes.Repeat([]byte{3, 0, 1, 'a'}, 10000), amf.ErrTooComplex},
		"a million nulls":           {append([]byte{0x0a, 0, 0x0f, 0x42, 0x40}, bytes.Repeat([]byte{5}, 1e6)...), amf.ErrTooComplex},
		"a million values":          {bytes.Repeat([]byte{5}, 1e6), amf.ErrTooComplex},
		"AMF3":                      {[]byte{0x11, 1}, amf.ErrUnsupported},
		"reference":                 {[]byte{0x07, 0, 1}, amf.ErrUnsupported},
		"object without end":        {[]byte{3, 0, 1, 'a', 5}, amf.ErrTruncated},
		"half a number":             {[]byte{0, 1, 2, 3}, amf.ErrTruncated},
	} {
		_, err := amf.Decode(c.in)
		assert.ErrorIs(t, err, c.want, name)
	}
}

func TestDecodeKeepsWhatCameBefore(t *testing.T) {
	got, err := amf.Decode(append(amf.Append(nil, "onMetaData"), 0x00))
	require.ErrorIs(t, err, amf.ErrTruncated)
	assert.Equal(t, []any{"onMetaData"}, got)
}

func TestUnknownGoTypeIsUndefined(t *testing.T) {
	got, err := amf.Decode(amf.Append(nil, struct{}{}))
	require.NoError(t, err)
	assert.Equal(t, []any{amf.Undefined{}}, got)
}

// The other implementation reads what this one writes.
func TestGoAMF0Reads(t *testing.T) {
	d := amf0.NewDecoder(bytes.NewReader(amf.Append(nil, "onStatus", 3, amf.Object{{Name: "code", Value: "ok"}, {Name: "n", Value: []any{1.0}}})))
	var name string
	var tx float64
	var obj map[string]any
	require.NoError(t, d.Decode(&name))
	require.NoError(t, d.Decode(&tx))
	require.NoError(t, d.Decode(&obj))
	assert.Equal(t, "onStatus", name)
	assert.InDelta(t, 3, tx, 0)
	assert.Equal(t, map[string]any{"code": "ok", "n": []any{1.0}}, obj)
}

func FuzzDecode(f *testing.F) {
	f.Add(amf.Append(nil, "connect", 1, amf.Object{{Name: "app", Value: "live"}}))
	f.Add(amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMA{{Name: "width", Value: 1920}}, []any{true, amf.Undefined{}}))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{3, 0, 1, 'a'}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		vs, err := amf.Decode(b)
		if err != nil {
			return
		}
		once := amf.Append(nil, vs...)
		again, err := amf.Decode(once)
		require.NoError(t, err)
		require.Equal(t, once, amf.Append(nil, again...))
	})
}
