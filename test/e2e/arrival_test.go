//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

func TestEveryServiceArrives(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: w.zk.Addr, App: "orders", Parameters: map[string]string{"zone": "z1"}})
		spring := harness.StartSpringZooKeeper(t, harness.SpringConfig{Registry: w.zk.Addr, App: "billing", Metadata: map[string]string{"zone": "z1"}})
		w.endpoints[host(harness.DubboInterface)] = sorted(
			fmt.Sprintf("%s:%d", dubbo.Address, dubbo.DubboPort), fmt.Sprintf("%s:%d", dubbo.Address, dubbo.TriplePort))
		w.endpoints["billing.mesh"] = []string{fmt.Sprintf("%s:%d", spring.Address, spring.Port)}
		w.endpoints["mainframe.mesh"] = []string{"10.3.0.1:8080", "10.3.0.2:8080"}
		bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: w.config() + legacyHosts(t)})
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))

		w.waitEndpoints(t, istiod)
		hosts, err := istiod.Services()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(w.endpoints)), hosts); diff != "" {
			t.Errorf("registryz (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(converted(t, bridge), held(t, istiod)); diff != "" {
			t.Errorf("configz is not what convert prints (-want +got)\n%s", firstLines(diff, 60))
		}
		nothingRefused(t, istiod)
	})
}

// legacyHosts is a source of hosts that no registry knows.
func legacyHosts(t *testing.T) string {
	t.Helper()
	dir := harness.Scratch(t, "services")
	const list = "services: [{name: mainframe, ports: [{name: http, number: 80, protocol: HTTP}], instances: " +
		"[{address: 10.3.0.1, port: 8080}, {address: 10.3.0.2, port: 8080}]}]\n"
	if err := os.WriteFile(filepath.Join(dir, "legacy.yaml"), []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("- {name: hosts, file: {path: %q}}\n", dir)
}

func TestARealProviderThatEndsLeavesAndItsSuccessorArrives(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		config := harness.DubboConfig{Registry: w.zk.Addr, App: "orders", NoTriple: true}
		first := harness.StartDubbo(t, config)
		bridge := w.bridge(t)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		h := host(harness.DubboInterface)
		w.endpoints[h] = []string{fmt.Sprintf("%s:%d", first.Address, first.DubboPort)}
		w.waitEndpoints(t, istiod)

		config.Address = "10.0.0.6"
		second := harness.StartDubbo(t, config)
		w.endpoints[h] = append(w.endpoints[h], fmt.Sprintf("%s:%d", second.Address, second.DubboPort))
		w.waitEndpoints(t, istiod)
		first.Kill() // without a word: its session must expire
		w.endpoints[h] = w.endpoints[h][1:]
		w.waitEndpoints(t, istiod)
		nothingRefused(t, istiod)
	})
}

func TestNothingThatTheBridgeServesIsRefusedByIstiod(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		for i, p := range hostile() {
			p.Interface = fmt.Sprintf("com.example.Hostile%02d", i)
			w.registry.Register(p)
		}
		for _, name := range []string{"UPPER_case$Inner", strings.Repeat("long.package.", 18) + "Name", "-dash-", "white space", "ünïcode.Iface", "*"} {
			w.registry.Register(harness.DubboProvider{Interface: name, Address: "10.7.0.1:20880"})
		}
		bridge := w.bridge(t)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		bridge.WaitAcknowledged(1)

		served, err := bridge.Resources()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for name, r := range served {
			want[name] = r.Version
		}
		harness.Eventually(t, 20*time.Second, "istiod holds what the bridge serves, in the same versions", func() error {
			if diff := cmp.Diff(want, versions(t, istiod)); diff != "" {
				return fmt.Errorf("(-served +held)\n%s", firstLines(diff, 40))
			}
			return nil
		})
		nothingRefused(t, istiod)
		if rejected, err := bridge.Rejected(); err != nil || len(rejected) == 0 {
			t.Errorf("the bridge rejected %v, %v; the hostile providers are no test then", rejected, err)
		}
	})
}

// hostile are providers that istiod would refuse as they stand.
func hostile() []harness.DubboProvider {
	with := func(key, value string) harness.DubboProvider {
		return harness.DubboProvider{Address: "10.6.0.1:20880", Parameters: map[string]string{key: value}}
	}
	return []harness.DubboProvider{
		with("zone", "no label/at all"), with("zone", strings.Repeat("z", 64)), with("zone", "-"), with("zone", "ümlaut"), with("app", "a b"),
		with("version", "1.0.0 beta!"), with("group", "Group/With Slash"), with("weight", "-5"), with("weight", "4294967295"), with("weight", "much"),
		{Address: "10.6.0.1:0"}, {Address: "10.6.0.1:70000"}, {Address: "0.0.0.0:20880"}, {Address: "256.1.1.1:20880"}, {Address: "[2001:db8::1]:20880"},
		{Address: "10.6.0.1:20880", Scheme: "unheard-of"}, {Address: "10.6.0.1:20880", Scheme: "rest"}, {Address: "not a host:20880"},
	}
}

// held is the spec of every object that istiod has from the bridge, by "kind namespace/name".
func held(t *testing.T, istiod *harness.Istiod) map[string]any {
	t.Helper()
	objects, err := istiod.Objects()
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]any{}
	for name, o := range objects {
		specs[name] = decode(t, o.Spec)
	}
	return specs
}

// converted is the spec of every object that `meshbridge convert` makes of the same configuration.
func converted(t *testing.T, bridge *harness.Bridge) map[string]any {
	t.Helper()
	specs := map[string]any{}
	for document := range strings.SplitSeq(bridge.Command("convert", "--config", bridge.Config, "-o", "yaml"), "\n---") {
		var object struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Spec     json.RawMessage
		}
		if err := yaml.Unmarshal([]byte(strings.TrimPrefix(document, "---")), &object); err != nil {
			t.Fatalf("convert: %v in\n%s", err, document)
		}
		if object.Kind != "" {
			specs[object.Kind+" "+object.Metadata.Namespace+"/"+object.Metadata.Name] = decode(t, object.Spec)
		}
	}
	return specs
}

func decode(t *testing.T, content json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("decode %s: %v", content, err)
	}
	return v
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}
