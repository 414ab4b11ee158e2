package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/convert"
	"meshbridge/mcpserver/store"
)

const rollout = `# team blue
name: echo
services: [echo.mesh]
primary: v1 # the old one
canaries:
- version: v2
  headers: {stage: canary}
---
name: lane
services: [a.mesh, b.mesh]
canaries:
- {name: gray, labels: {tag: gray}, weight: 5}
- {version: v3, weight: 60}
---
name: done
services: [c.mesh]
primary: v2
`

// documents writes a configuration and a file of documents, and returns the words that name the first and the path of the
// other.
func documents(t *testing.T, text string) (config, file string) {
	dir := t.TempDir()
	config = write(t, filepath.Join(dir, "meshbridge.yaml"), "sources:\n- {name: hosts, file: {path: services}}\ncanary: {files: ['canaries/*.yaml']}\n")
	return " --config " + config, write(t, filepath.Join(dir, "canaries", "all.yaml"), text)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestARolloutMovesByItsFile(t *testing.T) {
	config, file := documents(t, rollout)
	want := rollout
	for _, step := range []struct{ args, old, now, says string }{
		{"weight echo 40", "  headers: {stage: canary}\n", "  headers: {stage: canary}\n  weight: 40\n", "echo: the canary has weight 40 ("},
		{"weight lane/gray 40%", "weight: 5}", "weight: 40}", "lane: the canary has weight 40 ("},
		{"rollback lane/v3", "- {version: v3, weight: 60}\n", "", "lane: there is no canary v3 ("},
		{"promote echo", "primary: v1 # the old one\ncanaries:\n- version: v2\n  headers: {stage: canary}\n  weight: 40\n", "primary: v2 # the old one\n", "echo: the canary is the primary"},
		{"rollback lane", "canaries:\n- {name: gray, labels: {tag: gray}, weight: 40}\n", "", "lane: there are no canaries ("},
	} {
		r := command(t, "canary "+step.args+config)
		want = strings.Replace(want, step.old, step.now, 1)
		alone := "no bridge answers at http://127.0.0.1:1: the file is edited without asking one\n"
		if got := read(t, file); r.code != exitFine || got != want || !strings.HasPrefix(r.out, step.says) || r.errs != alone {
			t.Fatalf("%s: exit %d, %s%s\nthe file is\n%s, want\n%s", step.args, r.code, r.out, r.errs, got, want)
		}
	}
}

func TestAnEditThatCannotBeMadeLeavesTheFile(t *testing.T) {
	config, file := documents(t, rollout)
	for args, want := range map[string]string{
		"weight lane 5":       "it has 2 canaries; name one: lane/gray or lane/v3",
		"weight lane/v9 5":    `it has no canary "v9", but gray, v3`,
		"weight lane/gray 50": "all.yaml is left as it is, since the document would be invalid:\n  ",
		"promote foxtrot":     `no document "foxtrot" can be edited in `,
		"rollback foxtrot":    "there are echo, lane, done",
		"weight lane/gray 5%": "nothing would change in lane: the canary has weight 5 already",
		"rollback done":       "nothing would change in done: the document has no canaries",
		"promote done":        "nothing would change in done: the document has no canaries",
	} {
		r := command(t, "canary "+args+config)
		if r.code != exitTrouble || r.out != "" || !strings.Contains(r.errs, want) || read(t, file) != rollout {
			t.Errorf("%s: exit %d, %q, and on the error output, which lacks %q:\n%s", args, r.code, r.out, want, r.errs)
		}
	}
}

// unwritable edits a document of a file that cannot be written.
func unwritable(t *testing.T, file string) result {
	t.Helper()
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	return command(t, "canary weight echo 40 --config "+filepath.Join(filepath.Dir(file), "..", "meshbridge.yaml"))
}

func TestAFileThatCannotBeWrittenIsPrinted(t *testing.T) {
	_, file := documents(t, rollout)
	edited := strings.Replace(rollout, "canary}\n", "canary}\n  weight: 40\n", 1)
	r := unwritable(t, file)
	if r.code != exitTrouble || r.out != edited || !strings.Contains(r.errs, "not written, but printed: ") || !strings.Contains(r.errs, "read-only") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.errs)
	}
	if read(t, file) != rollout {
		t.Error("the file was written")
	}
}

func TestADiffIsOfEachObject(t *testing.T) {
	b := world(t)
	server := b.Start(t, nil)
	_, file := documents(t, "echo")
	if r := command(t, "canary diff "+file+" --server "+server); r.code != exitFine || r.out != "" || r.errs != "" {
		t.Errorf("without a change: exit %d\n%s%s", r.code, r.out, r.errs)
	}
	rule, route := admintest.DestinationRule(t, "orders.mesh", "v1"), admintest.VirtualService(t, "orders.mesh", "v1")
	b.SetPreview(
		convert.CanaryChange{Key: rule.Key, Before: rule, After: admintest.DestinationRule(t, "orders.mesh", "v2")},
		convert.CanaryChange{Key: route.Key, After: route},
	)
	r := command(t, "canary diff "+file+" --server "+server)
	for _, want := range []string{
		"--- DestinationRule registries/orders.mesh\n+++ DestinationRule registries/orders.mesh\n@@ ", "-      version: v1\n", "+      version: v2\n",
		"--- /dev/null\n+++ VirtualService registries/orders.mesh\n@@ -0,0 +1,", "+kind: VirtualService\n",
	} {
		if r.code != exitTrouble || r.errs != "" || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, lacks %q:\n%s%s", r.code, want, r.out, r.errs)
		}
	}
}

func TestADiffWarnsOfPortsWhereItCutsTLS(t *testing.T) {
	routing := func(ports ...uint32) *store.Resource {
		spec := &networkingpb.VirtualService{Hosts: []string{"orders.mesh"}}
		for _, port := range ports {
			spec.Tls = append(spec.Tls, &networkingpb.TLSRoute{Match: []*networkingpb.TLSMatchAttributes{{Port: port, SniHosts: []string{"orders.mesh"}}}})
		}
		return admintest.Resource(t, store.VirtualService, "orders.mesh", spec)
	}
	_, file := documents(t, "echo")
	for _, c := range []struct {
		before, after *store.Resource
		want          string
	}{
		{nil, routing(443), "port 443"},
		{routing(443), routing(443, 8443), "port 8443"},
		{routing(443), routing(), ""},
		{routing(443), nil, ""},
	} {
		b := world(t)
		b.SetPreview(convert.CanaryChange{Key: routing().Key, Before: c.before, After: c.after})
		r := command(t, "canary diff "+file+" --server "+b.Start(t, nil))
		want := ""
		if c.want != "" {
			want = "warning: registries/orders.mesh: " + c.want + " is routed by the name that clients ask for (SNI): TLS for another name than orders.mesh goes to PassthroughCluster, which it would not without a document\n"
		}
		if r.code != exitTrouble || r.errs != want {
			t.Errorf("exit %d, %q, want %q", r.code, r.errs, want)
		}
	}
}

func TestADiffThatCannotBeToldExitsWith2(t *testing.T) {
	server := world(t).Start(t, nil)
	_, broken := documents(t, "echo: 1")
	for args, want := range map[string]string{
		broken + " --server " + server:               "the documents have faults:\n  echo: 1: name: " + broken + ":1: echo: 1 is no name",
		broken + " --server 127.0.0.1:1":             "connection refused",
		"/nowhere.yaml --server " + server:           "no such file",
		broken + " --server 127.0.0.1:1,127.0.0.1:2": "diff asks one server",
		"": "name one",
	} {
		if r := command(t, "canary diff "+args); r.code != exitUsage || !strings.Contains(r.errs, want) || r.out != "" {
			t.Errorf("%s: exit %d, %q, and on the error output, which lacks %q:\n%s", args, r.code, r.out, want, r.errs)
		}
	}
}

func TestTheShellCompletesTheDocumentsOfTheFiles(t *testing.T) {
	config, _ := documents(t, rollout+"---\nname: \"zz\\e[31m\"\n")
	for _, args := range []string{"weight", "promote", "rollback"} {
		if r := command(t, "__complete canary "+args+config+" e"); r.code != exitFine || !strings.HasPrefix(r.out, "done\necho\nlane\n:") {
			t.Errorf("%s completes to\n%s%s", args, r.out, r.errs)
		}
	}
	if r := command(t, "__complete canary promote --config /nowhere.yaml e"); r.code != exitFine || !strings.HasPrefix(r.out, ":4") {
		t.Errorf("without a configuration it completes to\n%s%s", r.out, r.errs)
	}
}
