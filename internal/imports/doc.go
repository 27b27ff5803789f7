// Package imports holds the test of who may import whom:
//
//	root ← internal/* ← m4s ← {ingest, transcode, dvr, origin} ← control ← examples/*
//
// An arrow points at what may be imported. The four in the middle never import
// each other, the root package imports the standard library alone, and only
// transcode uses cgo. Test files and the packages that exist for tests and
// measurements may import everything; nothing of the product imports those.
//
// The first element of a package's path decides its place. A new folder at the
// top needs a line in the table of ranks.
package imports
