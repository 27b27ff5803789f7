// Package transcode makes renditions of a stream: pictures of other sizes, bit
// rates and codecs, sound in AAC and Opus, logos, text and clocks burnt in,
// previews.
//
// A Ladder is a Transform, between an ingest and all that packages or records:
//
//	sluice.Pipeline{
//		Source:     b, // an ingest.Broadcast
//		Transforms: []sluice.Transform{transcode.Ladder{Renditions: transcode.HD}},
//		Sinks:      []sluice.Sink{site.Stream(b.Name)},
//	}.Run(ctx)
//
// It decodes once, scales each size from the next larger, and encodes each
// rendition in a goroutine of its own. The source's segments are the
// renditions' segments: an IDR picture stands wherever a segment of the source
// opens and wherever the source has a key frame, at the same PTS, so a player
// may change from any of them to any other there. Eras and numbers are copied;
// Track.Maker is the ladder's own, so that two runs never make two different
// segments of one name.
//
// H.264 that browsers play goes along untouched as the top rendition, and so
// does AAC or Opus: what is missing of the two is encoded, so that HLS and
// WebRTC both have sound.
//
// Previews is a Sink beside it. Monitor has figures and Prometheus metrics.
//
// # In another process, on another machine
//
// Isolated runs a Ladder in a child process, Remote on a transcoding server
// (Service, behind an m4s.Handler), in the place of the Ladder:
//
//	func main() {
//		transcode.WorkerMain() // first: the program is its own worker
//		…
//			Transforms: []sluice.Transform{transcode.Isolated{Ladder: ladder, Nice: 5, Memory: 1 << 30}},
//
// Both pass the source's own tracks on themselves, at once, and keep the rest in
// a ring. A worker that crashes, hangs or breaks the protocol is started again,
// waiting 100 ms, then twice as long each time up to 10 s, and is given the ring
// from the last place that leaves nothing out. It drops what was sent, and each
// rendition goes on behind that: in the same segment under the same Maker, with
// an IDR picture at the first that was not sent, its sound on the same grid of
// samples. So renditions are late and nothing is missing. Where parameter sets
// have changed, or a server has restarted, the open segment ends short, and the
// next begins under another Maker.
//
// # What comes in
//
// H.264, H.265, AV1, VP8, VP9, MPEG-1, 2 and 4 video; AAC, Opus, MP3, MP2 and
// AC-3. Interlaced, rotated and anamorphic pictures come out progressive,
// upright and with square pixels, 8 bit 4:2:0 always. An encoder that begins to
// send something else is a new *Track, and the renditions go on with it: in the
// source's own size where they would have to be enlarged, or, of a Steady
// ladder, in the size that they have, so that decoders see no change. Still makes
// a clip of a picture, to be shown while an encoder is away.
//
// # Adding a codec
//
// To decode one: the column decoder in internal/codec. To encode one: a line in
// outputs (codecs.go), which says how FFmpeg's packets become ours, and one in
// families (encoder.go), with what makes its encoder fast and obedient.
//
// # Caveats
//
// This package needs cgo and FFmpeg 7.1, which make setup provides; a
// program that is linked with FFmpeg as it is built there, and with x264, is
// under the GNU General Public License.
//
// A fault in a decoder or encoder of FFmpeg ends the process that a Ladder runs
// in. Decode what strangers send with Isolated.
//
// The ring of Isolated and Remote holds up to 40 s and 128 MiB of the source; a
// worker that is away longer leaves a hole, which is counted and marked Discont,
// as is media on which three workers in a row end before they have made anything
// of it. With B-frames in a rendition, a worker's end may cost the pictures that
// were to be shown before one that was sent. What a server had made and not
// passed on when it was killed is made again, under another Maker.
//
// What is burnt in is not in a source that goes along untouched: with
// overlays at the start, PassAuto encodes all.
package transcode
