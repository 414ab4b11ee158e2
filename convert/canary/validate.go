package canary

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Limits of one document.
const (
	maxServices = 1000
	maxEntries  = 50 // of every other list
)

// Validate joins what is wrong with a document whatever the world is like, each fault led by its path. label is that of
// versions where the document names none, "" if there is none.
func (d *Document) Validate(label string) error {
	var f faults
	f.name("name", d.Name, "checkout")
	if d.tooLong(&f) {
		return f.err()
	}
	f.services(d.Services)
	if d.Label != "" {
		f.labelKey("label", d.Label)
		label = d.Label
	}
	d.validatePrimary(&f)
	for i := range d.Canaries {
		d.Canaries[i].validate(&f, fmt.Sprintf("canaries[%d]", i))
	}
	if label == "" && d.versions() {
		f.add("label", "is missing, and subsets.labels names none: the label whose values are versions")
	}
	d.validateSubsets(&f, label)
	d.validateWeights(&f)
	d.validateOrder(&f)
	d.From.validate(&f)
	if !slices.Contains([]Fallback{FallbackPrimary, FallbackFailover, FallbackNone}, d.Fallback) {
		f.add("fallback", "%q is none of %s, %s and %s", d.Fallback, FallbackPrimary, FallbackFailover, FallbackNone)
	}
	d.validateExpose(&f)
	return f.err()
}

// tooLong finds more than anybody means, which would take long to judge for all.
func (d *Document) tooLong(f *faults) bool {
	before := len(*f)
	most := func(path string, n, most int) {
		if n > most {
			f.add(path, "has %d entries: %d at most, or several documents", n, most)
		}
	}
	most("services", len(d.Services), maxServices)
	most("canaries", len(d.Canaries), maxEntries)
	most("expose", len(d.Expose), maxEntries)
	for i, c := range d.Canaries[:min(len(d.Canaries), maxEntries)] {
		most(fmt.Sprintf("canaries[%d].headers", i), len(c.Headers), maxEntries)
	}
	for i, e := range d.Expose[:min(len(d.Expose), maxEntries)] {
		most(fmt.Sprintf("expose[%d].colour", i), len(e.Colour), maxEntries)
		most(fmt.Sprintf("expose[%d].hosts", i), len(e.Hosts), maxEntries)
	}
	return len(*f) > before
}

// versions reports whether a document names endpoints by version.
func (d *Document) versions() bool {
	return d.Primary != nil && d.Primary.Labels == nil || slices.ContainsFunc(d.Canaries, func(c Canary) bool { return c.Version != "" })
}

func (f *faults) services(services []string) {
	if len(services) == 0 {
		f.add("services", "names none: at least one host such as shop.mesh")
	}
	for i, s := range services {
		path := fmt.Sprintf("services[%d]", i)
		switch reason := hostFault(s); {
		case slices.Index(services, s) < i:
			f.add(path, "%q is there twice: keep one", s)
		case reason != "" && s != "*":
			f.add(path, "%q is no host: %s", s, reason)
		case !strings.ContainsAny(s, ".*"):
			f.add(path, "%q has no dot, and Istio would take it for another host: write it whole, such as %s.mesh", s, s)
		}
	}
}

// hostFault says why a text is no host, nor a glob of hosts, or "".
func hostFault(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case s != strings.ToLower(s):
		return "write it in lower case, " + strings.ToLower(s)
	case len(s) > validation.DNS1123SubdomainMaxLength:
		return fmt.Sprintf("it is %d bytes long, %d at most", len(s), validation.DNS1123SubdomainMaxLength)
	}
	if strings.HasSuffix(s, ".") {
		return "it ends in a dot: without it"
	}
	if last := s[strings.LastIndexByte(s, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return fmt.Sprintf("its last part, %q, has digits alone, as that of an IP address: a part with a letter", last)
	}
	for part := range strings.SplitSeq(strings.NewReplacer("*", "x", "?", "x").Replace(s), ".") {
		if part == "" {
			return "a part between dots is empty"
		}
		if !isLabel(part) {
			return fmt.Sprintf("%q is no DNS label: lower-case letters, digits and inner dashes, 63 at most", part)
		}
	}
	return ""
}

func (d *Document) validatePrimary(f *faults) {
	switch p := d.Primary; {
	case p == nil:
	case p.Labels != nil:
		f.labels("primary.labels", p.Labels)
	case p.Version == "":
		f.add("primary", "is empty: a version such as v1, {labels: {KEY: VALUE}}, or leave it out for all endpoints that no canary claims")
	default:
		f.labelValue("primary", "", p.Version)
	}
}

func (c *Canary) validate(f *faults, path string) {
	switch {
	case c.Version == "" && c.Labels == nil:
		f.add(path, "says of no endpoints: a version, or labels and a name")
	case c.Version != "" && c.Labels != nil:
		f.add(path, "has both version and labels: one of the two")
	case c.Version != "":
		f.labelValue(path+".version", "", c.Version)
	default:
		f.labels(path+".labels", c.Labels)
		if c.Name == "" {
			f.add(path+".name", "is missing: a canary by labels needs a name such as gray")
		}
	}
	if reasons := validation.IsValidLabelValue(c.Name); len(reasons) > 0 {
		f.add(path+".name", "%q is no name of a subset: %s", c.Name, plain(reasons))
	}
	f.headers(path+".headers", c.Headers)
	if c.Weight < 0 || c.Weight > 100 {
		f.add(path+".weight", "%d is no percentage: 0 to 100", c.Weight)
	}
}

// validateSubsets finds canaries that are the primary, and names that become those of other endpoints.
func (d *Document) validateSubsets(f *faults, label string) {
	type subset struct {
		what     string // as a fault names it
		selector map[string]string
	}
	taken := map[string]subset{}
	primary := subset{what: "the primary"}
	switch p := d.Primary; {
	case p == nil:
		taken["primary"] = primary
	case p.Labels != nil:
		primary.selector = p.Labels
	default:
		primary.selector = map[string]string{label: p.Version}
		taken[subsetLabel(p.Version)] = primary
	}
	for i := range d.Canaries {
		c := &d.Canaries[i]
		path := fmt.Sprintf("canaries[%d]", i)
		selector := c.Selector(label)
		if len(selector) == 0 {
			continue
		}
		if maps.Equal(selector, primary.selector) {
			f.add(path, "its endpoints are those of the primary: another version or labels, or take the canary out")
			continue
		}
		name := subsetLabel(c.SubsetName())
		if other, ok := taken[name]; ok && !maps.Equal(other.selector, selector) {
			f.add(path, "its subset would be named %s as that of %s: write another name", name, other.what)
		} else if !ok {
			taken[name] = subset{path, selector}
		}
	}
}

var noLabel = regexp.MustCompile(`[^a-z0-9-]`)

// subsetLabel is a name as the DNS label that a subset's name must be.
func subsetLabel(name string) string {
	return strings.Trim(noLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

func (d *Document) validateWeights(f *faults) {
	sum := 0
	weighed := map[string]int{}
	for i, c := range d.Canaries {
		if c.Weight <= 0 || c.Weight > 100 {
			continue
		}
		path := fmt.Sprintf("canaries[%d].weight", i)
		if sum += c.Weight; sum > 100 {
			f.add(path, "makes %d percent of all canaries together: 100 at most, the primary gets what is left", sum)
			return
		}
		if first, twice := weighed[c.SubsetName()]; twice {
			f.add(path, "%s has a weight in canaries[%d] already: one weight for it", c.SubsetName(), first)
		} else {
			weighed[c.SubsetName()] = i
		}
	}
}

func (from *From) validate(f *faults) {
	if from == nil {
		return
	}
	if len(from.Labels) == 0 && from.Namespace == "" {
		f.add("from", "names no clients: labels or a namespace, or leave it out for all")
	}
	if len(from.Labels) > 0 {
		f.labels("from.labels", from.Labels)
	}
	if from.Namespace != "" && !isLabel(from.Namespace) {
		f.add("from.namespace", "%q is no namespace: lower-case letters, digits and inner dashes, 63 at most", from.Namespace)
	}
}

func (f *faults) labels(path string, labels map[string]string) {
	if len(labels) == 0 {
		f.add(path, "is empty: labels that the endpoints have, such as {istio.service.tag: gray}")
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if f.labelKey(path, key) {
			f.labelValue(path+"."+key, key, labels[key])
		}
	}
}

func (f *faults) labelKey(path, key string) bool {
	reasons := validation.IsQualifiedName(key)
	switch {
	case len(reasons) > 0:
		f.add(path, "%q is no key of a label: %s", key, plain(reasons))
	case IsStamp(key):
		f.add(path, "%q is a label that meshbridge writes itself: a label that the registry or labels.set gives", key)
	default:
		return true
	}
	return false
}

// labelValue checks the value of a label. The empty one would select endpoints that have the label without saying anything.
func (f *faults) labelValue(path, key, value string) {
	if value == "" {
		f.add(path, "is empty: the value that label %s has", key)
	} else if reasons := validation.IsValidLabelValue(value); len(reasons) > 0 {
		f.add(path, "%q is no value of a label: %s", value, plain(reasons))
	}
}

// IsStamp reports whether a label key is among those that the bridge alone writes on endpoints.
func IsStamp(key string) bool { return strings.HasPrefix(strings.ToLower(key), "meshbridge.") }
