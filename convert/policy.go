package convert

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	networkingpb "istio.io/api/networking/v1alpha3"
)

// policyPath leads what is wrong with the traffic policy.
const policyPath = "subsets.trafficPolicy"

// policy is the traffic policy as Istio reads it, or nil. Both what Istio cannot read and what it refuses are told.
func (s Subsets) policy(f *faults, mesh Mesh) *networkingpb.TrafficPolicy {
	if len(s.TrafficPolicy) == 0 {
		return nil
	}
	policy := new(networkingpb.TrafficPolicy)
	before := len(*f)
	if err := readAsIstio(s.TrafficPolicy, policy.ProtoReflect()); err != nil {
		f.unreadable(policyPath, s.TrafficPolicy, policy.ProtoReflect().New())
		if len(*f) == before {
			f.add(policyPath, "is no Istio TrafficPolicy: %s", err)
		}
		return nil
	}
	namespace := mesh.Namespace
	if strings.Contains(namespace, "{{") {
		namespace = ""
	}
	f.policy(policyPath, policy, namespace)
	return policy
}

// readAsIstio reads JSON with the parser that istio.io/api gives its own types, under which 5m is a duration. Only an unknown
// field, which that parser passes over, is a fault here.
func readAsIstio(value any, into protoreflect.Message) error {
	raw, err := marshalJSON(value)
	if err != nil {
		return err
	}
	parser := *networkingpb.DestinationRuleUnmarshaler
	parser.AllowUnknownFields = false
	message, ok := into.Interface().(interface {
		Reset()
		String() string
		ProtoMessage()
	})
	if !ok {
		return fmt.Errorf("%s is no message that Istio's parser reads", into.Descriptor().FullName())
	}
	return parser.Unmarshal(bytes.NewReader(raw), message)
}

// unreadable finds the fields that Istio's parser does not read, each by its own path.
func (f *faults) unreadable(path string, object map[string]any, message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at, value := path+"."+key, object[key]
		field := fields.ByJSONName(key)
		if field == nil {
			field = fields.ByName(protoreflect.Name(key))
		}
		if field == nil {
			f.add(at, "is no field that Istio knows here; write one of %s", strings.Join(fieldNames(fields), ", "))
			continue
		}
		err := readAsIstio(map[string]any{key: value}, message.New())
		if err == nil {
			continue
		}
		if below := f.unreadableBelow(at, value, field, message); !below {
			f.add(at, "%v is not what Istio reads here (%s): %s", value, err, expected(field))
		}
	}
}

// unreadableBelow looks into the messages that a field holds, and reports whether it found a fault there.
func (f *faults) unreadableBelow(path string, value any, field protoreflect.FieldDescriptor, message protoreflect.Message) bool {
	if field.Message() == nil || field.IsMap() || isWellKnown(field) {
		return false
	}
	before := len(*f)
	switch v := value.(type) {
	case map[string]any:
		if !field.IsList() {
			f.unreadable(path, v, message.NewField(field).Message())
		}
	case []any:
		for i, element := range v {
			if object, ok := element.(map[string]any); ok && field.IsList() {
				f.unreadable(fmt.Sprintf("%s[%d]", path, i), object, message.NewField(field).List().NewElement().Message())
			}
		}
	}
	return len(*f) > before
}

func isWellKnown(field protoreflect.FieldDescriptor) bool {
	return field.Message().ParentFile().Package() == "google.protobuf"
}

func fieldNames(fields protoreflect.FieldDescriptors) []string {
	names := make([]string, fields.Len())
	for i := range fields.Len() {
		names[i] = fields.Get(i).JSONName()
	}
	slices.Sort(names)
	return names
}

// expected says what a field takes.
func expected(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "write a mapping"
	case field.IsList():
		return "write a list"
	case field.Enum() != nil:
		values := field.Enum().Values()
		names := make([]string, values.Len())
		for i := range values.Len() {
			names[i] = string(values.Get(i).Name())
		}
		return "write one of " + strings.Join(names, ", ")
	case field.Message() == nil:
		return "write " + kindName(field.Kind())
	case field.Message().FullName() == "google.protobuf.Duration":
		return "write a duration such as 5m or 1.5s"
	case isWellKnown(field):
		return "write " + kindName(field.Message().Fields().ByNumber(1).Kind())
	}
	return "write a mapping of " + strings.Join(fieldNames(field.Message().Fields()), ", ")
}

func kindName(kind protoreflect.Kind) string {
	switch kind {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a text"
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return "a number"
	}
	return "a whole number, of " + kind.String()
}
