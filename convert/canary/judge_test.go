package canary

import (
	"fmt"
	"strings"
	"testing"
)

func TestAFaultSpeaksOfAFewHostsHoweverManyAGlobNames(t *testing.T) {
	d := written(t, `{name: lane, services: ["*"], primary: v1, canaries: [{version: v9, weight: 1}]}`)
	rules, verdicts := Rules{Label: "version"}, map[string]Verdict{}
	for i := range 100 {
		name := fmt.Sprintf("s%03d.mesh", i)
		verdicts[name] = rules.Judge(d, Host{Name: name, Endpoints: []Endpoint{{Labels: map[string]string{"version": "v2"}}}})
	}
	faults := Faults(d, verdicts)
	if len(faults) != maxTold+1 {
		t.Errorf("%d faults", len(faults))
	}
	if last := faults[len(faults)-1].Text; !strings.HasSuffix(last, "s009.mesh has version v2; and 90 more services") {
		t.Errorf("%q", last)
	}
}
