package canary

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// StampPrefix begins the keys of the labels that the bridge itself puts on endpoints. Registries may not set such labels.
const StampPrefix = "meshbridge."

// Stamp is a label for endpoints that no selector of labels can choose. Its key is made of its meaning: two stamps of one key
// mean the same for ever, so that an endpoint can carry those of a former plan beside those of the next.
type Stamp struct {
	Any []Term `json:"any"` // an endpoint that fits one of them carries the stamp
}

// Term chooses endpoints by their own labels.
type Term struct {
	Has map[string]string   `json:"has,omitempty"` // labels that the endpoint has, all of them
	Not []map[string]string `json:"not,omitempty"` // of none of these has the endpoint all labels
}

// Fits reports whether an endpoint with these labels carries the stamp.
func (s *Stamp) Fits(labels map[string]string) bool {
	return slices.ContainsFunc(s.Any, func(t Term) bool { return t.fits(labels) })
}

func (t Term) fits(labels map[string]string) bool {
	if len(t.Has) > 0 && !selects(t.Has, labels) {
		return false
	}
	return !slices.ContainsFunc(t.Not, func(not map[string]string) bool { return selects(not, labels) })
}

// Key is that of the label, and Value its only value.
func (s *Stamp) Key() string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a stamp of texts did not marshal: %v", err))
	}
	sum := sha256.Sum256(raw)
	return StampPrefix + "subset." + hex.EncodeToString(sum[:4])
}

// StampValue is the value of a stamp's label.
const StampValue = "true"

// Keys are the keys of the endpoint labels that the stamp depends on.
func (s *Stamp) Keys() []string {
	var keys []string
	for _, t := range s.Any {
		keys = slices.AppendSeq(keys, maps.Keys(t.Has))
		for _, not := range t.Not {
			keys = slices.AppendSeq(keys, maps.Keys(not))
		}
	}
	return keys
}

// unclaimed is the term of the endpoints that none of the selectors chooses.
func unclaimed(selectors []map[string]string) Term {
	slices.SortFunc(selectors, func(a, b map[string]string) int { return strings.Compare(SubsetID(a, nil), SubsetID(b, nil)) })
	return Term{Not: slices.CompactFunc(selectors, maps.Equal[map[string]string, map[string]string])}
}
