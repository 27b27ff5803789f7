// Package flv reads and writes the head of FLV audio and video tags, which are
// the bodies of RTMP's audio and video messages: the legacy form, and the
// extended one of Enhanced RTMP v2, which names codecs by FourCC and carries
// several tracks. The bits are in its sections "Enhanced Audio" and "Enhanced
// Video" (veovera.org).
//
// A [Tag] says what a body holds of one track; which codecs are carried is the
// business of package rtmp, whose table has one entry a codec.
//
// Caveats: the offset in nanoseconds that a tag may add to its time stamp is
// skipped.
package flv
