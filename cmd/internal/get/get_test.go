package get_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/get"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a bridge with something of everything.
func world(t *testing.T) *admintest.Bridge {
	t.Helper()
	b := admintest.New()
	lost := sources.SourceStatus{Name: "dubbo", Kind: "zookeeper", Restarts: 4, Err: "connection refused", Scopes: []sources.ScopeStatus{
		{Name: "/dubbo", State: sources.Unknown, Err: "session expired", Since: admintest.Now().Add(-5 * time.Minute), LastReport: admintest.Now().Add(-time.Hour), Services: 12, Instances: 40, Usable: 39, Events: 90},
		{Name: "/services", State: sources.Unread},
	}}
	b.SetSources(lost, admintest.Healthy("orders"), sources.SourceStatus{Name: "silent", Kind: "file", Required: true})
	b.Store.Apply(store.Change{Put: []*store.Resource{
		admintest.ServiceEntry(t, "orders.mesh", "10.0.0.1", "10.0.0.2"), admintest.DestinationRule(t, "orders.mesh", "v1"),
		admintest.ServiceEntry(t, "billing.mesh"),
	}, Open: true})
	b.SetUnserved("lost.mesh")
	refused := admintest.Client("istiod-1", "mesh-1-of-2.local:16010", "1-of-2", 1)
	refused.Kinds[0].Nack = "no"
	b.SetClients(admintest.Client("istiod-0", "mesh-0-of-2.local:16010", "0-of-2", 2), refused)
	b.SetRejected(convert.Rejection{Source: "orders", Service: "Orders", Host: "orders.mesh", Instance: "10.0.0.9:80", Class: "label", Reason: "label \x1b[31mred: not a name"})
	echo := admintest.Canary("echo", "blue", "orders.mesh", 50)
	lane := admintest.Canary("lane", "", "billing.mesh", 0)
	lane.Services = append(lane.Services, admintest.Canary("lane", "", "lost.mesh", 0).Services...)
	lane.Services[0].Routes, lane.Services[0].Subsets[1].Endpoints = lane.Services[0].Routes[1:], 0
	lane.State = convert.CanaryLastGood
	lane.Faults = []canary.Fault{{Path: "canaries[0].version", Text: "v9 is unknown; billing.mesh has v1, v2"}}
	plain := admintest.Canary("plain", "", "plain.mesh", 0)
	plain.Services[0].Routes = plain.Services[0].Routes[1:]
	typo := admintest.Canary("typo", "", "typo.mesh", 0)
	typo.Findings = []convert.CanaryFinding{{Class: convert.FindingUnknown, Host: "tpyo.mesh"}}
	typos := convert.CanaryView{Name: "typos", File: "typos.yaml", State: convert.CanaryPending, Findings: []convert.CanaryFinding{{Class: convert.FindingUnknown, Host: "a"}, {Class: convert.FindingUnknown, Host: "b"}}}
	superseded := convert.CanaryView{Name: "lost", Team: "red", File: "lost.yaml", State: convert.CanarySuperseded}
	b.SetCanaries(convert.CanaryView{File: "/etc/meshbridge/canaries/broken.yaml", State: convert.CanaryHeld, Faults: []canary.Fault{{Text: "no YAML"}}}, echo, lane, plain, typo, typos, superseded)
	return b
}

// run gets something of bridges and returns what it prints.
func run(t *testing.T, o get.Options, servers ...string) (out, errs string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	o.Out, o.Err, o.Now, o.Interval = &stdout, &stderr, admintest.Now, time.Millisecond
	for _, s := range servers {
		c, err := client.New(s, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		o.Clients = append(o.Clients, c)
	}
	err = get.Run(t.Context(), o)
	return stdout.String(), stderr.String(), err
}

// The golden file holds a file for each thing and form of output.
func TestOutput(t *testing.T) {
	server := world(t).Start(t, nil)
	const path = "testdata/output.txtar"
	golden, err := txtar.ParseFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	got := &txtar.Archive{Comment: []byte("What meshbridge get prints, by thing, form of output and name.\n\n")}
	for _, thing := range get.Things() {
		for _, format := range get.Formats() {
			out, errs, err := run(t, get.Options{Thing: thing, Format: format}, server)
			if err != nil || errs != "" {
				t.Errorf("%s %s: %v %s", thing, format, err, errs)
			}
			got.Files = append(got.Files, txtar.File{Name: thing + " -o " + format, Data: []byte(out)})
		}
	}
	for _, c := range []struct{ thing, name string }{{"services", "orders.mesh"}, {"canaries", "lane"}} {
		thing, name := c.thing, c.name
		out, _, err := run(t, get.Options{Thing: thing, Format: "yaml", Name: name}, server)
		if err != nil {
			t.Error(err)
		}
		got.Files = append(got.Files, txtar.File{Name: thing + " " + name + " -o yaml", Data: []byte(out)})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(txtar.Format(golden)), string(txtar.Format(got))); diff != "" {
		t.Errorf("want (-), got (+); -update writes it:\n%s", diff)
	}
}

func TestANameThatNothingHasIsNotFound(t *testing.T) {
	server := world(t).Start(t, nil)
	for _, thing := range get.Things() {
		out, _, err := run(t, get.Options{Thing: thing, Name: "nobody"}, server)
		if !errors.Is(err, get.ErrNotFound) || out != "" {
			t.Errorf("%s: %v, printed %q", thing, err, out)
		}
	}
}

func TestThingsAreFoundByEachOfTheirNames(t *testing.T) {
	server := world(t).Start(t, nil)
	for _, c := range []struct{ thing, name string }{
		{"sources", "dubbo"}, {"services", "orders.mesh"}, {"resources", "orders.mesh"}, {"resources", "registries/orders.mesh"},
		{"clients", "istiod-0"}, {"clients", "mesh-1-of-2.local:16010"}, {"rejected", "Orders"}, {"rejected", "orders.mesh"}, {"canaries", "lane"},
	} {
		if out, _, err := run(t, get.Options{Thing: c.thing, Name: c.name}, server); err != nil || strings.Count(out, "\n") < 2 {
			t.Errorf("%s %s: %v %q", c.thing, c.name, err, out)
		}
	}
}

func TestAnEmptyListIsSaidOnTheErrorOutput(t *testing.T) {
	server := admintest.New().Start(t, nil)
	for thing, want := range map[string]string{"clients": "no client is connected\n", "rejected": "nothing was left out\n", "services": "no services\n"} {
		if out, errs, err := run(t, get.Options{Thing: thing}, server); out != "" || errs != want || err != nil {
			t.Errorf("%s: %q, %q, %v", thing, out, errs, err)
		}
		if out, _, _ := run(t, get.Options{Thing: thing, Format: "json"}, server); out != "[]\n" {
			t.Errorf("%s as JSON: %q", thing, out)
		}
	}
}

func TestSeveralServersAreToldApart(t *testing.T) {
	a, b := world(t).Start(t, nil), world(t).Start(t, nil)
	out, _, err := run(t, get.Options{Thing: "sources"}, a, b)
	if err != nil || strings.Count(out, a) != 4 || strings.Count(out, b) != 4 || !strings.HasPrefix(out, "SERVER") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFiltersGoToTheBridge(t *testing.T) {
	server := world(t).Start(t, nil)
	out, _, err := run(t, get.Options{Thing: "resources", Query: url.Values{"kind": {"DestinationRule"}}}, server)
	if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, "DestinationRule") {
		t.Errorf("%v\n%s", err, out)
	}
}

// watching is a get -w that runs, and the lines that it prints.
type watching struct {
	t     *testing.T
	lines chan string
}

// Write takes whole lines.
func (w watching) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w.lines <- strings.Join(strings.Fields(line), " ")
	}
	return len(p), nil
}

func startWatch(t *testing.T, server string, o get.Options) watching {
	t.Helper()
	w := watching{t, make(chan string, 100)}
	c, err := client.New(server, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Out, o.Err, o.Now, o.Interval, o.Watch = w, io.Discard, admintest.Now, time.Millisecond, true
	o.Clients = []*client.Client{c}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- get.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
		c.Close()
	})
	return w
}

func (w watching) expect(lines ...string) {
	w.t.Helper()
	for _, want := range lines {
		if got := <-w.lines; got != want {
			w.t.Errorf("printed %q, want %q", got, want)
		}
	}
}

func TestAWatchPrintsAServiceThatComesChangesAndGoes(t *testing.T) {
	b := admintest.New()
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh")}})
	w := startWatch(t, b.Start(t, nil), get.Options{Thing: "services"})
	w.expect("EVENT NAMESPACE HOST ENDPOINTS PORTS SOURCES CHANGED", "added registries a.mesh 0 80/HTTP orders 60s")
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "b.mesh", "10.0.0.1")}})
	w.expect("added registries b.mesh 1 80/HTTP orders 60s")
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "b.mesh", "10.0.0.1", "10.0.0.2")}})
	w.expect("changed registries b.mesh 2 80/HTTP orders 60s")
	b.Store.Apply(store.Change{Remove: []store.Removal{{Key: store.Key{Kind: store.ServiceEntry, Name: "registries/a.mesh"}, Host: "a.mesh"}}})
	w.expect("removed registries a.mesh 0 80/HTTP orders 60s")
}

func TestAWatchOfOneNamePrintsNoOther(t *testing.T) {
	b := admintest.New()
	w := startWatch(t, b.Start(t, nil), get.Options{Thing: "resources", Name: "b.mesh"})
	w.expect("EVENT KIND NAMESPACE NAME SOURCES CHANGED")
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh"), admintest.ServiceEntry(t, "b.mesh")}})
	w.expect("added ServiceEntry registries b.mesh orders 60s")
}

func TestAWatchOfSourcesPrintsAChangeOfStateAndNotEachReport(t *testing.T) {
	b := admintest.New()
	src := admintest.Healthy("orders")
	b.SetSources(src)
	w := startWatch(t, b.Start(t, nil), get.Options{Thing: "sources"})
	w.expect("EVENT SOURCE KIND SCOPE STATE SERVICES USABLE HELD FAULTS LAST REPORT ERROR", "added orders file services synced 2 3/4 0 0 30s")
	reported := admintest.Healthy("orders")
	reported.Scopes[0].LastReport, reported.Scopes[0].Events = admintest.Now(), 99
	b.SetSources(reported)
	lost := admintest.Healthy("orders")
	lost.Scopes[0].State, lost.Scopes[0].Err = sources.Unknown, "gone"
	b.SetSources(lost)
	w.expect("changed orders file services unknown 2 3/4 0 0 30s gone")
}

func TestAWatchAsJSONIsAnObjectALine(t *testing.T) {
	b := admintest.New()
	b.SetSources(sources.SourceStatus{Name: "orders", Kind: "file"})
	w := startWatch(t, b.Start(t, nil), get.Options{Thing: "sources", Format: "json"})
	w.expect(`{"op":"added","item":{"name":"orders","kind":"file","required":false,"restarts":0,"scopes":[]}}`)
}
