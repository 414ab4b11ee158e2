package main

import (
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// echo answers every request with an empty state.
type echo struct {
	discoverygrpc.UnimplementedAggregatedDiscoveryServiceServer
}

func (echo) StreamAggregatedResources(s discoverygrpc.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if req.GetResponseNonce() == "" {
			if err := s.Send(&discoverygrpc.DiscoveryResponse{TypeUrl: req.GetTypeUrl(), Nonce: "1"}); err != nil {
				return err
			}
		}
	}
}

func TestWatchSpeaksTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which is for example.com and 127.0.0.1
	defer web.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	discoverygrpc.RegisterAggregatedDiscoveryServiceServer(server, echo{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	for flags, code := range map[string]int{
		"--tls-ca " + ca: exitFine,
		"--tls-ca " + ca + " --authority example.com:16010": exitFine,
		"--tls-ca " + ca + " --authority other.org:16010":   exitTrouble,
		"--insecure-skip-verify":                            exitFine,
		"--tls":                                             exitTrouble,
	} {
		r := command(t, "watch --once xds://"+l.Addr().String()+" "+flags)
		if r.code != code || code == exitTrouble && !strings.Contains(r.errs, "x509") {
			t.Errorf("%s: exit %d\n%s%s", flags, r.code, r.out, r.errs)
		}
	}
}
