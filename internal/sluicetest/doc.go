// Package sluicetest holds the conformance suites of Sluice's interfaces: one
// function for each of Source, Sink, Transform, Recorder and Segments. A package
// that implements one runs its suite beside its own tests:
//
//	func TestSinkConforms(t *testing.T) {
//		sluicetest.Sink(t, func(t testing.TB) sluice.Sink {
//			return newThing(t.TempDir())
//		})
//	}
//
// A suite opens what it tests anew for each of its checks; the names of the
// subtests that fail say which sentence of the contract is broken. What open
// starts beside it (a server, a publisher) belongs into the Cleanup of the
// testing.TB that it is given.
//
// Packets makes stamped media to feed it with, and Slice is a Source of given
// packets that watches its reader.
//
// # Caveats
//
// Each check looks for goroutines that outlive it, so a suite must not run in
// parallel with other tests of its process.
package sluicetest
