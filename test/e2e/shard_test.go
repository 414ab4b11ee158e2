//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

// shards are the addresses of n shards of one bridge, under names that lead to it.
func shards(t *testing.T, n int, bridge *harness.Bridge) []string {
	t.Helper()
	port := bridge.MCP[strings.LastIndex(bridge.MCP, ":")+1:]
	var addresses []string
	hosts := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("meshbridge-%d-of-%d.example", i, n)
		hosts[name] = "127.0.0.1"
		addresses = append(addresses, name+":"+port)
	}
	harness.SetHosts(t, hosts)
	return addresses
}

func TestOneAndSixteenShardsGiveTheSameResult(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		bridge := w.bridge(t)
		config := istiodConfig(t, tool, bridge.MCP)
		whole := harness.StartIstiod(t, config)
		config.Sources = sources(shards(t, 16, bridge)...)
		parts := harness.StartIstiod(t, config)
		bridge.WaitAcknowledged(17)

		equal := func() {
			t.Helper()
			w.waitEndpoints(t, whole)
			w.waitEndpoints(t, parts)
			if diff := cmp.Diff(held(t, whole), held(t, parts)); diff != "" {
				t.Errorf("16 shards differ from the whole (-whole +shards)\n%s", firstLines(diff, 40))
			}
			if diff := cmp.Diff(versions(t, whole), versions(t, parts)); diff != "" {
				t.Errorf("16 shards have other versions (-whole +shards)\n%s", firstLines(diff, 40))
			}
		}
		equal()
		everyShardHasItsPart(t, bridge)
		w.add(provider(20, 9))
		w.remove(provider(21, 0))
		equal()
		nothingRefused(t, whole)
		nothingRefused(t, parts)
	})
}

// everyShardHasItsPart fails unless there is a stream of each shard and none holds all services.
func everyShardHasItsPart(t *testing.T, bridge *harness.Bridge) {
	t.Helper()
	clients, err := bridge.Clients()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range clients {
		if !strings.HasSuffix(c.Shard, "-of-16") {
			continue
		}
		seen[c.Shard] = true
		for _, k := range c.Kinds {
			if k.Kind == "ServiceEntry" && (k.Resources == 0 || k.Resources > services/4) {
				t.Errorf("shard %s holds %d of %d services", c.Shard, k.Resources, services)
			}
		}
	}
	if len(seen) != 16 {
		t.Errorf("there are streams of %d shards, want 16", len(seen))
	}
}

func TestShardsArriveOverTLS(t *testing.T) {
	w := newWorld(t)
	authority := harness.NewAuthority(t)
	cert, key := authority.Issue("meshbridge", "*.example", "127.0.0.1")
	bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: w.config(), Cert: cert, Key: key})
	config := istiodConfig(t, harness.IstiodNewest, shards(t, 16, bridge)...) // istiod speaks TLS to config sources since 1.26
	for i := range config.Sources {
		config.Sources[i].TLSSettings = &harness.TLSSettings{Mode: "SIMPLE", CACertificates: string(authority.PEM)}
	}
	istiod := harness.StartIstiod(t, config)
	bridge.WaitAcknowledged(16)
	w.waitEndpoints(t, istiod)
	everyShardHasItsPart(t, bridge)
	w.stillFollows(t, istiod)
	nothingRefused(t, istiod)
}
