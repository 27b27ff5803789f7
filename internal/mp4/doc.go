// Package mp4 reads MP4 files (ISO/IEC 14496-12) that are not fragmented, as
// cameras, editors and ffmpeg write them, into packets.
//
// It is made for files from outside: nothing is allocated by what a file says
// of itself beyond a small multiple of its own size.
package mp4
