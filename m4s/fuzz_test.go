package m4s

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever can be decoded comes out the same when it is encoded again.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(encode(f, anyPackets(rand.New(rand.NewPCG(seed, 9)), 6)...))
	}
	f.Add(encode(f, stampedPackets(1)[:5]...))
	f.Add(appendEnd(nil, endError, "text"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		first, _ := decode(bytes.NewReader(wire))
		if len(first) == 0 {
			return
		}
		again, err := decode(bytes.NewReader(encode(t, first...)))
		require.NoError(t, err)
		requireSame(t, first, again)
	})
}
