package canary

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Verdict is what one host says of a document's content.
type Verdict struct {
	endpoints bool            // it has any
	primary   bool            // one of them is the primary's
	http      bool            // it has a port with headers
	literal   bool            // the document names it, and not only a glob that it matches
	known     []bool          // by canary: it has the canary's version, or had it not long ago
	versions  map[string]bool // that it has
}

// Judge applies a document's content to a host that it names.
func (r Rules) Judge(d *Document, h Host) Verdict {
	v := Verdict{endpoints: len(h.Endpoints) > 0, literal: slices.Contains(d.Services, h.Name), http: len(h.ports(layerHTTP)) > 0, versions: map[string]bool{}}
	p := r.Plan([]Served{{Document: d}}, h)
	v.primary = p.Endpoints(p.primary, "") > 0
	for _, e := range h.Endpoints {
		if value := e.Labels[r.label(d)]; value != "" {
			v.versions[value] = true
		}
	}
	for i := range d.Canaries {
		selector := d.Canaries[i].Selector(r.label(d))
		known := p.instances(p.docs[0], i) > 0 || slices.ContainsFunc(h.Retained, func(labels map[string]string) bool { return maps.Equal(labels, selector) })
		v.known = append(v.known, known)
	}
	return v
}

// Equal reports whether two verdicts say the same.
func (v Verdict) Equal(o Verdict) bool {
	return v.endpoints == o.endpoints && v.primary == o.primary && v.http == o.http && slices.Equal(v.known, o.known) && maps.Equal(v.versions, o.versions)
}

// Faults are the reasons why a content that is not active may not become so in the world as it is. verdicts are those of the
// hosts that its services name.
func Faults(d *Document, verdicts map[string]Verdict) []Fault {
	var faults []Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, Fault{Path: path, Text: path + ": " + fmt.Sprintf(format, args...)})
	}
	hosts := slices.Sorted(maps.Keys(verdicts))
	some := func(has func(Verdict) bool) bool {
		return slices.ContainsFunc(hosts, func(h string) bool { return has(verdicts[h]) })
	}
	good := some(func(v Verdict) bool { return !v.lacksPrimary(d) })
	told := 0
	for _, h := range hosts {
		v := verdicts[h]
		if !v.literal && good || !v.lacksPrimary(d) || told == maxTold {
			continue
		}
		if told++; d.Primary == nil {
			add("primary", "is missing, and the canaries have every endpoint of %s, so all other requests would fail: name a primary; %s", h, v.words(h))
		} else {
			add("primary", "%s has no ready endpoint of it, so all other requests would fail; %s", h, v.words(h))
		}
	}
	for i, c := range d.Canaries {
		if c.Version != "" && !some(func(v Verdict) bool { return v.known[i] }) {
			add(fmt.Sprintf("canaries[%d].version", i), "%q: %s", c.Version, versions(hosts, verdicts))
		}
		if len(c.Headers) > 0 && !some(func(v Verdict) bool { return v.http }) {
			add(fmt.Sprintf("canaries[%d].headers", i), "no service has an HTTP or gRPC port, and others have no headers: divide by weight or by from")
		}
	}
	return faults
}

// lacksPrimary reports whether requests would fail that go to the primary, though the host has endpoints.
func (v Verdict) lacksPrimary(d *Document) bool {
	return v.endpoints && !v.primary && !d.finished()
}

// Primary reports whether a host has an endpoint of a document's primary, and whether requests that no canary takes would fail
// because it has others only.
func (r Rules) Primary(d *Document, h Host) (has, lacks bool) {
	v := r.Judge(d, h)
	return v.primary, v.lacksPrimary(d)
}

// PrimaryID tells apart which endpoints are a document's primary.
func (r Rules) PrimaryID(d *Document) string {
	if selector := r.primarySelector(d); selector != nil {
		return SubsetID(selector, nil)
	}
	ids := []string{"all but"}
	for i := range d.Canaries {
		ids = append(ids, SubsetID(d.Canaries[i].Selector(r.label(d)), nil))
	}
	return strings.Join(ids, " ")
}

// finished reports whether the canaries get all requests, so that the primary may be gone.
func (d *Document) finished() bool {
	sum := 0
	for _, c := range d.Canaries {
		sum += c.Weight
	}
	return sum >= 100 && d.From == nil
}

// maxTold is the most hosts that one fault speaks of: a glob may name all of a registry's.
const maxTold = 10

func versions(hosts []string, verdicts map[string]Verdict) string {
	var all []string
	for _, h := range hosts[:min(len(hosts), maxTold)] {
		all = append(all, verdicts[h].words(h))
	}
	if more := len(hosts) - maxTold; more > 0 {
		all = append(all, fmt.Sprintf("and %d more services", more))
	}
	return strings.Join(all, "; ")
}

func (v Verdict) words(host string) string {
	if len(v.versions) == 0 {
		return host + " has no versions"
	}
	noun := "versions"
	if len(v.versions) == 1 {
		noun = "version"
	}
	return fmt.Sprintf("%s has %s %s", host, noun, strings.Join(slices.Sorted(maps.Keys(v.versions)), ", "))
}

func sameHeaders(a, b map[string]Match) bool {
	return maps.EqualFunc(a, b, func(a, b Match) bool {
		return a.Exact == b.Exact && a.Prefix == b.Prefix && a.Regex == b.Regex && maps.Equal(a.Member, b.Member)
	})
}

func sameFrom(a, b *From) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Namespace == b.Namespace && maps.Equal(a.Labels, b.Labels)
}

// LabelKeys are the keys of endpoint labels that a document asks for.
func (r Rules) LabelKeys(d *Document) []string {
	keys := []string{r.label(d)}
	if d.Primary != nil {
		keys = slices.AppendSeq(keys, maps.Keys(d.Primary.Labels))
	}
	for _, c := range d.Canaries {
		keys = slices.AppendSeq(keys, maps.Keys(c.Labels))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
