package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"meshbridge/mcpserver/store"
)

// Validator judges configuration as [IstiodNewest] does, by Istio's own validation. It is built of the same module, so Istio is
// compiled once for both.
var Validator = Tool{Name: "validator", Version: "20260827", Source: "tools/istiod", Cold: 5 * time.Second, build: validator}

func validator(ctx context.Context, source, dir string, log io.Writer) error {
	return goBuild(ctx, log, source, filepath.Join(dir, "validator"), "-tags", "vtprotobuf,disable_pgv", "-ldflags", "-s -w", "./validator")
}

// Refusal is why Istio would not take an object; "" if it would.
type Refusal string

// JudgeServed judges resources as they go on the wire, and returns a refusal for each.
func JudgeServed(t testing.TB, resources []*store.Resource) []Refusal {
	t.Helper()
	type received struct {
		TypeURL  string `json:"typeURL"`
		Resource []byte `json:"resource"`
	}
	lines := make([]received, len(resources))
	for i, r := range resources {
		message, err := r.Message()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = received{TypeURL: r.Kind.Group + "/v1/" + r.Kind.Kind, Resource: raw}
	}
	return judge(t, lines)
}

// JudgeJSON judges objects in the form of Kubernetes, and returns a refusal for each.
func JudgeJSON(t testing.TB, objects []json.RawMessage) []Refusal {
	t.Helper()
	return judge(t, objects)
}

func judge[T any](t testing.TB, objects []T) []Refusal {
	t.Helper()
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, o := range objects {
		if err := encoder.Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(toolDir(t, Validator), "validator"))
	var complaints bytes.Buffer
	cmd.Stdin, cmd.Stderr = &lines, &complaints
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("judge %d objects: %v\n%s", len(objects), err, complaints.String())
	}
	refusals := make([]Refusal, 0, len(objects))
	for verdict := range strings.Lines(string(output)) {
		verdict = strings.TrimSuffix(verdict, "\n")
		reason, refused := strings.CutPrefix(verdict, "refused: ")
		if !refused && verdict != "ok" {
			t.Fatalf("the validator says %q", verdict)
		}
		if !refused {
			reason = ""
		} else if reason == "" {
			reason = "no reason given"
		}
		refusals = append(refusals, Refusal(reason))
	}
	if len(refusals) != len(objects) {
		t.Fatalf("of %d objects the validator judged %d", len(objects), len(refusals))
	}
	return refusals
}
