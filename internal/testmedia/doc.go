// Package testmedia makes the clips that tests and benchmarks publish, and
// runs the real clients they are published and played with.
//
// A clip is described by a [Spec], encoded once by ffmpeg and kept in the
// user's cache folder under a name derived from the Spec, so that the second
// test that asks for it has it at once, in whatever process it runs:
//
//	clip := testmedia.Clip(t, testmedia.Spec{FPS: "30000/1001", GOP: 2, Audio: "aac"})
//	testmedia.Publish(t.Context(), t, clip, "rtmp://127.0.0.1:"+port+"/live/demo")
//
// The picture is ffmpeg's testsrc2, which shows a running clock and the frame's
// number; the sound is a tone with a beep every second.
//
// # Caveats
//
// A test that needs a client which is not installed is skipped, but fails where
// the environment has CI=true: there a missing client is a broken set-up.
//
// [Publish] loops the clip. At the seam the longer of picture and sound wins:
// the other one has a hole of up to one frame there, as with ffmpeg
// -stream_loop anywhere.
package testmedia
