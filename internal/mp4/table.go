package mp4

import (
	"fmt"
	"slices"
)

// sample is what the tables of a track say of one sample.
type sample struct {
	dts, composition, dur int64
	offset                uint64
	size                  uint32
	key                   bool
}

// readTable reads the sample tables of a stbl. Counts that a file gives are
// bounded by what its boxes hold, and by maxSamples.
func readTable(stbl []byte) ([]sample, error) {
	all, err := sizes(stbl)
	if err != nil {
		return nil, err
	}
	for _, step := range []func([]byte, []sample) error{times, compositions, keys, offsets} {
		if err := step(stbl, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func sizes(stbl []byte) ([]sample, error) {
	b, err := find(stbl, "stsz")
	if err != nil {
		return nil, err
	}
	r := numbersIn(b)
	r.Skip(4)
	one, n := r.U32(), r.U32()
	if err := r.err(); err != nil {
		return nil, err
	}
	if n > maxSamples || one == 0 && uint64(n)*4 > uint64(len(r.B)) {
		return nil, fmt.Errorf("%d samples: %w", n, ErrFormat)
	}
	all := make([]sample, n)
	for i := range all {
		if all[i].size = one; one == 0 {
			all[i].size = r.U32()
		}
	}
	return all, nil
}

func times(stbl []byte, all []sample) error {
	b, err := find(stbl, "stts")
	if err != nil {
		return err
	}
	r := numbersIn(b)
	r.Skip(4)
	i, dts := 0, int64(0)
	for range r.U32() {
		n, dur := r.U32(), r.U32()
		if r.Short || i >= len(all) {
			break
		}
		for ; n > 0 && i < len(all); n-- {
			all[i].dts, all[i].dur = dts, int64(dur)
			dts += int64(dur)
			i++
		}
	}
	if i < len(all) {
		return fmt.Errorf("stts tells the times of %d samples of %d: %w", i, len(all), ErrFormat)
	}
	return nil
}

func compositions(stbl []byte, all []sample) error {
	b, err := find(stbl, "ctts")
	if err != nil {
		return nil // shown as decoded
	}
	r := numbersIn(b)
	r.Skip(4)
	i := 0
	for range r.U32() {
		n, offset := r.U32(), int64(int32(r.U32())) // version 0 has none beyond 31 bits
		if r.Short {
			return r.err()
		}
		for ; n > 0 && i < len(all); n-- {
			all[i].composition = offset
			i++
		}
		if i == len(all) {
			break
		}
	}
	return nil
}

func keys(stbl []byte, all []sample) error {
	b, err := find(stbl, "stss")
	if err != nil {
		for i := range all {
			all[i].key = true
		}
		return nil
	}
	r := numbersIn(b)
	r.Skip(4)
	for range r.U32() {
		n := r.U32()
		if r.Short {
			return r.err()
		}
		if n >= 1 && uint64(n) <= uint64(len(all)) {
			all[n-1].key = true
		}
	}
	return nil
}

// offsets finds where the samples are: chunks lie anywhere, the samples of one
// behind each other.
func offsets(stbl []byte, all []sample) error {
	chunks, err := chunkOffsets(stbl)
	if err != nil {
		return err
	}
	b, err := find(stbl, "stsc")
	if err != nil {
		return err
	}
	r := numbersIn(b)
	r.Skip(4)
	n := r.U32()
	if uint64(n)*12 > uint64(len(r.B)) {
		return fmt.Errorf("stsc of %d entries is cut off: %w", n, ErrFormat)
	}
	type run struct{ first, samples uint32 }
	runs := make([]run, n)
	for i := range runs {
		runs[i] = run{r.U32(), r.U32()}
		r.Skip(4)
	}
	if !slices.IsSortedFunc(runs, func(a, b run) int { return int(int64(a.first) - int64(b.first)) }) {
		return fmt.Errorf("stsc is out of order: %w", ErrFormat)
	}
	i, k := 0, -1
	for c, at := range chunks {
		for k+1 < len(runs) && uint64(runs[k+1].first) <= uint64(c)+1 {
			k++
		}
		if k < 0 {
			break
		}
		for range runs[k].samples {
			if i == len(all) {
				return nil
			}
			all[i].offset = at
			at += uint64(all[i].size)
			i++
		}
	}
	if i < len(all) {
		return fmt.Errorf("the chunks hold %d samples of %d: %w", i, len(all), ErrFormat)
	}
	return nil
}

func chunkOffsets(stbl []byte) ([]uint64, error) {
	wide := false
	b, err := find(stbl, "stco")
	if err != nil {
		wide = true
		if b, err = find(stbl, "co64"); err != nil {
			return nil, err
		}
	}
	r := numbersIn(b)
	r.Skip(4)
	n := r.U32()
	if uint64(n)*4 > uint64(len(r.B)) {
		return nil, fmt.Errorf("table of %d chunks is cut off: %w", n, ErrFormat)
	}
	all := make([]uint64, n)
	for i := range all {
		if wide {
			all[i] = r.U64()
		} else {
			all[i] = uint64(r.U32())
		}
	}
	return all, r.err()
}
