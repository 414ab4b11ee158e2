package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/metrics"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

func TestEveryDocumentIsTold(t *testing.T) {
	b := admintest.New()
	last := admintest.Canary("echo", "blue", "echo.mesh", 50)
	last.State, last.Faults = convert.CanaryLastGood, []canary.Fault{{Text: "a"}, {Text: "b"}}
	again := convert.CanaryView{Name: "echo", Team: "blue", File: "again.yaml", State: convert.CanaryHeld, Faults: []canary.Fault{{Text: "the name is taken"}}}
	fine := admintest.Canary("foxtrot", "", "foxtrot.mesh", 50)
	fine.Findings = []convert.CanaryFinding{{Class: convert.FindingEmpty}, {Class: convert.FindingEmpty}, {Class: convert.FindingUnknown}}
	lost := convert.CanaryView{Name: "lost", File: "lost.yaml", State: convert.CanarySuperseded, Findings: []convert.CanaryFinding{{Class: convert.FindingSuperseded}}}
	unread := convert.CanaryView{File: "/etc/canaries/broken.yaml", State: convert.CanaryHeld, Faults: []canary.Fault{{Text: "no YAML"}}}
	b.SetCanaries(unread, last, again, fine, lost)
	r := prometheus.NewRegistry()
	if err := metrics.RegisterCanaries(r, b); err != nil {
		t.Fatal(err)
	}
	const want = `
# HELP meshbridge_canary_document_faults Faults of a document, for which it is not served as its file says.
# TYPE meshbridge_canary_document_faults gauge
meshbridge_canary_document_faults{document="broken.yaml",team=""} 1
meshbridge_canary_document_faults{document="echo",team="blue"} 3
meshbridge_canary_document_faults{document="foxtrot",team=""} 0
meshbridge_canary_document_faults{document="lost",team=""} 0
# HELP meshbridge_canary_document_last_good 1 while the last good content of a document is served and not what its file says, 0 otherwise.
# TYPE meshbridge_canary_document_last_good gauge
meshbridge_canary_document_last_good{document="broken.yaml",team=""} 0
meshbridge_canary_document_last_good{document="echo",team="blue"} 1
meshbridge_canary_document_last_good{document="foxtrot",team=""} 0
meshbridge_canary_document_last_good{document="lost",team=""} 0
# HELP meshbridge_canary_document_served_since_timestamp_seconds When the content that is served of a document was first served, in seconds since 1970; absent: none is.
# TYPE meshbridge_canary_document_served_since_timestamp_seconds gauge
meshbridge_canary_document_served_since_timestamp_seconds{document="echo",team="blue"} 1.7952588e+09
meshbridge_canary_document_served_since_timestamp_seconds{document="foxtrot",team=""} 1.7952588e+09
# HELP meshbridge_canary_document_state 1 for the state that a document is in.
# TYPE meshbridge_canary_document_state gauge
meshbridge_canary_document_state{document="broken.yaml",state="held",team=""} 1
meshbridge_canary_document_state{document="echo",state="lastGood",team="blue"} 1
meshbridge_canary_document_state{document="foxtrot",state="serving",team=""} 1
meshbridge_canary_document_state{document="lost",state="superseded",team=""} 1
# HELP meshbridge_canary_document_unknown_services Services that a document names and that no registry has: mistyped, or vanished.
# TYPE meshbridge_canary_document_unknown_services gauge
meshbridge_canary_document_unknown_services{document="broken.yaml",team=""} 0
meshbridge_canary_document_unknown_services{document="echo",team="blue"} 0
meshbridge_canary_document_unknown_services{document="foxtrot",team=""} 1
meshbridge_canary_document_unknown_services{document="lost",team=""} 0
# HELP meshbridge_canary_documents Canary documents in each state.
# TYPE meshbridge_canary_documents gauge
meshbridge_canary_documents{state="held"} 2
meshbridge_canary_documents{state="lastGood"} 1
meshbridge_canary_documents{state="pending"} 0
meshbridge_canary_documents{state="responding"} 0
meshbridge_canary_documents{state="serving"} 1
meshbridge_canary_documents{state="superseded"} 1
# HELP meshbridge_canary_findings Things to know of the documents, such as a canary without instances.
# TYPE meshbridge_canary_findings gauge
meshbridge_canary_findings{class="empty"} 2
meshbridge_canary_findings{class="hidden"} 0
meshbridge_canary_findings{class="idle"} 0
meshbridge_canary_findings{class="overlap"} 0
meshbridge_canary_findings{class="protocol"} 0
meshbridge_canary_findings{class="retire"} 0
meshbridge_canary_findings{class="superseded"} 1
meshbridge_canary_findings{class="unknown"} 1
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
