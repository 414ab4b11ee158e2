package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"meshbridge/convert/canary"
)

// labelRules says which metadata of an instance becomes labels of its endpoints.
type labelRules struct {
	named    map[string]bool   // taken by name, volatile or not
	keys     []string          // these names, sorted
	globs    globs             // taken unless volatile
	exclude  globs             // left out all the same
	volatile globs             // changed by the registry with every registration
	rename   map[string]string // metadata key to label key
	renamed  []string          // its keys, sorted
	set      map[string]string // fixed labels
}

// tagLabel marks canaries by convention; it is taken by default.
const tagLabel = "istio.service.tag"

func newLabelRules(l Labels, subsetKeys []string, volatile globs) labelRules {
	r := labelRules{
		named:    map[string]bool{"app": true, "version": true, tagLabel: true},
		exclude:  newGlobs(l.Exclude),
		volatile: volatile,
		rename:   l.Rename,
		renamed:  slices.Sorted(maps.Keys(l.Rename)),
		set:      l.Set,
	}
	for _, key := range subsetKeys {
		r.named[key] = true
	}
	for _, pattern := range l.Include {
		if g := newGlob(pattern); g.literal() {
			r.named[pattern] = true
		} else {
			r.globs = append(r.globs, g)
		}
	}
	r.keys = slices.Sorted(maps.Keys(r.named))
	return r
}

// take chooses, renames and sanitises labels; more are keys that it takes as if the configuration named them. What is dropped is
// told to reject.
func (r *labelRules) take(metadata map[string]string, more []string, reject func(class, reason string)) map[string]string {
	taken := make(map[string]string, len(r.set)+len(r.keys))
	keys := r.keys
	switch {
	case len(r.globs) > 0:
		keys = slices.Sorted(maps.Keys(metadata))
	case len(more) > 0:
		keys = slices.Concat(keys, more)
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	for _, key := range keys {
		if _, renamed := r.rename[key]; renamed || metadata[key] == "" || !r.takes(key) && !(slices.Contains(more, key) && !r.exclude.match(strings.ToLower(key))) {
			continue
		}
		if reason := reservedFault(key); reason != "" {
			reject(ClassLabel, fmt.Sprintf("label %s: registries may not set %s", clip(key), reason))
			continue
		}
		if reason := labelKeyFault(key); reason != "" {
			reject(ClassLabel, fmt.Sprintf("label %q: %s; use labels.rename or labels.exclude", key, reason))
			continue
		}
		putLabel(taken, key, metadata[key], reject)
	}
	for _, key := range r.renamed {
		if value := metadata[key]; value != "" {
			putLabel(taken, r.rename[key], value, reject)
		}
	}
	maps.Copy(taken, r.set)
	if len(taken) == 0 {
		return nil
	}
	return taken
}

func (r *labelRules) takes(key string) bool {
	lower := strings.ToLower(key)
	if r.exclude.match(lower) {
		return false
	}
	return r.named[key] || r.globs.match(lower) && !r.volatile.match(lower)
}

func putLabel(taken map[string]string, key, value string, reject func(class, reason string)) {
	legal := toLabelValue(value)
	if reason := labelValueFault(legal); reason != "" {
		reject(ClassLabel, fmt.Sprintf("label %s: value %q: %s", key, clip(value), reason))
		return
	}
	taken[key] = legal
}

// reservedFault says whose a label key is if no metadata may become it, and what to do; "" if it is anybody's. The stamps of
// the bridge say what routes rely on; by those of Istio and Kubernetes, istiod decides about identity, locality and mTLS.
func reservedFault(key string) string {
	if canary.IsStamp(key) {
		return "labels of meshbridge; use labels.rename"
	}
	lower := strings.ToLower(key)
	if lower == localityLabel {
		return "labels of istio.io; use locality"
	}
	prefix, _, ok := strings.Cut(lower, "/")
	for _, domain := range []string{"istio.io", "kubernetes.io", "k8s.io"} {
		if ok && (prefix == domain || strings.HasSuffix(prefix, "."+domain)) {
			return "labels of " + domain + "; use labels.set"
		}
	}
	return ""
}

// localityLabel is the one label without a domain from which istiod reads more than a name.
const localityLabel = "istio-locality"

// toLabelValue makes a label value of any text: a dash for what is not allowed, without dashes, dots and underscores at its
// ends. It does not shorten.
func toLabelValue(s string) string {
	if isLabel(s) {
		return s
	}
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, s), "-_.")
}

// labelValueFault says why s is no value of a label, or "". The empty value says nothing, so it is none here.
func labelValueFault(s string) string {
	switch {
	case s == "":
		return "it has no letter or digit"
	case isLabel(s):
		return ""
	case len(s) > maxLabel:
		return fmt.Sprintf("it is %d bytes long, %d at most", len(s), maxLabel)
	}
	return plain(validation.IsValidLabelValue(s))
}

// labelKeyFault says why s is no key of a label, or "".
func labelKeyFault(s string) string {
	if isLabel(s) {
		return ""
	}
	return plain(validation.IsQualifiedName(s))
}

// plain leaves out the examples and regular expressions of Kubernetes' reasons.
func plain(reasons []string) string {
	for i, r := range reasons {
		reasons[i], _, _ = strings.Cut(r, " (e.g.")
	}
	return strings.Join(reasons, "; ")
}

// clip copies a text of a registry for a reason, and shortens it. The copy keeps the rest of the report from staying in memory.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
