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
		known := p.count(selector, "") > 0 || slices.ContainsFunc(h.Retained, func(labels map[string]string) bool { return maps.Equal(labels, selector) })
		v.known = append(v.known, known)
	}
	return v
}

// Equal reports whether two verdicts say the same.
func (v Verdict) Equal(o Verdict) bool {
	return v.endpoints == o.endpoints && v.primary == o.primary && v.http == o.http && slices.Equal(v.known, o.known) && maps.Equal(v.versions, o.versions)
}

// Faults are the reasons why a content that has never been in force may not come into force in the world as it is. verdicts
// are those of the hosts that its services name.
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
	for _, h := range hosts {
		if v := verdicts[h]; (v.literal || !good) && v.lacksPrimary(d) {
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
	return v.endpoints && !v.primary && d.Primary != nil && !d.finished()
}

// Shuns reports whether the primary of a document has no endpoint at a host that has some.
func (r Rules) Shuns(d *Document, h Host) bool {
	return r.Judge(d, h).lacksPrimary(d)
}

// PrimaryID is the ID of a document's primary subset.
func (r Rules) PrimaryID(d *Document) string { return SubsetID(r.primarySelector(d), nil) }

// finished reports whether the canaries get all requests, so that the primary may be gone.
func (d *Document) finished() bool {
	sum := 0
	for _, c := range d.Canaries {
		sum += c.Weight
	}
	return sum >= 100 && d.From == nil
}

func versions(hosts []string, verdicts map[string]Verdict) string {
	var all []string
	for _, h := range hosts {
		all = append(all, verdicts[h].words(h))
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

// Conflicts are the reasons why a document may not come into force beside another one that is, at a host that both name.
func Conflicts(d *Document, other *Document, host string) []Fault {
	var faults []Fault
	if d.decides() && other.decides() {
		path := "primary"
		if d.Primary == nil {
			path = fmt.Sprintf("canaries[%d].weight", slices.IndexFunc(d.Canaries, func(c Canary) bool { return c.Weight > 0 }))
		}
		faults = append(faults, Fault{Path: path, Text: fmt.Sprintf("%s: document %s says already what becomes of the requests to %s: say it in one of the two", path, other.Name, host)})
	}
	for i, c := range d.Canaries {
		for _, o := range other.Canaries {
			if c.SubsetName() == o.SubsetName() && (d.Fallback == FallbackFailover) != (other.Fallback == FallbackFailover) || c.Name != "" && c.Name == o.Name && !maps.Equal(c.Labels, o.Labels) {
				path := fmt.Sprintf("canaries[%d].name", i)
				faults = append(faults, Fault{Path: path, Text: fmt.Sprintf("%s: document %s has another canary %s at %s: choose another name", path, other.Name, o.SubsetName(), host)})
			}
			if len(c.Headers) > 0 && sameHeaders(c.Headers, o.Headers) && sameFrom(d.From, other.From) {
				path := fmt.Sprintf("canaries[%d].headers", i)
				faults = append(faults, Fault{Path: path, Text: fmt.Sprintf("%s: document %s sends these requests to its own canary %s at %s: choose other headers", path, other.Name, o.SubsetName(), host)})
			}
		}
	}
	return faults
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

// Ways are the reasons why a document may not come into force beside another one because of gateways and delegates. Envoy takes
// prefixes as texts, and which of two is tried first is decided by the names of objects: so none may begin with the other.
func Ways(d, other *Document) []Fault {
	var faults []Fault
	for i, e := range d.Expose {
		path := fmt.Sprintf("expose[%d]", i)
		for _, o := range other.Expose {
			switch {
			case e.Gateway == "" && o.Gateway == "" && e.Delegate == o.Delegate:
				faults = append(faults, Fault{Path: path, Text: fmt.Sprintf("%s: delegate %s is that of document %s already: a name of its own", path, e.Delegate, other.Name)})
			case e.Gateway == "" || e.Gateway != o.Gateway:
			case strings.HasPrefix(e.Prefix, o.Prefix) || strings.HasPrefix(o.Prefix, e.Prefix):
				for _, host := range e.Hosts {
					if slices.Contains(o.Hosts, host) {
						faults = append(faults, Fault{Path: path, Text: fmt.Sprintf("%s: document %s has prefix %s of host %s at gateway %s, and %s overlaps with it: choose prefixes of which none begins with another",
							path, other.Name, o.Prefix, host, e.Gateway, e.Prefix)})
					}
				}
			}
		}
	}
	return faults
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
