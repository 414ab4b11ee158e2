package mcpserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"meshbridge/mcpserver/mcptest"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true})
	return a
}

func (a *authority) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// pair is a certificate for a name or, if it has a scheme, a SPIFFE ID.
func (a *authority) pair(name string) (cert, key []byte) {
	template := &x509.Certificate{DNSNames: []string{name}}
	if u, err := url.Parse(name); err == nil && u.Scheme != "" {
		template = &x509.Certificate{URIs: []*url.URL{u}}
	}
	c, k := a.issue(template)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// mount is a directory of files behind a link, as Kubernetes mounts a Secret.
type mount struct {
	t     *testing.T
	dir   string
	count int
}

func (m *mount) write(files map[string][]byte) {
	m.count++
	version := filepath.Join(m.dir, strings.Repeat("v", m.count))
	if err := os.Mkdir(version, 0o700); err != nil {
		m.t.Fatal(err)
	}
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(version, name), raw, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	link := filepath.Join(m.dir, "..next")
	if err := os.Symlink(version, link); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mount) path(name string) string { return filepath.Join(m.dir, "..data", name) }

// dialTLS connects once, and closes.
func dialTLS(addr string, cfg *tls.Config) error {
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // TLS 1.3 tells the client here that it is refused
	return errors.Join(err, conn.Close())
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

// 1. An istiod is served over TLS. 2. A changed certificate is in force for the next connection. 3. A broken one is not, and
// the log says so. 4. A good one is again.
func TestAChangedCertificateIsInForceAndABrokenOneIsNot(t *testing.T) {
	ca := newAuthority(t)
	m := &mount{t: t, dir: t.TempDir()}
	cert, key := ca.pair("one.mesh")
	m.write(map[string][]byte{"tls.crt": cert, "tls.key": key})
	cfg := quick()
	cfg.TLS = TLSConfig{Cert: m.path("tls.crt"), Key: m.path("tls.key")}
	s := opened(t, 10)
	log := &lines{}
	opts := quickly(t)
	opts.Log = textLog(log)
	_, addr := serve(t, cfg, s, opts)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	connect := func(name string) error {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: name, NextProtos: []string{"h2"}})
		if err == nil {
			err = conn.Close()
		}
		return err
	}

	istiod := mcptest.Start(t, addr, mcptest.Options{Dial: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "one.mesh"}))}})
	istiod.Wait(t, "the state over TLS", holds(s, View{}))

	cert, key = ca.pair("two.mesh")
	m.write(map[string][]byte{"tls.crt": cert, "tls.key": key})
	if err := connect("two.mesh"); err != nil {
		t.Errorf("after the change: %v", err)
	}
	m.write(map[string][]byte{"tls.crt": cert, "tls.key": []byte("half a k")})
	if err := connect("two.mesh"); err != nil || !log.has("the former ones stay in force") {
		t.Errorf("with a broken key: %v", err)
	}
	cert, key = ca.pair("three.mesh")
	m.write(map[string][]byte{"tls.crt": cert, "tls.key": key})
	if err := connect("three.mesh"); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestOnlyTheSPIFFEIDsOfTheListMayConnect(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	m := &mount{t: t, dir: t.TempDir()}
	cert, key := ca.pair("bridge.mesh")
	m.write(map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca.pem()})
	cfg := quick()
	cfg.TLS = TLSConfig{Cert: m.path("tls.crt"), Key: m.path("tls.key"), ClientCA: m.path("ca.crt"), Allow: []string{"spiffe://mesh/ns/a/sa/istiod"}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s := opened(t, 3)
	_, addr := serve(t, cfg, s, quickly(t))
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	as := func(a *authority, id string) *tls.Config {
		pair, err := tls.X509KeyPair(a.pair(id))
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{RootCAs: roots, ServerName: "bridge.mesh", Certificates: []tls.Certificate{pair}}
	}
	for name, client := range map[string]*tls.Config{
		"another ID":     as(ca, "spiffe://mesh/ns/b/sa/istiod"),
		"another CA":     as(stranger, "spiffe://mesh/ns/a/sa/istiod"),
		"no certificate": {RootCAs: roots, ServerName: "bridge.mesh"},
	} {
		if err := dialTLS(addr, client); err == nil || !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	istiod := mcptest.Start(t, addr, mcptest.Options{Dial: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(as(ca, "spiffe://mesh/ns/a/sa/istiod")))}})
	istiod.Wait(t, "the state", holds(s, View{}))
}

func TestAnUnreadableCertificateIsAnErrorAtTheStart(t *testing.T) {
	cfg := Default()
	cfg.TLS = TLSConfig{Cert: "/nonexistent/tls.crt", Key: "/nonexistent/tls.key"}
	if _, err := New(cfg, opened(t, 0), Options{}); err == nil || !strings.Contains(err.Error(), "mcp.tls: load /nonexistent/tls.crt") {
		t.Errorf("%v", err)
	}
}
