//go:build e2e

package rollout

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

// The walks of docs/canary.md: each is a folder, and steps that are put over it one after another.
const examples = "../../../docs/examples"

// example is such a folder, with a bridge that follows it and instances at all its addresses.
type example struct {
	w      *world
	dir    string // a copy
	source string
	bridge *harness.Bridge
}

// example makes the example the mesh's until the test ends.
func (w *world) example(t *testing.T, name string) *example {
	t.Helper()
	e := &example{w: w, dir: harness.Scratch(t, "example"), source: filepath.Join(examples, name)}
	e.copy(t, e.source)
	e.startInstances(t)
	e.applyKubernetes(t)
	e.bridge = harness.StartBridge(t, harness.BridgeConfig{YAML: e.config(t)})
	before := w.bridge
	w.bridge = e.bridge
	w.line.To(e.bridge.MCP)
	t.Cleanup(func() {
		w.bridge = before
		w.line.To(before.MCP)
	})
	return e
}

// step puts a step over what there is.
func (e *example) step(t *testing.T, name string) {
	t.Helper()
	e.copy(t, filepath.Join(e.source, "steps", name))
}

func (e *example) copy(t *testing.T, from string) {
	t.Helper()
	for _, folder := range []string{"services", "canaries", "."} {
		if err := os.MkdirAll(filepath.Join(e.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(from, folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			replaceFile(t, filepath.Join(e.dir, folder, filepath.Base(file)), content)
		}
	}
}

// config is the example's, with the times of the tests and with paths that hold wherever it is read.
func (e *example) config(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(e.dir, "meshbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Mesh    map[string]any   `json:"mesh"`
		Canary  map[string]any   `json:"canary"`
		Sources []map[string]any `json:"sources"`
		Subsets map[string]any   `json:"subsets"`
		Protect map[string]any   `json:"protect"`
	}
	if err := yaml.UnmarshalStrict(content, &config); err != nil {
		t.Fatalf("%s: %v", e.source, err)
	}
	config.Canary["settle"], config.Canary["files"] = settle.String(), []string{filepath.Join(e.dir, "canaries", "*.yaml")}
	config.Sources[0]["file"] = map[string]string{"path": filepath.Join(e.dir, "services")}
	e.locate(config.Canary["teams"])
	config.Subsets, config.Protect = map[string]any{"retain": retain.String()}, map[string]any{"delay": "100ms"}
	if content, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// locate has teams name the files of the copy.
func (e *example) locate(teams any) {
	list, _ := teams.([]any)
	for _, team := range list {
		files, _ := team.(map[string]any)["files"].([]any)
		for i, file := range files {
			files[i] = filepath.Join(e.dir, fmt.Sprint(file))
		}
	}
}

// startInstances starts an instance wherever one is registered in any step. Those of mocka call mockb.
func (e *example) startInstances(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.source, "steps", "*", "services", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := filepath.Glob(filepath.Join(e.source, "services", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var started []string
	for _, file := range append(first, files...) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Services []struct {
				Name      string `json:"name"`
				Instances []struct {
					Address string            `json:"address"`
					Port    int               `json:"port"`
					Labels  map[string]string `json:"labels"`
				} `json:"instances"`
			} `json:"services"`
		}
		if err := yaml.Unmarshal(content, &list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, s := range list.Services {
			for _, i := range s.Instances {
				config := harness.EchoConfig{Service: s.Name, Version: i.Labels["version"], Address: fmt.Sprintf("%s:%d", i.Address, i.Port)}
				if s.Name == "mocka" {
					mockb := (&service{w: e.w, name: "mockb", namespace: "e2e", port: 8000}).inside(map[string]string{"base": "mocka-base", "canary": "mocka-gray"}[config.Version])
					config.Next, config.NextAddress, config.Forward = mockb.call.Host, mockb.call.Address, []string{"my-request-id"}
				}
				if !slices.Contains(started, config.Address) {
					started = append(started, config.Address)
					harness.StartEcho(t, config)
				}
			}
		}
	}
}

// applyKubernetes applies the objects of those who own the gateway, until the test ends.
func (e *example) applyKubernetes(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.source, "kubernetes", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e.w.kube.Apply(string(content))
		t.Cleanup(func() { e.w.kube.Delete(string(content)) })
	}
}

// service is one of the example's.
func (e *example) service(name, namespace string, port int) *service {
	return &service{w: e.w, name: name, namespace: namespace, port: port, protocol: "HTTP"}
}

// exposed is the way through the gateway of the examples, which is for every host and listens on every address.
func (s *service) exposed(path string) way {
	v := s.outside("*")
	v.call = harness.Request{Address: "10.0.250.31:80", Host: "app.example.com", Path: path, Class: "gateway"}
	return v
}

// check waits until the service has these rules on all ways, then makes requests: 1,000 with the header, if there is a rule for it,
// and 2,000 without.
func (s *service) check(t *testing.T, ways []way, rules ...share) {
	t.Helper()
	s.routed(t, ways, rules...)
	var plain, canary []harness.Request
	for _, v := range ways {
		plain, canary = append(plain, v.call), append(canary, v.with("canary", "stage", "canary"))
	}
	divided(t, 2000, rules[len(rules)-1], plain...)
	if len(rules) > 1 {
		divided(t, 1000, rules[0], canary...)
	}
}

// calls are those of the load: on each way, without and with the header.
func calls(ways ...way) []harness.Request {
	var calls []harness.Request
	for _, v := range ways {
		calls = append(calls, v.call, v.with(v.call.Class+" canary", "stage", "canary"))
	}
	return calls
}

func (w *world) walkEchoFoxtrot(t *testing.T) {
	e := w.example(t, "echo-foxtrot")
	echo, foxtrot := e.service("echo", "", 80), e.service("foxtrot", "", 80)
	toEcho, toFoxtrot := []way{echo.inside("shop"), echo.exposed("/echo")}, []way{foxtrot.inside("shop"), foxtrot.exposed("/foxtrot")}
	echo.check(t, toEcho, share{"v1": 100})
	foxtrot.check(t, toFoxtrot, share{"v2": 100}, share{"v1": 75, "v2": 25})
	defer w.underLoad(t, calls(append(toEcho, toFoxtrot...)...)...).end(t)
	for _, s := range []struct {
		name  string
		rules []share
	}{
		{"2-v2-deployed", []share{{"v1": 100}}},
		{"3-header", []share{{"v2": 100}, {"v1": 100}}},
		{"4-weight-50", []share{{"v2": 100}, {"v1": 50, "v2": 50}}},
		{"5-weight-100", []share{{"v2": 100}, {"v2": 100}}},
		{"6-v2-only", []share{{"v2": 100}}},
	} {
		e.step(t, s.name)
		if s.name == "2-v2-deployed" {
			w.proxies["shop"].WaitCluster(echo.cluster("v2"), 1)
		}
		echo.check(t, toEcho, s.rules...)
		foxtrot.check(t, toFoxtrot, share{"v2": 100}, share{"v1": 75, "v2": 25})
	}
}

func (w *world) walkDelegation(t *testing.T) {
	e := w.example(t, "delegation")
	echo, foxtrot := e.service("echo", "", 80), e.service("foxtrot", "", 80)
	toEcho, toFoxtrot := []way{echo.inside("shop"), echo.exposed("/echo")}, []way{foxtrot.inside("shop"), foxtrot.exposed("/foxtrot")}
	echo.check(t, toEcho, share{"v2": 100}, share{"v1": 100})
	foxtrot.check(t, toFoxtrot, share{"v1": 100})
	defer w.underLoad(t, calls(append(toEcho, toFoxtrot...)...)...).end(t)
	e.step(t, "2-foxtrot-weight-10")
	foxtrot.check(t, toFoxtrot, share{"v1": 90, "v2": 10})
	echo.check(t, toEcho, share{"v2": 100}, share{"v1": 100})
}

func (w *world) walkBenigno(t *testing.T) {
	e := w.example(t, "benigno")
	benigno := e.service("benigno", "kong-mesh-app", 5000)
	magnanimo, shop := benigno.inside("magnanimo"), benigno.inside("shop")
	w.proxies["shop"].WaitCluster(benigno.cluster(""), 2)
	w.proxies["magnanimo"].WaitCluster(benigno.cluster(""), 2)
	divided(t, 2000, share{"v1": 50, "v2": 50}, magnanimo.call, shop.call)
	defer w.underLoad(t, magnanimo.call, shop.call).end(t)
	e.step(t, "2-90-10")
	benigno.check(t, []way{magnanimo}, share{"v1": 90, "v2": 10})
	benigno.check(t, []way{shop}, share{"v1": 100})
	e.step(t, "3-every-caller")
	benigno.check(t, []way{magnanimo, shop}, share{"v1": 90, "v2": 10})
}

func (w *world) walkGray(t *testing.T) {
	e := w.example(t, "lane")
	mocka, mockb := e.service("mocka", "e2e", 8000), e.service("mockb", "e2e", 8000)
	in := mocka.exposed("/")
	between := []way{mockb.inside("mocka-base"), mockb.inside("mocka-gray")}
	pc, other := in.with("pc", "agent", "pc"), in.classed("other")
	forged := in.with("forged", "my-request-id", "canary", "canary")
	base, gray := []share{{"base": 100}}, []share{{"canary": 100}, {"base": 100}}
	expect := func(atA, atB []share, hops string) {
		t.Helper()
		mocka.routed(t, []way{in}, atA[0], share{"base": 100})
		mockb.routed(t, between, atB...)
		all(t, 1000, map[string]string{"pc": hops, "other": "base base", "forged": "base base"}, pc, other, forged)
	}
	expect(gray, gray, "canary canary")
	defer w.underLoad(t, pc, other, forged).end(t)
	e.step(t, "2-mockb-without-gray")
	expect(gray, base, "canary base")
	e.step(t, "3-mocka-without-gray")
	expect(base, gray, "base canary")
	e.step(t, "4-failover")
	expect(gray, gray, "canary canary")
}

func (w *world) walkMistake(t *testing.T) {
	e := w.example(t, "bad-document")
	echo, foxtrot := e.service("echo", "", 80), e.service("foxtrot", "", 80)
	toEcho, toFoxtrot := []way{echo.inside("shop")}, []way{foxtrot.inside("shop")}
	echo.check(t, toEcho, share{"v2": 100}, share{"v1": 100})
	foxtrot.check(t, toFoxtrot, share{"v2": 100}, share{"v1": 100})
	// The requests of the rule at fault are answered in the third step, so they are not part of the load.
	defer w.underLoad(t, append(calls(toFoxtrot...), echo.inside("shop").classed("echo"))...).end(t)

	e.step(t, "2-mistake")
	foxtrot.check(t, toFoxtrot, share{"v2": 100}, share{"v2": 100})
	w.state(t, "echo", "lastGood")
	echo.check(t, toEcho, share{"v2": 100}, share{"v1": 100})

	e.step(t, "3-respond")
	e.bridge.Stop()
	e.bridge.Rewrite(e.config(t))
	e.bridge.Start()
	canary := toEcho[0].with("", "stage", "canary")
	harness.Eventually(t, 30*time.Second, "the rule is answered", func() error {
		_, err := harness.Call(http.DefaultClient, canary)
		if answer, ok := err.(harness.StatusError); ok && answer.Status == http.StatusNotFound {
			return nil
		}
		return fmt.Errorf("the answer is %v", err)
	})
	all(t, 1000, map[string]string{"shop": "v1"}, toEcho[0].call)
	foxtrot.check(t, toFoxtrot, share{"v2": 100}, share{"v2": 100})

	e.step(t, "4-mended")
	echo.check(t, toEcho, share{"v2": 100}, share{"v1": 90, "v2": 10})
}
