// Package flv reads and writes the head of FLV audio and video tags, which are
// the bodies of RTMP's audio and video messages: the legacy form and the
// extended one of Enhanced RTMP, which names codecs by FourCC.
//
// A [Tag] says what a body holds; which codecs are carried is the business of
// package rtmp, whose table has one entry a codec.
//
// Caveats: tags with several tracks (multitrack) are refused.
package flv
