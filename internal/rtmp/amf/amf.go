package amf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits on what Decode takes. Real connect commands and onMetaData have a
// depth of 3 and fewer than 100 values (OBS with multitrack video: about 60).
const (
	MaxDepth  = 16
	MaxValues = 4096
)

// Errors of Decode, to be matched with errors.Is.
var (
	ErrTruncated   = errors.New("amf: value is cut short")
	ErrTooComplex  = errors.New("amf: too many or too deeply nested values")
	ErrUnsupported = errors.New("amf: type is not supported")
)

const (
	markNumber      = 0x00
	markBoolean     = 0x01
	markString      = 0x02
	markObject      = 0x03
	markNull        = 0x05
	markUndefined   = 0x06
	markECMA        = 0x08
	markEnd         = 0x09
	markStrict      = 0x0a
	markDate        = 0x0b
	markLongString  = 0x0c
	markUnsupported = 0x0d
	markXML         = 0x0f
	markTyped       = 0x10
)

// Undefined is the value "undefined".
type Undefined struct{}

// Date is a time in milliseconds since the Unix epoch.
type Date float64

// Property is one member of an object.
type Property struct {
	Name  string
	Value any
}

// Object is an object, its members in order.
type Object []Property

// ECMA is an associative array: an Object under another marker.
type ECMA []Property

// Members returns the members of an Object or ECMA array, nil for anything
// else.
func Members(v any) Object {
	switch v := v.(type) {
	case Object:
		return v
	case ECMA:
		return Object(v)
	}
	return nil
}

// Get returns the value of the last member of that name, nil if there is none.
func (o Object) Get(name string) any {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].Name == name {
			return o[i].Value
		}
	}
	return nil
}

// String returns the member's value if it is a string, else "".
func (o Object) String(name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// Number returns the member's value if it is a number, else 0.
func (o Object) Number(name string) float64 {
	n, _ := o.Get(name).(float64)
	return n
}

// Decode returns the values in b. On an error it returns those before it too.
func Decode(b []byte) ([]any, error) {
	d := decoder{b: b}
	var vs []any
	for len(d.b) > 0 {
		v := d.value(0)
		if d.err != nil {
			return vs, d.err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

type decoder struct {
	b   []byte
	n   int
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.b = err, nil
	}
}

// take returns the next n bytes. After an error it returns nil.
func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.b) {
		d.fail(ErrTruncated)
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) uint(n int) uint32 {
	var v uint32
	for _, c := range d.take(n) {
		v = v<<8 | uint32(c)
	}
	return v
}

func (d *decoder) number() float64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

// string reads a string with a length of n bytes. A length beyond what is left
// fails before anything is allocated; the comparison is of 64-bit ints or, on
// 32-bit machines, guarded against a negative one.
func (d *decoder) string(n int) string {
	l := int(d.uint(n))
	if l < 0 {
		d.fail(ErrTruncated)
		return ""
	}
	return string(d.take(l))
}

func (d *decoder) value(depth int) any {
	d.n++
	if depth > MaxDepth || d.n > MaxValues {
		d.fail(ErrTooComplex)
		return nil
	}
	switch m := d.uint(1); m {
	case markNumber:
		return d.number()
	case markBoolean:
		return d.uint(1) != 0
	case markString:
		return d.string(2)
	case markLongString, markXML:
		return d.string(4)
	case markObject:
		return Object(d.members(depth))
	case markTyped:
		d.string(2)
		return Object(d.members(depth))
	case markECMA:
		d.uint(4) // a hint that encoders get wrong; the end marker decides
		return ECMA(d.members(depth))
	case markStrict:
		return d.strict(depth)
	case markDate:
		t := Date(d.number())
		d.uint(2)
		return t
	case markNull:
		return nil
	case markUndefined, markUnsupported:
		return Undefined{}
	default:
		d.fail(fmt.Errorf("%w: marker 0x%02x", ErrUnsupported, m))
		return nil
	}
}

func (d *decoder) members(depth int) []Property {
	var ps []Property
	for d.err == nil {
		name := d.string(2)
		if name == "" && len(d.b) > 0 && d.b[0] == markEnd {
			d.b = d.b[1:]
			break
		}
		v := d.value(depth + 1)
		if d.err == nil {
			ps = append(ps, Property{name, v})
		}
	}
	return ps
}

func (d *decoder) strict(depth int) []any {
	var vs []any
	for n := d.uint(4); n > 0 && d.err == nil; n-- {
		if v := d.value(depth + 1); d.err == nil {
			vs = append(vs, v)
		}
	}
	return vs
}

// Append appends the values' encoding to b. Besides the types that Decode
// yields it takes int; a value of any other type is written as undefined.
func Append(b []byte, values ...any) []byte {
	for _, v := range values {
		b = appendValue(b, v)
	}
	return b
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, markNull)
	case float64:
		return appendNumber(append(b, markNumber), v)
	case int:
		return appendNumber(append(b, markNumber), float64(v))
	case bool:
		if v {
			return append(b, markBoolean, 1)
		}
		return append(b, markBoolean, 0)
	case string:
		return appendString(b, v)
	case Date:
		return append(appendNumber(append(b, markDate), float64(v)), 0, 0)
	case Object:
		return appendMembers(append(b, markObject), v)
	case ECMA:
		b = binary.BigEndian.AppendUint32(append(b, markECMA), uint32(len(v)))
		return appendMembers(b, v)
	case []any:
		b = binary.BigEndian.AppendUint32(append(b, markStrict), uint32(len(v)))
		return Append(b, v...)
	}
	return append(b, markUndefined)
}

func appendNumber(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(f))
}

func appendString(b []byte, s string) []byte {
	if len(s) > math.MaxUint16 {
		b = binary.BigEndian.AppendUint32(append(b, markLongString), uint32(len(s)))
		return append(b, s...)
	}
	b = binary.BigEndian.AppendUint16(append(b, markString), uint16(len(s)))
	return append(b, s...)
}

// appendMembers cuts a name at the 65,535 bytes that its length field can say.
func appendMembers(b []byte, ps []Property) []byte {
	for _, p := range ps {
		name := p.Name[:min(len(p.Name), math.MaxUint16)]
		b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
		b = append(b, name...)
		b = appendValue(b, p.Value)
	}
	return append(b, 0, 0, markEnd)
}
