package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/mcpserver/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a command line printed, and its exit code.
type result struct {
	code      int
	out, errs string
}

// command runs a command line. Its environment is empty but for the pairs given.
func command(t *testing.T, args string, env ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	term := terminal{out: &out, err: &errs, server: "http://127.0.0.1:1", env: func(name string) string {
		for i := 0; i < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	}}
	code := execute(t.Context(), strings.Fields(args), term)
	return result{code, out.String(), errs.String()}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// world is a bridge in good health with one service.
func world(t *testing.T) *admintest.Bridge {
	b := admintest.New()
	b.SetSources(admintest.Healthy("orders"))
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "orders.mesh", "10.0.0.1")}, Open: true})
	b.SetCanaries(admintest.Canary("echo", "blue", "orders.mesh", 50))
	return b
}

func TestWrongUseExitsWith2AndSaysWhatIsRight(t *testing.T) {
	dir := t.TempDir()
	broken := write(t, filepath.Join(dir, "broken.yaml"), "sauces: []\n")
	for args, want := range map[string]string{
		"frobnicate":                                    "unknown command",
		"--frobnicate":                                  "unknown flag",
		"get":                                           "One of sources, services",
		"get things":                                    `"things" is none of sources, services`,
		"get services a b":                              "one at most",
		"get services -o xml":                           "want one of table, wide, yaml, json",
		"get sources --team x":                          "--team means nothing for sources",
		"get clients --source x":                        "--source means nothing for clients",
		"get services --server ftp://x":                 "is not http://host:port",
		"get services --token-file /nowhere":            "--token-file",
		"get services --ca-file " + broken:              "holds no PEM certificate",
		"get services -w --server a:1,b:1":              "watches one server",
		"check --kube-ca-file x":                        "mean nothing without --kube-api",
		"check --kube-api x --kube-token-file /nowhere": "--kube-token-file",
		"check now":                                     "unknown command",
		"watch":                                         "accepts 1 arg",
		"watch localhost":                               "is not host:port",
		"watch localhost:1 --kind Nonsense":             "is neither group/version/Kind nor one of",
		"watch localhost:1 -o yaml":                     "want json or nothing",
		"watch localhost:1 --tls-ca /nowhere":           "no such file",
		"convert -o table":                              "want yaml or json",
		"convert --config " + broken:                    "sauces",
		"convert":                                       "name one with --config",
		"convert --config /nowhere.yaml":                "nowhere.yaml",
		"run --config " + broken:                        "sauces",
		"version -o yaml":                               "want json or nothing",
		"canary":                                        "One of diff, weight",
		"canary fly":                                    `"fly" is none of diff, weight`,
		"canary weight echo":                            "want weight NAME[/CANARY] PERCENT",
		"canary weight echo 101":                        "a number from 0 to 100",
		"canary promote echo":                           "names no canary.files",
	} {
		r := command(t, args)
		if r.code != exitUsage || !strings.Contains(r.errs, want) || r.out != "" {
			t.Errorf("%s: exit %d, %q on the output, and on the error output, which lacks %q:\n%s", args, r.code, r.out, want, r.errs)
		}
		if !strings.Contains(r.errs, "see: meshbridge") {
			t.Errorf("%s: does not point to its help:\n%s", args, r.errs)
		}
	}
}

func TestTroubleExitsWith1AndSaysWhatToDo(t *testing.T) {
	locked := world(t).Start(t, func(o *admin.Options) { o.Token = "sesame" })
	for args, want := range map[string]string{
		"get services --server 127.0.0.1:1": "is the bridge running there? Start it with meshbridge run",
		"get services --server " + locked:   "give the one of its admin.token with --token-file",
		"get services nobody.mesh --server " + locked + " --token-file " + write(t, filepath.Join(t.TempDir(), "token"), "sesame\n"): "meshbridge get services lists what there is",
		"watch 127.0.0.1:1 --once": "connect to 127.0.0.1:1",
	} {
		if r := command(t, args); r.code != exitTrouble || !strings.Contains(r.errs, want) || r.out != "" {
			t.Errorf("%s: exit %d, %q on the output, and on the error output, which lacks %q:\n%s", args, r.code, r.out, want, r.errs)
		}
	}
	if r := command(t, "check --server 127.0.0.1:1"); r.code != exitTrouble || !strings.Contains(r.out, "Trouble found.") || r.errs != "" {
		t.Errorf("check: exit %d\n%s\n%s", r.code, r.out, r.errs)
	}
}

func TestWhatIsFineExitsWith0(t *testing.T) {
	b := world(t)
	open, locked := b.Start(t, nil), b.Start(t, func(o *admin.Options) { o.Token = "sesame" })
	for args, want := range map[string]string{
		"get services --server " + open:                                 "orders.mesh",
		"get services orders.mesh -o yaml --server " + open:             "host: orders.mesh",
		"get resources --kind ServiceEntry --server " + open:            "ServiceEntry",
		"get services -n registries --source orders --server " + locked: "orders.mesh",
		"get canaries --team blue --server " + open:                     "v2 50% stage=canary",
		"check --server " + open:                                        "No trouble found.",
		"version":                                                       "meshbridge ",
		"version -o json":                                               `"go": "go`,
		"":                                                              "Available Commands",
		"get --help":                                                    "meshbridge get services -w",
		"completion bash":                                               "bash completion",
	} {
		if r := command(t, args, "MESHBRIDGE_TOKEN", "sesame"); r.code != exitFine || !strings.Contains(r.out, want) {
			t.Errorf("%s: exit %d, output lacks %q:\n%s%s", args, r.code, want, r.out, r.errs)
		}
	}
}

func TestEveryCommandTeachesWithExamples(t *testing.T) {
	all := newRoot(terminal{}).Commands()
	for _, c := range slices.Clone(all) {
		all = append(all, c.Commands()...)
	}
	for _, c := range all {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example", c.Name())
		}
	}
}

func TestTheShellCompletesWhatTheBridgeKnows(t *testing.T) {
	server := world(t).Start(t, nil)
	for args, want := range map[string]string{
		"get services --server " + server + " ":          "orders.mesh\n",
		"get sources --server " + server + " ":           "orders\n",
		"get resources --server " + server + " ":         "registries/orders.mesh\n",
		"get services --server " + server + " --source ": "orders\n",
		"get resources --kind ":                          "ServiceEntry\nDestinationRule\n",
		"get services -o ":                               "table\nwide\nyaml\njson\n",
		"get ":                                           "sources\nservices\nresources\nclients\nrejected\ncanaries\n",
		"get canaries --server " + server + " ":          "echo\n",
		"get canaries --state ":                          "serving\nwaiting\n",
		"watch 127.0.0.1:1 --kind ":                      "ServiceEntry\n",
		"get services --server http://127.0.0.1:1 ":      ":4\n",
	} {
		var out, errs bytes.Buffer
		term := terminal{out: &out, err: &errs, env: func(string) string { return "" }}
		fields := append([]string{"__complete"}, strings.Fields(args)...)
		if code := execute(t.Context(), append(fields, ""), term); code != exitFine || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit %d, completes to\n%s%s", args, code, out.String(), errs.String())
		}
	}
}

const services = `services:
- name: billing
  instances:
  - {address: 10.20.0.11, port: 8080, labels: {version: v1}}
`

func TestConvertPrintsWhatKubectlApplies(t *testing.T) {
	dir := t.TempDir()
	config := write(t, filepath.Join(dir, "meshbridge.yaml"), "sources:\n- {name: hosts, file: {path: services}}\n")
	write(t, filepath.Join(dir, "services/a.yaml"), services)
	r := command(t, "convert --strict --config "+config)
	if r.code != exitFine || r.errs != "" || !strings.HasPrefix(r.out, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n") {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.errs)
	}
	if again := command(t, "convert --config "+config); again.out != r.out {
		t.Errorf("another time it prints\n%s", again.out)
	}
	if asJSON := command(t, "convert -o json --config "+config); !strings.Contains(asJSON.out, `"kind": "List"`) {
		t.Errorf("as JSON:\n%s", asJSON.out)
	}

	write(t, filepath.Join(dir, "services/b.yaml"), "services: [{name: x, instances: [{address: '::bad::', port: 80}]}]\n")
	lax, strict := command(t, "convert --config "+config), command(t, "convert --strict --config "+config)
	if lax.code != exitFine || !strings.Contains(lax.errs, "left out: source hosts, service x") || !strings.Contains(lax.out, "billing.mesh") {
		t.Errorf("exit %d\n%s%s", lax.code, lax.out, lax.errs)
	}
	if strict.code != exitTrouble || strict.out != lax.out {
		t.Errorf("with --strict: exit %d\n%s%s", strict.code, strict.out, strict.errs)
	}
}

func TestConvertNamesASourceThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	config := write(t, filepath.Join(dir, "meshbridge.yaml"), "sources:\n- {name: hosts, file: {path: nowhere}}\n")
	r := command(t, "convert --timeout 1s --config "+config)
	if r.code != exitTrouble || r.out != "" || !strings.Contains(r.errs, "source hosts") || !strings.Contains(r.errs, "nowhere") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.errs)
	}
}
