package mcpserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"google.golang.org/grpc/credentials"
)

// reloader holds the TLS configuration made of files, and makes it anew at a handshake when they have changed. Files that
// cannot be used leave the last good configuration in force.
type reloader struct {
	cfg TLSConfig
	log *slog.Logger

	mu      sync.Mutex
	files   stamp
	current *tls.Config
}

// stamp tells one state of a file from another; a nil one is a file that cannot be read.
type stamp []os.FileInfo

func (s stamp) equal(t stamp) bool {
	return slices.EqualFunc(s, t, func(a, b os.FileInfo) bool {
		if a == nil || b == nil {
			return a == b
		}
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	})
}

func newCredentials(cfg TLSConfig, log *slog.Logger) (credentials.TransportCredentials, error) {
	r := &reloader{cfg: cfg, log: log, files: stampOf(cfg)}
	current, err := load(cfg)
	if err != nil {
		return nil, err
	}
	r.current = current
	return credentials.NewTLS(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.config(), nil },
	}), nil
}

func (r *reloader) config() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := stampOf(r.cfg)
	if now.equal(r.files) {
		return r.current
	}
	r.files = now
	next, err := load(r.cfg)
	if err != nil {
		r.log.Error("the changed TLS files cannot be used; the former ones stay in force", "err", err)
		return r.current
	}
	r.log.Info("the TLS files have changed and are in force", "cert", r.cfg.Cert)
	r.current = next
	return next
}

// stampOf follows symbolic links, and so the swaps of ConfigMap and Secret mounts.
func stampOf(cfg TLSConfig) stamp {
	var out stamp
	for _, path := range []string{cfg.Cert, cfg.Key, cfg.ClientCA} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		out = append(out, info)
	}
	return out
}

func load(cfg TLSConfig) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("mcp.tls: load %s and %s: %w", cfg.Cert, cfg.Key, err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{cert}}
	if cfg.ClientCA == "" {
		return out, nil
	}
	pem, err := os.ReadFile(cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("mcp.tls.clientCA: %w", err)
	}
	out.ClientCAs = x509.NewCertPool()
	if !out.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("mcp.tls.clientCA: %s holds no certificate", cfg.ClientCA)
	}
	out.ClientAuth = tls.RequireAndVerifyClientCert
	if len(cfg.Allow) > 0 {
		out.VerifyConnection = func(state tls.ConnectionState) error { return allowed(cfg.Allow, state) }
	}
	return out, nil
}

// allowed checks the SPIFFE ID of a client whose certificate has been verified.
func allowed(ids []string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the client shows no certificate")
	}
	uris := state.PeerCertificates[0].URIs
	for _, uri := range uris {
		if slices.Contains(ids, uri.String()) {
			return nil
		}
	}
	return fmt.Errorf("the client is %v, which mcp.tls.allow does not list", uris)
}
