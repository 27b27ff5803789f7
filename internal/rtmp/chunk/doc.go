// Package chunk is the chunk layer of RTMP: messages cut into chunks, chunks of
// several chunk streams interleaved, and put together again.
//
// [Reader] takes chunk headers of all four types, chunk stream IDs 2 to 65599,
// extended time stamps (also from the encoders that leave them out of type 3
// chunks) and chunk sizes of 1 byte to 16 MiB. It obeys Set Chunk Size and
// Abort by itself. [Cut] and [Append] write one type 0 chunk and type 3 chunks
// behind it: their bytes depend on nothing that went before, so that what is
// cut once can be sent to any number of peers.
//
// Memory grows with the bytes that arrive, not with the lengths they claim, and
// [Limits] bound it. The Data of a message belongs to the caller for good.
package chunk
