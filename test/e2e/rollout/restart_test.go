//go:build e2e

package rollout

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// restartsVariable names the environment variable that says how often each istiod is restarted. By hand, a hundred times:
//
//	MESHBRIDGE_TEST_RESTARTS=100 go test -tags e2e -count=1 -timeout 2h -v -run TestNoProxyIsLedAstray ./e2e/rollout
const restartsVariable = "MESHBRIDGE_TEST_RESTARTS"

// comeback is how long a witness takes at most to connect again. An Envoy may take 30 s; the bridge expects three times settle.
const comeback = 2 * settle

// TestNoProxyIsLedAstrayByAnIstiodThatRestartsInMidRollout restarts istiods while one version follows the other, and judges each
// response that the proxies get. An istiod that has begun anew sends clusters and endpoints before routes, and the endpoints
// of clusters that are new to a proxy after routes.
func TestNoProxyIsLedAstrayByAnIstiodThatRestartsInMidRollout(t *testing.T) {
	restarts := 4
	if text := os.Getenv(restartsVariable); text != "" {
		var err error
		if restarts, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", restartsVariable, err)
		}
	}
	for _, tool := range []harness.Tool{harness.IstiodNewest, harness.Istiod124} {
		t.Run(tool.Version, func(t *testing.T) {
			t.Parallel()
			r := startRestarts(t, tool)
			for n := range restarts {
				r.restart(n)
			}
		})
	}
}

// restarts is a rollout that goes on from version to version, and the proxies that witness it.
type restarts struct {
	*service
	t         *testing.T
	witnesses []*harness.Witness
	judged    []int // how many faults of each are known
}

func startRestarts(t *testing.T, tool harness.Tool) *restarts {
	w := &world{dir: harness.Scratch(t, "mesh")}
	for _, folder := range []string{"services", "canaries"} {
		if err := os.Mkdir(filepath.Join(w.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.bridge = w.startBridge(t, "a")
	config := harness.IstiodConfig{Tool: tool, Sources: []harness.ConfigSource{{Address: "xds://" + w.bridge.MCP}}}
	if tool.Version == harness.IstiodNewest.Version {
		config.Kube = harness.StartKube(t)
	}
	r := &restarts{service: w.service(t, "juliett", ""), t: t}
	r.add(1)
	r.document("primary: v1")
	w.istiod = harness.StartIstiod(t, config)
	for i := range 12 {
		config := harness.WitnessConfig{IP: fmt.Sprintf("10.9.1.%d", i+1), Hosts: []string{r.host()}, Retry: func(attempt int) time.Duration {
			return rand.N(min(500*time.Millisecond<<min(attempt, 10), comeback))
		}}
		if i%4 == 0 { // as soon as istiod listens
			config.Retry = func(int) time.Duration { return 20 * time.Millisecond }
		}
		r.witnesses = append(r.witnesses, harness.StartWitness(t, w.istiod, config))
	}
	r.routed(1)
	for _, witness := range r.witnesses { // what a proxy lacks while it comes into being does no harm
		r.judged = append(r.judged, len(witness.Faults()))
	}
	return r
}

// restart restarts istiod, in turn: a new version comes while istiod is away; the routes leave the former one while it is away; a new
// one comes just before; the routes leave the former one.
func (r *restarts) restart(n int) {
	r.t.Helper()
	former := n/2 + 1
	comes := func() {
		r.add(former + 1)
		r.document(fmt.Sprintf("primary: v%d\ncanaries: [{version: v%d, weight: 50}]", former, former+1))
	}
	switch n % 4 {
	case 0:
		r.w.istiod.Kill()
		comes()
		r.w.istiod.Start()
		r.routed(former, former+1)
	case 2:
		comes()
		r.w.state(r.t, r.name, "waiting")
		r.w.istiod.Kill()
		r.w.istiod.Start()
		r.routed(former, former+1)
	default:
		r.w.istiod.Kill()
		before := r.routes()
		r.document(fmt.Sprintf("primary: v%d", former+1))
		harness.Eventually(r.t, 10*time.Second, "the document is active", func() error {
			if r.routes() == before {
				return fmt.Errorf("the routes are those of before")
			}
			return nil
		})
		r.w.istiod.Start()
		r.routed(former + 1)
		r.withdraw(r.t, "v"+strconv.Itoa(former)) // what no route leads to any more; before, nothing could be done for it
	}
	for i, witness := range r.witnesses {
		faults := witness.Faults()
		if news := faults[r.judged[i]:]; len(news) > 0 {
			r.t.Errorf("restart %d: %s", n+1, strings.Join(news, "\n"))
		}
		r.judged[i] = len(faults)
	}
	r.w.settled(r.t, r.name)
}

// add registers two instances of a version. Nothing answers for them.
func (r *restarts) add(n int) {
	r.t.Helper()
	version := "v" + strconv.Itoa(n)
	labels := map[string]string{"version": version}
	r.register(r.t, &instance{Address: r.w.address(), Version: version, Labels: labels}, &instance{Address: r.w.address(), Version: version, Labels: labels})
}

func (r *restarts) document(rules string) {
	r.t.Helper()
	r.w.document(r.t, r.name+".yaml", fmt.Sprintf("name: %s\nservices: [%s]\n%s\n", r.name, r.host(), rules))
}

// routes are the bridge's, as versions.
func (r *restarts) routes() string {
	r.t.Helper()
	resources, err := r.w.bridge.Resources()
	if err != nil {
		r.t.Fatal(err)
	}
	var found []string
	for name, resource := range resources {
		if resource.Kind == "VirtualService" {
			found = append(found, name+" "+resource.Version)
		}
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

// routed waits until each witness is routed to these versions.
func (r *restarts) routed(versions ...int) {
	r.t.Helper()
	var want []string
	for _, n := range versions {
		want = append(want, r.cluster("v"+strconv.Itoa(n)))
	}
	slices.Sort(want)
	for i, witness := range r.witnesses {
		harness.Eventually(r.t, 90*time.Second, fmt.Sprintf("witness %d is routed to %v", i, versions), func() error {
			if got := witness.Routed(r.host()); !slices.Equal(got, want) {
				return fmt.Errorf("it is routed to %s %s", got, r.w.explain())
			}
			return nil
		})
	}
}
