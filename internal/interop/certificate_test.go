package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// certificate makes a certificate of its own for 127.0.0.1, and a directory
// with nothing else in it: OBS trusts what lies in /etc/ssl/certs, and is shown
// that instead. To show it takes root.
func certificate(t *testing.T) (cert, key, trust string) {
	if err := exec.Command(testmedia.Need(t, "unshare"), "-m", "true").Run(); err != nil {
		t.Skipf("OBS cannot be given a certificate to trust: unshare -m: %v (run it as root)", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		// The mbedTLS of OBS knows no addresses among the alternative names: it
		// takes the common name, where there are none.
		Subject: pkix.Name{CommonName: "127.0.0.1"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	require.NoError(t, err)
	privateDER, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	trust = t.TempDir()
	cert, key = filepath.Join(trust, "sluice.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: privateDER}), 0o600))
	return cert, key, trust
}
