package sources

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS is how to trust a registry's servers and be trusted by them. Nil is a connection without TLS, where the registry's
// address does not ask for it.
type TLS struct {
	// PEM file of the authorities that sign the servers' certificates. Default: the system's authorities.
	CA string `yaml:"ca"`
	// PEM file of the client's certificate, for servers that ask for one. Default: none.
	Cert string `yaml:"cert"`
	// PEM file of the client certificate's key. Default: none.
	Key string `yaml:"key"`
	// Name that the servers' certificates must carry. Default: the host of the server connected to.
	ServerName string `yaml:"serverName"`
	// Accept any certificate; for tests only. Default: false.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify"`
}

// Validate reports what is wrong without reading the files.
func (t *TLS) Validate() error {
	if t != nil && (t.Cert == "") != (t.Key == "") {
		return errors.New("cert and key belong together: set both or neither")
	}
	return nil
}

// Load reads the files of a TLS configuration; nil is plain TCP.
func (t *TLS) Load() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate in PEM form", t.CA)
		}
	}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert and tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
