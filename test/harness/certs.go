package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for tests.
type Authority struct {
	PEM  []byte // its own certificate
	File string // the same on disk

	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose files lie in a folder that goes with the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: Scratch(t, "certificates")}
	template := template("meshbridge test authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key = newKey(t)
	a.cert, a.PEM = a.sign(template, template, a.key)
	a.File = a.write("ca.crt", a.PEM)
	return a
}

// Issue makes a server certificate for the host names and IP addresses, and returns the files of it and of its key.
func (a *Authority) Issue(name string, hosts ...string) (cert, key string) {
	a.t.Helper()
	template := template(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	private := newKey(a.t)
	_, certPEM := a.sign(template, a.cert, private)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatalf("encode the key of %s: %v", name, err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	a.write(name+".pem", append(keyPEM, certPEM...)) // key and certificate in one, as Java reads them
	return a.write(name+".crt", certPEM), a.write(name+".key", keyPEM)
}

// sign signs the certificate with the authority's key.
func (a *Authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, []byte) {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatalf("sign %s: %v", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatalf("parse %s: %v", template.Subject.CommonName, err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (a *Authority) write(name string, content []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		a.t.Fatalf("write %s: %v", name, err)
	}
	return path
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return key
}

// zooKeeperTLS are the flags that make ZooKeeper serve with a certificate of the authority; clients need none.
func zooKeeperTLS(a *Authority, name string) []string {
	a.Issue(name, "127.0.0.1", "localhost")
	return []string{
		"-Dzookeeper.ssl.keyStore.type=PEM", "-Dzookeeper.ssl.keyStore.location=" + filepath.Join(a.dir, name+".pem"),
		"-Dzookeeper.ssl.trustStore.type=PEM", "-Dzookeeper.ssl.trustStore.location=" + a.File,
		"-Dzookeeper.ssl.clientAuth=none",
	}
}
