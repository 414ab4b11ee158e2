//go:build e2e

package clients

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// targetVariable has this program call the target and do nothing else, since it has to do so inside a workload.
const targetVariable = "MESHBRIDGE_TEST_TARGET"

// callIfAsked does that.
func callIfAsked() {
	target := os.Getenv(targetVariable)
	if target == "" {
		return
	}
	if err := call(target); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func call(target string) error {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

func (w *world) grpcByHost(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"grpc-dns", "grpc-passthrough"} {
		before := requests(w.sidecar, grpcCluster)
		if _, err := w.shop.Run("env", targetVariable+"="+flat(snippet(t, name)), program); err != nil {
			t.Fatal(err)
		}
		if n := requests(w.sidecar, grpcCluster) - before; n != 1 {
			t.Errorf("of one call of %s the sidecar sent %d to %s", name, n, grpcCluster)
		}
	}
}
