// Package dvr keeps streams: an archive on disk from the very segments that go
// out live, and the way back.
//
//	archive := &dvr.Archive{Dir: "/var/lib/sluice/archive"}
//	if err := archive.Open(); err != nil { … } // the first time with Create
//	defer archive.Close()
//	err := sluice.Pipeline{
//		Source:   broadcast,
//		Recorder: archive.Stream("demo"),
//	}.Run(ctx)
//
// A [Stream] is a sluice.Recorder and sluice.Segments: it records, lists and
// opens segments by the names they have live, and replays packets as they were
// stamped. It names ranges as recordings ([Stream.Keep]), and it forgets
// ([Archive.Expire], [Stream.Erase]).
//
// # Basics
//
// Each hour of each track is one file, a blob: a CMAF file to which the
// packager's parts are appended as they get ready, with records between segments
// that say what they are. An index beside it has those records alone; it is
// made again from the blob if it is lost. There is nothing else: the names of
// folders and files lead to an hour by its time or by a segment's number, so an
// archive opens at once, however long it is. docs/archive.md has the format.
//
// A segment is there from the moment it is complete. Until then its parts are
// the live origin's to serve; the two meet because a live window is longer than
// a segment.
//
// # What is lost when
//
// A process that is killed loses the part that was being made; the segment it
// was in ends there. A power failure loses what was not on disk: each segment is
// sent there when it is complete, behind the recorder's back, which usually is
// done within a second. A full or broken disk loses the segments it refuses, a
// disk that is too slow those that do not fit [Archive.Queue]: each is a Gap,
// counted and logged, and recording goes on. A bit that has flipped loses its
// segment.
//
// # Caveats
//
// Checksums are looked at when a segment is opened the first time, not again
// while its index is in memory. What List says of a segment that nobody has
// opened is what its index says.
//
// Streams are locked against other processes by the operating system (flock),
// which some network file systems do not do between machines.
//
// Policy.Keep keeps every broadcast until somebody calls Release: without that
// nothing ever goes.
package dvr
