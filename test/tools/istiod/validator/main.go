// Command validator judges configuration as istiod does when a config source sends it. It reads one object a line and prints one
// verdict a line: `ok`, or `refused: ` and Istio's reason.
//
// A line is a JSON object: {"typeURL", "resource"} with an encoded istio.mcp.v1alpha1.Resource in base64, or an object in the form
// of Kubernetes, {"apiVersion", "kind", "metadata", "spec"}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"
	mcppb "istio.io/api/mcp/v1alpha1"

	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// line is what is read, in either form.
type line struct {
	TypeURL  string `json:"typeURL"`
	Resource []byte `json:"resource"`

	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

func judge(in io.Reader, out io.Writer) error {
	decoder, writer := json.NewDecoder(in), bufio.NewWriter(out)
	for {
		var l line
		switch err := decoder.Decode(&l); {
		case errors.Is(err, io.EOF):
			return writer.Flush()
		case err != nil:
			return fmt.Errorf("read an object: %w", err)
		}
		verdict := "ok"
		if err := l.refused(); err != nil {
			verdict = "refused: " + strings.Join(strings.Fields(err.Error()), " ")
		}
		if _, err := fmt.Fprintln(writer, verdict); err != nil {
			return err
		}
	}
}

// refused is why istiod would not take the object, or nil.
func (l *line) refused() error {
	schema, err := l.schema()
	if err != nil {
		return err
	}
	read := l.object
	if l.TypeURL != "" {
		read = l.received
	}
	object, err := read(schema)
	if err != nil {
		return err
	}
	object.GroupVersionKind = schema.GroupVersionKind()
	_, err = schema.ValidateConfig(*object)
	return err
}

// schema is what istiod knows of the kind. Of MCP it takes the version that it asks for and no other.
func (l *line) schema() (resource.Schema, error) {
	name := l.TypeURL
	if name == "" {
		name = l.APIVersion + "/" + l.Kind
	}
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is no group/version/kind", name)
	}
	kind := config.GroupVersionKind{Group: parts[0], Version: parts[1], Kind: parts[2]}
	if schema, ok := collections.Pilot.FindByGroupVersionKind(kind); ok {
		return schema, nil
	}
	return nil, fmt.Errorf("unknown type %s", name)
}

// received is the object in an MCP resource, as ADSC.mcpToPilot in istio.io/istio/pkg/adsc makes it.
func (l *line) received(resource.Schema) (*config.Config, error) {
	var r mcppb.Resource
	if err := proto.Unmarshal(l.Resource, &r); err != nil {
		return nil, fmt.Errorf("unmarshal the resource: %w", err)
	}
	namespace, name, found := strings.Cut(r.GetMetadata().GetName(), "/")
	if !found || strings.Contains(name, "/") {
		return nil, fmt.Errorf("invalid name %s", r.GetMetadata().GetName())
	}
	spec, err := r.Body.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	return &config.Config{
		Meta: config.Meta{
			Name: name, Namespace: namespace, Labels: r.Metadata.Labels, Annotations: r.Metadata.Annotations,
			ResourceVersion: r.Metadata.Version, CreationTimestamp: r.Metadata.CreateTime.AsTime(),
		},
		Spec: spec,
	}, nil
}

// object is that in the form of Kubernetes. An unknown field is no fault to Istio and one here.
func (l *line) object(schema resource.Schema) (*config.Config, error) {
	spec, err := schema.NewInstance()
	if err != nil {
		return nil, err
	}
	if err := config.ApplyJSONStrict(spec, string(l.Spec)); err != nil {
		return nil, err
	}
	m := l.Metadata
	return &config.Config{Meta: config.Meta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, Annotations: m.Annotations}, Spec: spec}, nil
}
