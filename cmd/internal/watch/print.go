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
	_, err := fmt.Fprintln(l.Out, line)
	return err
}

// Note prints to the error output.
func (l Lines) Note(text string) { fmt.Fprintln(l.Err, "watch:", text) }

// details says in a few words what matters about a change.
func details(e Event) string {
	var words []string
	was, is := endpoints(e.Old), endpoints(e.New)
	switch {
	case e.Op == Changed && was != is:
		words = append(words, fmt.Sprintf("endpoints=%d->%d", was, is))
	case is >= 0 && e.New != nil:
		words = append(words, fmt.Sprintf("endpoints=%d", is))
	}
	if rev := e.New.GetMetadata().GetLabels()["istio.io/rev"]; rev != "" {
		words = append(words, "rev="+rev)
	}
	if e.Op != Removed && e.Version != "" {
		words = append(words, "version="+e.Version)
	}
	return strings.Join(words, " ")
}

// endpoints counts a ServiceEntry's endpoints; -1 for anything else.
func endpoints(msg *mcppb.Resource) int {
	se := new(networkingpb.ServiceEntry)
	body := msg.GetBody()
	if body == nil || !strings.HasSuffix(body.GetTypeUrl(), ".ServiceEntry") || proto.Unmarshal(body.GetValue(), se) != nil {
		return -1
	}
	return len(se.GetEndpoints())
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
