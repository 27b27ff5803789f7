// Package interop holds tests of the built platform (bin/ugc) with the
// programs that people use: OBS Studio (over RTMP, RTMPS and SRT), GStreamer and
// ffmpeg publish; ffprobe, ffmpeg, mpv, GStreamer and VLC play, over HLS and RTMP.
//
// They are slow and need those programs, so they run with SLUICE_INTEROP=1
// only: make interop installs what is missing, builds, and runs them.
//
// Caveats: GStreamer plays HLS through playbin3. The older playbin of
// GStreamer 1.22 shows nothing, it seems because it takes HLS positions for
// time stamps where media counts from the Unix epoch, as Sluice's does. VLC buffers ten seconds
// of RTMP before it shows a frame.
//
// GStreamer's flvmux sends sound on when the picture is late, as on a busy
// machine, and then gives pictures the time stamp of that sound: give it
// latency=2000000000, here and in production.
//
// OBS trusts only what lies in /etc/ssl/certs: its RTMPS test shows it another
// directory there, in a mount namespace, and is skipped where that is not allowed.
package interop
