// Package interop holds tests of the built platform (bin/ugc) with the
// programs that people use: OBS Studio, GStreamer and ffmpeg publish; ffprobe,
// ffmpeg, mpv, GStreamer and VLC play, over HLS and RTMP.
//
// They are slow and need those programs, so they run with SLUICE_INTEROP=1
// only: make interop installs what is missing, builds, and runs them.
//
// Caveats: GStreamer plays HLS through playbin3. The older playbin of
// GStreamer 1.22 shows nothing, it seems because it takes HLS positions for
// time stamps where media counts from the Unix epoch, as Sluice's does. VLC buffers ten seconds
// of RTMP before it shows a frame.
package interop
