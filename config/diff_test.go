package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const before = `
log: {level: info}
sources:
- {name: a, file: {path: a}}
- {name: b, file: {path: b}}
- {name: c, zookeeper: {servers: [zk], auth: {credentials: "u:p"}}}
`

func TestCompareTellsWhatAChangeTouches(t *testing.T) {
	const a, b = "- {name: a, file: {path: a}}\n", "- {name: b, file: {path: b}}\n"
	const c = "- {name: c, zookeeper: {servers: [zk], auth: {credentials: 'u:p'}}}\n"
	tests := map[string]struct {
		after string
		want  Diff
	}{
		"nothing":            {"# other bytes\nsources:\n" + a + b + c, Diff{}},
		"a new source":       {"sources:\n- {name: n, file: {path: n}}\n" + a + b + c, Diff{Started: []string{"n"}}},
		"a source gone":      {"sources:\n" + a + c, Diff{Stopped: []string{"b"}}},
		"a source renamed":   {"sources:\n" + a + "- {name: z, file: {path: b}}\n" + c, Diff{Started: []string{"z"}, Stopped: []string{"b"}}},
		"another registry":   {"sources:\n- {name: a, file: {path: z}}\n" + b + c, Diff{Restarted: []string{"a"}}},
		"another kind":       {"sources:\n- {name: a, zookeeper: {servers: [zk]}}\n" + b + c, Diff{Restarted: []string{"a"}}},
		"another secret":     {"sources:\n" + a + b + "- {name: c, zookeeper: {servers: [zk], auth: {credentials: 'u:q'}}}\n", Diff{Restarted: []string{"c"}}},
		"other labels":       {"sources:\n" + a + "- {name: b, file: {path: b}, labels: {set: {x: y}}}\n" + c, Diff{Adjusted: []string{"b"}}},
		"required":           {"sources:\n" + a + "- {name: b, file: {path: b}, required: false}\n" + c, Diff{Adjusted: []string{"b"}}},
		"another order":      {"sources:\n" + b + a + c, Diff{Conversion: true}},
		"mesh":               {"mesh: {tls: istio}\nsources:\n" + a + b + c, Diff{Conversion: true}},
		"subsets":            {"subsets: {trafficPolicy: {tls: {mode: SIMPLE}}}\nsources:\n" + a + b + c, Diff{Conversion: true}},
		"retainEmpty":        {"retainEmpty: 1m\nsources:\n" + a + b + c, Diff{Conversion: true}},
		"protect":            {"protect: {maxLoss: 50%}\nsources:\n" + a + b + c, Diff{Live: []string{"protect.maxLoss"}}},
		"a source's protect": {"sources:\n" + a + "- {name: b, file: {path: b}, protect: {maxLoss: 50%}}\n" + c, Diff{Adjusted: []string{"b"}}},
		"canary files":       {"canary: {files: [x], teams: [{name: t, files: [x], services: ['*']}]}\nsources:\n" + a + b + c, Diff{Live: []string{"canary.files", "canary.teams"}}},
		"canary service":     {"canary: {onInvalid: respond, precedence: override, respond: {status: 503, body: x}}\nsources:\n" + a + b + c, Diff{Conversion: true}},
		"canary settle":      {"canary: {settle: 1s}\nsources:\n" + a + b + c, Diff{Live: []string{"canary.settle"}}},
		"subset retention":   {"subsets: {retain: 1h}\nsources:\n" + a + b + c, Diff{Conversion: true}},
		"log level":          {"log: {level: warn}\nsources:\n" + a + b + c, Diff{Live: []string{"log.level"}}},
		"listeners and more": {"mcp: {address: ':1', tls: {cert: x, key: y}}\nadmin: {address: '127.0.0.1:1'}\nstate: {dir: d}\nlog: {format: json}\nsources:\n" + a + b + c, Diff{Restart: []string{"mcp.address", "mcp.tls.cert", "mcp.tls.key", "admin.address", "state.dir", "log.format"}}},
		"all at once": {"log: {level: warn}\nmesh: {tls: istio}\nsources:\n- {name: y, file: {path: n}}\n- {name: x, file: {path: n}}\n- {name: b, file: {path: z}}\n",
			Diff{Started: []string{"x", "y"}, Stopped: []string{"a", "c"}, Restarted: []string{"b"}, Conversion: true, Live: []string{"log.level"}}},
	}
	old, _, err := LoadBytes("before", []byte(before), ".", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			after, _, err := LoadBytes("after", []byte(test.after), ".", noEnv)
			if err != nil {
				t.Fatal(err)
			}
			got := Compare(old, after)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Empty() != (name == "nothing") {
				t.Errorf("Empty is %v", got.Empty())
			}
		})
	}
}
