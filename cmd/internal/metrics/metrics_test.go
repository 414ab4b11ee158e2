package metrics_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/metrics"
	"meshbridge/convert"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// registered is what every part of a bridge registers.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewRegistry()
	b := admintest.New()
	lost := sources.SourceStatus{Name: "lost", Kind: "zookeeper", Restarts: 3, Scopes: []sources.ScopeStatus{{Name: "/dubbo", State: sources.Unread}}}
	b.SetSources(admintest.Healthy("orders"), lost)
	b.SetCanaries(admintest.Canary("echo", "blue", "echo.mesh", 50))
	if err := errors.Join(metrics.Register(r, b, b.Store), metrics.RegisterCanaries(r, b)); err != nil {
		t.Fatal(err)
	}
	if _, err := mcpserver.New(mcpserver.Default(), b.Store, mcpserver.Options{Registerer: r}); err != nil {
		t.Fatal(err)
	}
	rules, err := convert.Compile(convert.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	convert.New(rules, sources.NewMirror(time.Now, nil), b.Store, convert.Options{Registerer: r})
	return r
}

// described maps the name of each metric of ours to its variable and constant labels.
func described(t *testing.T, r *prometheus.Registry) map[string]string {
	t.Helper()
	ch := make(chan *prometheus.Desc)
	go func() {
		r.Describe(ch)
		close(ch)
	}()
	// A Desc tells its name and labels in its text alone.
	text := regexp.MustCompile(`fqName: "(meshbridge_[a-z_]+)", help: ".*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	names := map[string]string{}
	for d := range ch {
		m := text.FindStringSubmatch(d.String())
		if m == nil {
			if strings.Contains(d.String(), `"meshbridge_`) {
				t.Errorf("cannot read %s", d)
			}
			continue
		}
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' })
		for pair := range strings.SplitSeq(m[2], ",") {
			if name, _, ok := strings.Cut(pair, "="); ok {
				labels = append(labels, name)
			}
		}
		slices.Sort(labels)
		names[m[1]] = strings.Join(labels, ",")
	}
	return names
}

// documented maps the name of each metric in docs/metrics.md to its labels.
func documented(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `meshbridge_") {
			continue
		}
		labels := strings.FieldsFunc(cells[3], func(r rune) bool { return strings.ContainsRune("`, ", r) })
		slices.Sort(labels)
		names[strings.Trim(cells[1], "` ")] = strings.Join(labels, ",")
	}
	return names
}

func TestEveryMetricIsDocumentedWithItsLabelsAndNoOther(t *testing.T) {
	if diff := cmp.Diff(described(t, registered(t)), documented(t)); diff != "" {
		t.Errorf("registered (-) and documented (+):\n%s", diff)
	}
}

func TestMetricsAreNamedAsPrometheusWants(t *testing.T) {
	problems, err := testutil.GatherAndLint(registered(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAScopesStateIsTold(t *testing.T) {
	r := registered(t)
	const want = `
# HELP meshbridge_ready Whether the gate is open (1) or istiods still wait for the first state (0).
# TYPE meshbridge_ready gauge
meshbridge_ready 0
# HELP meshbridge_source_info Always 1; the labels tell a source's kind of registry and whether the gate waits for it.
# TYPE meshbridge_source_info gauge
meshbridge_source_info{kind="file",required="true",source="orders"} 1
meshbridge_source_info{kind="zookeeper",required="false",source="lost"} 1
# HELP meshbridge_source_restarts_total How often a source had to be started again.
# TYPE meshbridge_source_restarts_total counter
meshbridge_source_restarts_total{source="lost"} 3
meshbridge_source_restarts_total{source="orders"} 0
# HELP meshbridge_source_scope_last_report_timestamp_seconds When the registry last vouched for what stands of a scope, in seconds since 1970; absent: never.
# TYPE meshbridge_source_scope_last_report_timestamp_seconds gauge
meshbridge_source_scope_last_report_timestamp_seconds{scope="services",source="orders"} 1.79526237e+09
# HELP meshbridge_source_scope_usable_instances Instances that are healthy, enabled and have a weight in a scope's last report.
# TYPE meshbridge_source_scope_usable_instances gauge
meshbridge_source_scope_usable_instances{scope="/dubbo",source="lost"} 0
meshbridge_source_scope_usable_instances{scope="services",source="orders"} 3
# HELP meshbridge_source_scope_state 1 for the state that a scope is in, 0 for the others: unread (never read by this process), stale (neither; what an earlier process read stands), synced, or unknown (cannot be read now; its last report stands).
# TYPE meshbridge_source_scope_state gauge
meshbridge_source_scope_state{scope="/dubbo",source="lost",state="stale"} 0
meshbridge_source_scope_state{scope="/dubbo",source="lost",state="synced"} 0
meshbridge_source_scope_state{scope="/dubbo",source="lost",state="unknown"} 0
meshbridge_source_scope_state{scope="/dubbo",source="lost",state="unread"} 1
meshbridge_source_scope_state{scope="services",source="orders",state="stale"} 0
meshbridge_source_scope_state{scope="services",source="orders",state="synced"} 1
meshbridge_source_scope_state{scope="services",source="orders",state="unknown"} 0
meshbridge_source_scope_state{scope="services",source="orders",state="unread"} 0
`
	err := testutil.GatherAndCompare(r, strings.NewReader(want), "meshbridge_ready", "meshbridge_source_info", "meshbridge_source_restarts_total",
		"meshbridge_source_scope_last_report_timestamp_seconds", "meshbridge_source_scope_usable_instances", "meshbridge_source_scope_state")
	if err != nil {
		t.Error(err)
	}
}

func TestTheGateOpensInTheMetric(t *testing.T) {
	r := prometheus.NewRegistry()
	b := admintest.New()
	if err := metrics.Register(r, b, b.Store); err != nil {
		t.Fatal(err)
	}
	b.Store.Apply(store.Change{Open: true})
	if err := testutil.GatherAndCompare(r, strings.NewReader("# HELP meshbridge_ready Whether the gate is open (1) or istiods still wait for the first state (0).\n# TYPE meshbridge_ready gauge\nmeshbridge_ready 1\n"), "meshbridge_ready"); err != nil {
		t.Error(err)
	}
}
