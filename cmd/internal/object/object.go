// Package object shows configuration as Kubernetes would: apiVersion, kind, metadata, spec. Its invariant: equal resources
// give equal bytes.
package object

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	mcppb "istio.io/api/mcp/v1alpha1"
	"sigs.k8s.io/yaml"

	// The messages that MCP servers wrap, so that the registry of protobuf knows them.
	_ "istio.io/api/extensions/v1alpha1"
	_ "istio.io/api/mesh/v1alpha1"
	_ "istio.io/api/networking/v1alpha3"
	_ "istio.io/api/networking/v1beta1"
	_ "istio.io/api/security/v1beta1"
	_ "istio.io/api/telemetry/v1alpha1"

	"meshbridge/mcpserver/store"
)

// object is the form in which kubectl reads and writes. It has neither resourceVersion nor creationTimestamp: with the first
// it could not be applied.
type object struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   metadata        `json:"metadata"`
	Spec       json.RawMessage `json:"spec"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// JSON shows a resource in one line of JSON with sorted keys. apiVersion is group/version, such as networking.istio.io/v1.
func JSON(apiVersion, kind string, msg *mcppb.Resource) (json.RawMessage, error) {
	namespace, name, ok := strings.Cut(msg.GetMetadata().GetName(), "/")
	if !ok {
		namespace, name = "", msg.GetMetadata().GetName()
	}
	spec, err := Spec(msg.GetBody())
	if err != nil {
		return nil, fmt.Errorf("show %s %s: %w", kind, msg.GetMetadata().GetName(), err)
	}
	return json.Marshal(object{
		APIVersion: apiVersion,
		Kind:       kind,
		Metadata: metadata{
			Name: name, Namespace: namespace,
			Labels: msg.GetMetadata().GetLabels(), Annotations: msg.GetMetadata().GetAnnotations(),
		},
		Spec: spec,
	})
}

// Spec shows a wrapped message as JSON with sorted keys. A message of an unknown type is an error.
func Spec(body *anypb.Any) (json.RawMessage, error) {
	if body == nil {
		return nil, fmt.Errorf("no body")
	}
	spec, err := body.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	raw, err := protojson.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return canonical(raw)
}

// canonical sorts the keys and drops the spaces, which protojson varies from build to build.
func canonical(raw []byte) (json.RawMessage, error) {
	var value any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// Stored shows a resource of the store.
func Stored(r *store.Resource) (json.RawMessage, error) {
	msg, err := r.Message()
	if err != nil {
		return nil, err
	}
	return JSON(r.Kind.Group+"/v1", r.Kind.Kind, msg)
}

// YAML writes objects as a stream of YAML documents.
func YAML(objects []json.RawMessage) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		doc, err := yaml.JSONToYAML(o)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(doc)
	}
	return out.Bytes(), nil
}
