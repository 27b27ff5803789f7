// Package amf reads and writes AMF0, the value format of RTMP commands and of
// onMetaData.
//
// Values are plain Go: float64, bool, string, nil, [Undefined], [Date],
// [Object], [ECMA] (an object that says it is an array) and []any (a strict
// array). [Decode] is for bytes from outside: it allocates by what is there,
// never by a length that the bytes claim, and bounds the depth and the number
// of values.
//
// Caveats: references and AMF3 values are refused; a typed object loses its
// class name, a long string and an XML document become a string.
//
// The decoders of the RTMP libraries in Go were not taken: go-amf0 makes a
// slice of whatever length a strict array claims (32 GB for nine bytes),
// recurses without bound and refuses "undefined" and long strings, which
// encoders send.
package amf
