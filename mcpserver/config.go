package mcpserver

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Config is the `mcp` part of the configuration.
type Config struct {
	// Address is the host:port on which MCP over xDS is served. Default 127.0.0.1:16010.
	Address string `yaml:"address"`
	// TLS turns on TLS when it names a certificate. Default none.
	TLS TLSConfig `yaml:"tls"`
	// Quiet is the pause between bursts of changes to one istiod, counted from its last ACK; it is longer by twice the time
	// that the ACKs of the burst took, by 2s at most. 0s is no pause at all. Default 150ms.
	Quiet time.Duration `yaml:"quiet"`
	// Stall is how long a client may leave a response unacknowledged before its stream is closed. Default 2m.
	Stall time.Duration `yaml:"stall"`
}

// TLSConfig names PEM files. They are read again when they change.
type TLSConfig struct {
	// Cert is the file of the server's certificate and its chain; its names must cover every shard's host. Default none.
	Cert string `yaml:"cert"`
	// Key is the file of the certificate's private key. Default none.
	Key string `yaml:"key"`
	// ClientCA is a file of certificates; when set, clients must show a certificate that one of them signed. A stock istiod
	// shows none. Default none.
	ClientCA string `yaml:"clientCA"`
	// Allow lists the SPIFFE IDs of the clients that may connect; empty allows all that clientCA vouches for. Default [].
	Allow []string `yaml:"allow"`
}

// Default is the configuration in force where the file says nothing.
func Default() Config {
	return Config{Address: "127.0.0.1:16010", Quiet: 150 * time.Millisecond, Stall: 2 * time.Minute}
}

// Validate joins all faults, each led by its path.
func (c Config) Validate() error {
	var faults []error
	fault := func(path, format string, args ...any) {
		faults = append(faults, fmt.Errorf("mcp.%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if _, port, err := net.SplitHostPort(c.Address); err != nil {
		fault("address", "%q is no host:port, such as 127.0.0.1:16010", c.Address)
	} else if _, err := net.LookupPort("tcp", port); err != nil {
		fault("address", "%q is no port; it would be 0 to 65535", port)
	}
	if c.Quiet < 0 {
		fault("quiet", "%s is negative; 0s is no pause", c.Quiet)
	}
	if c.Stall <= 0 {
		fault("stall", "%s is not positive", c.Stall)
	}
	t := c.TLS
	if t.Cert == "" && t.Key != "" {
		fault("tls.cert", "is missing beside tls.key")
	}
	if t.Key == "" && t.Cert != "" {
		fault("tls.key", "is missing beside tls.cert")
	}
	if t.ClientCA != "" && t.Cert == "" {
		fault("tls.clientCA", "needs tls.cert and tls.key")
	}
	if len(t.Allow) > 0 && t.ClientCA == "" {
		fault("tls.allow", "needs tls.clientCA, which proves who the client is")
	}
	for i, id := range t.Allow {
		if !strings.HasPrefix(id, "spiffe://") || len(id) == len("spiffe://") {
			fault(fmt.Sprintf("tls.allow[%d]", i), "%q is no SPIFFE ID, such as spiffe://cluster.local/ns/istio-system/sa/istiod", id)
		}
	}
	return errors.Join(faults...)
}
