package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	mcppb "istio.io/api/mcp/v1alpha1"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/object"
	"meshbridge/cmd/internal/term"
)

// Lines prints one line for each event.
type Lines struct {
	Out, Err io.Writer
	Now      func() time.Time // nil: lines without a time
}

// Event prints the line.
func (l Lines) Event(e Event) error {
	line := fmt.Sprintf("%-7s  %-18s  %s", e.Op, kindOf(e.TypeURL), e.Name)
	if d := details(e); d != "" {
		line += "  " + d
	}
	if l.Now != nil {
		line = l.Now().Format("15:04:05.000") + "  " + line
	}
	_, err := fmt.Fprintln(l.Out, term.Clean(line))
	return err
}

// Note prints to the error output.
func (l Lines) Note(text string) { fmt.Fprintln(l.Err, "watch:", term.Clean(text)) }

// details says in a few words what matters about a change.
func details(e Event) string {
	var words []string
	if is, ok := endpoints(e.New); ok {
		word := fmt.Sprintf("endpoints=%d", len(is))
		if was, ok := endpoints(e.Old); ok {
			come, gone := without(is, was), without(was, is)
			word += fmt.Sprintf("(+%d,-%d)", come, gone)
		}
		words = append(words, word)
	}
	if rev := e.New.GetMetadata().GetLabels()["istio.io/rev"]; rev != "" {
		words = append(words, "rev="+rev)
	}
	if e.Op != Removed && e.Version != "" {
		words = append(words, "version="+e.Version)
	}
	return strings.Join(words, " ")
}

// endpoints lists a ServiceEntry's endpoints, encoded, and reports false for anything else.
func endpoints(msg *mcppb.Resource) ([]string, bool) {
	body := msg.GetBody()
	se := new(networkingpb.ServiceEntry)
	if body == nil || !strings.HasSuffix(body.GetTypeUrl(), ".ServiceEntry") || proto.Unmarshal(body.GetValue(), se) != nil {
		return nil, false
	}
	list := make([]string, 0, len(se.GetEndpoints()))
	for _, e := range se.GetEndpoints() {
		key, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil {
			return nil, false
		}
		list = append(list, string(key))
	}
	return list, true
}

// without counts the members of a that b lacks.
func without(a, b []string) int {
	have := map[string]bool{}
	for _, v := range b {
		have[v] = true
	}
	n := 0
	for _, v := range a {
		if !have[v] {
			n++
		}
	}
	return n
}

// JSON prints one object of JSON for each event.
type JSON struct {
	Out, Err io.Writer
	Now      func() time.Time // nil: objects without a time
}

// line is an event as JSON prints it.
type line struct {
	Time    string          `json:"time,omitempty"`
	Op      string          `json:"op"`
	TypeURL string          `json:"typeUrl"`
	Name    string          `json:"name"`
	Version string          `json:"version,omitempty"`
	Object  json.RawMessage `json:"object,omitempty"` // absent when removed, or of a type unknown here
	Error   string          `json:"error,omitempty"`  // why Object is absent
}

// Event prints the object.
func (j JSON) Event(e Event) error {
	l := line{Op: e.Op, TypeURL: e.TypeURL, Name: e.Name, Version: e.Version}
	if j.Now != nil {
		l.Time = j.Now().UTC().Format(time.RFC3339Nano)
	}
	if e.New != nil {
		obj, err := object.JSON(apiVersionOf(e.TypeURL), kindOf(e.TypeURL), e.New)
		if err != nil {
			l.Error = err.Error()
		}
		l.Object = obj
	}
	return json.NewEncoder(j.Out).Encode(l)
}

// Note prints to the error output.
func (j JSON) Note(text string) { Lines{Err: j.Err}.Note(text) }
