package m4s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// certificates are made by an authority of the test's own.
type certificates struct {
	pool *x509.CertPool
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCertificates(t testing.TB) *certificates {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	require.NoError(t, err)
	ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &certificates{pool, ca, key}
}

func (c *certificates) issue(t testing.TB, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, c.ca, &key.PublicKey, c.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestMutualTLS(t *testing.T) {
	certs := newCertificates(t)
	s := newSite()
	s.Authorize = ClientNames{"edge.example"}.Authorize
	server := httptest.NewUnstartedServer(&s.Handler)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{certs.issue(t, "node.example")},
		ClientCAs:    certs.pool, ClientAuth: tls.VerifyClientCertIfGiven,
	}
	server.StartTLS()
	defer server.Close()
	write(t, s.stream("demo"), stampedPackets(1)...)
	s.stream("demo").End(nil)
	pull := func(client ...tls.Certificate) error {
		p := &Pull{URL: server.URL + "/m4s/demo", Client: Client{
			TLS: &tls.Config{RootCAs: certs.pool, ServerName: "node.example", Certificates: client},
		}}
		defer p.Close()
		_, err := readAll(testContext(t), p)
		return err
	}
	require.NoError(t, pull(certs.issue(t, "edge.example")))
	require.ErrorContains(t, pull(certs.issue(t, "other.example")), "for another name")
	require.ErrorIs(t, pull(), ErrDenied)
}

func TestMetrics(t *testing.T) {
	s := newSite()
	url, c := serve(t, "http/1.1", &s.Handler)
	write(t, s.stream("demo"), stampedPackets(1)...)
	s.stream("demo").End(nil)
	p := &Pull{URL: url + "demo", Client: c}
	defer p.Close()
	got, err := readAll(testContext(t), p)
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(s.Collector(), LinkCollector(func() map[string]Link { return map[string]Link{"demo": p} }))
	require.Eventually(t, func() bool { return s.stats.outPackets.Load() > 0 }, 5*time.Second, time.Millisecond)
	families, err := reg.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		values[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	n := float64(len(got))
	require.Equal(t, n, values["sluice_m4s_sent_packets_total"])
	require.Equal(t, n, values["sluice_m4s_link_packets_total"])
	require.Equal(t, n, values["sluice_m4s_link_delay_seconds"])
	require.Equal(t, 1.0, values["sluice_m4s_link_connects_total"])
	require.Equal(t, 1.0, values["sluice_m4s_pulls_total"])
}
