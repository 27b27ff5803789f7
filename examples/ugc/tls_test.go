package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// writeCertificate makes a certificate for 127.0.0.1 of its own, with a serial
// number to tell it by.
func writeCertificate(t *testing.T, f tlsFlags, serial int64) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	require.NoError(t, os.WriteFile(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

func testTLSFlags(t *testing.T) tlsFlags {
	dir := t.TempDir()
	f := tlsFlags{RTMPS: "127.0.0.1:0", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writeCertificate(t, f, 1)
	return f
}

func TestCertificateIsRenewed(t *testing.T) {
	f := testTLSFlags(t)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	c, err := f.config(logger)
	require.NoError(t, err)
	serial := func() int64 {
		cert, err := c.GetCertificate(nil)
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		require.NoError(t, err)
		return leaf.SerialNumber.Int64()
	}
	assert.EqualValues(t, 1, serial())
	writeCertificate(t, f, 2)
	require.NoError(t, os.Chtimes(f.Cert, time.Time{}, time.Now().Add(time.Minute)))
	assert.EqualValues(t, 2, serial())
	require.NoError(t, os.WriteFile(f.Cert, []byte("half"), 0o600))
	assert.EqualValues(t, 2, serial(), "the old one goes on while a new one is written")
	assert.EqualValues(t, 2, serial())
	assert.Equal(t, 1, strings.Count(log.String(), "cannot be used"), "said, and once: %s", &log)
	require.NoError(t, os.Remove(f.Cert))
	assert.EqualValues(t, 2, serial())

	_, err = f.config(logger)
	require.ErrorContains(t, err, "TLS certificate")
	_, err = tlsFlags{RTMPS: ":1936"}.config(logger)
	require.EqualError(t, err, "--rtmps needs a certificate: give --tls-cert and --tls-key")
	none, err := tlsFlags{}.config(logger)
	require.NoError(t, err)
	assert.Nil(t, none)
}

func TestRTMPS(t *testing.T) {
	ffprobe := testmedia.Need(t, "ffprobe")
	s := startWith(t, config{TLS: testTLSFlags(t)})
	addr := s.server.RTMPSAddr().String()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // it is the test's own
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), "rtmps://"+addr+"/live/demo", "-tls_verify", "0")
	s.live(t, "demo")
	l := s.listed(t)
	assert.Equal(t, "rtmps://"+addr+"/live", l.Publish.RTMPS)
	assert.Empty(t, l.Publish.SRT)
	require.Len(t, l.Streams, 1)
	require.NotNil(t, l.Streams[0].Encoder)
	assert.Equal(t, "rtmps", l.Streams[0].Encoder.Protocol)
	out, err := exec.CommandContext(t.Context(), ffprobe, "-v", "error", "-tls_verify", "0", "-show_entries", "stream=codec_name", "-of", "csv=p=0",
		"rtmps://"+addr+"/play/demo").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "h264")
	assert.Contains(t, string(out), "aac")
}
