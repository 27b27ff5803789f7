package mpegts

// only is the number of our transport stream and of its program.
const only = 1

// tables writes PAT and PMT.
func (w *Writer) tables() error {
	if err := w.table(0, &w.ccs[0], section(tablePAT, 0, func(b []byte) []byte {
		return be.AppendUint16(be.AppendUint16(b, only), 0xe000|mapPID)
	})); err != nil {
		return err
	}
	w.started, w.wantsPSI, w.lastPSI = true, false, w.clock
	return w.table(mapPID, &w.ccs[1], section(tablePMT, w.version, func(b []byte) []byte {
		b = be.AppendUint16(b, 0xe000|w.pcr.pid)
		b = be.AppendUint16(b, 0xf000)
		for _, s := range w.tracks {
			e := s.codec.stream(s.track)
			b = be.AppendUint16(append(b, e.kind), 0xe000|s.pid)
			b = be.AppendUint16(b, 0xf000|uint16(len(e.descriptors)))
			b = append(b, e.descriptors...)
		}
		return b
	}))
}

// section builds the section of a table (13818-1, 2.4.4).
func section(table, version byte, body func([]byte) []byte) []byte {
	b := []byte{table, 0, 0, 0, only, 0xc1 | version<<1, 0, 0}
	b = body(b)
	be.PutUint16(b[1:], 0xb000|uint16(len(b)-3+4))
	return be.AppendUint32(b, crc32(b))
}

// table writes a section, in as many packets as it takes.
func (w *Writer) table(pid uint16, cc *byte, section []byte) error {
	rest := append([]byte{0}, section...) // pointer_field
	for start := byte(0x40); len(rest) > 0; start = 0 {
		b, err := w.packet()
		if err != nil {
			return err
		}
		b[0], b[1], b[2], b[3] = syncByte, start|byte(pid>>8), byte(pid), 0x10|*cc
		*cc = (*cc + 1) & 15
		n := copy(b[4:], rest)
		rest = rest[n:]
		for i := 4 + n; i < packetSize; i++ {
			b[i] = 0xff
		}
	}
	return nil
}
