package canary

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

func (d *Document) validateExpose(f *faults) {
	first := map[string]int{}
	for i, e := range d.Expose {
		path := fmt.Sprintf("expose[%d]", i)
		e.validate(f, path)
		e.validateService(f, path+".service", d.Services)
		for _, exposure := range e.exposures() {
			if j, twice := first[exposure]; twice {
				f.add(path, "%s is in expose[%d] already: one entry for it", exposure, j)
			} else {
				first[exposure] = i
			}
		}
		if j := slices.IndexFunc(d.Expose[:i], func(earlier Expose) bool { return earlier.hides(e) }); j >= 0 {
			f.add(path+".prefix", "%s is never reached: expose[%d] before it takes all paths that begin with %s; put this one first", e.Prefix, j, d.Expose[j].Prefix)
		}
		d.validateColours(f, path+".colour", e.Colour)
	}
}

func (e Expose) validate(f *faults, path string) {
	switch {
	case e.Gateway == "" && e.Delegate == "":
		f.add(path, "exposes nothing: a gateway such as istio-system/app, or the name of a delegate")
	case e.Gateway != "" && e.Delegate != "":
		f.add(path, "has both gateway and delegate: an entry for each")
	case e.Gateway != "":
		f.gateway(path+".gateway", e.Gateway)
		f.prefix(path+".prefix", e.Prefix)
		f.gatewayHosts(path+".hosts", e.Hosts)
	default:
		if !isLabel(e.Delegate) {
			f.add(path+".delegate", "%q is no name of a VirtualService: lower-case letters, digits and inner dashes, 63 at most", e.Delegate)
		}
		if !slices.Equal(e.Hosts, DefaultExpose().Hosts) {
			f.add(path+".hosts", "a delegate has no hosts: the VirtualService that names it has them")
		}
		if e.Prefix != DefaultExpose().Prefix {
			f.add(path+".prefix", "a delegate has no prefix: the VirtualService that names it has it")
		}
	}
}

func (f *faults) gatewayHosts(path string, hosts []string) {
	if len(hosts) == 0 {
		f.add(path, `names none: "*" for all`)
	}
	for i, host := range hosts {
		name := strings.TrimPrefix(host, "*.")
		ip, err := netip.ParseAddr(host)
		if reason := hostFault(name); host != "*" && !(err == nil && ip.Is4()) && (reason != "" || strings.ContainsAny(name, "*?")) {
			if reason == "" {
				reason = `a pattern is "*" or begins with "*."`
			}
			f.add(fmt.Sprintf("%s[%d]", path, i), `%q is no host at a gateway: %s`, host, reason)
		} else if j := slices.IndexFunc(hosts[:i], func(o string) bool { return covers(o, host) || covers(host, o) }); j >= 0 {
			f.add(fmt.Sprintf("%s[%d]", path, i), "%q and %q share hosts, which Istio refuses in one VirtualService: keep the wider, or an entry for each", host, hosts[j])
		}
	}
}

func (e Expose) validateService(f *faults, path string, services []string) {
	one := len(services) == 1 && !strings.ContainsAny(services[0], "*?")
	switch {
	case e.Service == "":
		if !one && len(services) > 0 {
			f.add(path, "is missing, and the document may be for several services: the host that is reached")
		}
	case strings.ContainsAny(e.Service, "*?"):
		f.add(path, "%q is a pattern: one host", e.Service)
	case !slices.ContainsFunc(services, func(s string) bool { return covers(s, e.Service) && e.Service == strings.ToLower(e.Service) }):
		f.add(path, "%q is not among the services: %s", e.Service, strings.Join(services, ", "))
	}
}

// exposures are what an entry takes for itself.
func (e Expose) exposures() []string {
	if e.Gateway == "" {
		return []string{"delegate " + e.Delegate}
	}
	all := make([]string, len(e.Hosts))
	for i, host := range e.Hosts {
		all[i] = fmt.Sprintf("gateway %s, host %s, prefix %s", e.Gateway, host, e.Prefix)
	}
	return all
}

// hides reports whether an entry takes all requests of a later one at some host. A prefix is that of the text, /a also that of
// /ab.
func (e Expose) hides(later Expose) bool {
	return e.Gateway != "" && e.Gateway == later.Gateway && e.Prefix != later.Prefix && strings.HasPrefix(later.Prefix, e.Prefix) &&
		slices.ContainsFunc(e.Hosts, func(host string) bool { return slices.Contains(later.Hosts, host) })
}

func (d *Document) validateColours(f *faults, path string, colours []Colour) {
	for i, c := range colours {
		at := fmt.Sprintf("%s[%d]", path, i)
		f.headers(at+".when", c.When)
		if len(c.Set) == 0 {
			f.add(at+".set", "is missing: headers and their values, such as {x-lane: gray}")
		}
		for _, name := range slices.Sorted(maps.Keys(c.Set)) {
			if f.headerName(at+".set", name) {
				f.setValue(header(at+".set", name), name, c.Set[name])
			}
		}
		for j, earlier := range colours[:i] {
			if takes(earlier.When, c.When) {
				f.add(at, "is never reached: colour[%d] before it takes all such requests; put this one first", j)
				break
			}
		}
		d.validateDecided(f, at, c.Set)
	}
}

// setValue checks a value that a header is given. Envoy takes what stands between two % for a variable.
func (f *faults) setValue(path, name, value string) {
	switch {
	case value == "":
		f.add(path, "the value of header %s is empty: a text", name)
	case !legalValue(value):
		f.add(path, "%q is no value that header %s can have: no control characters, no spaces at the ends", value, name)
	case strings.Contains(value, "%"):
		f.add(path, "%q has a %%, which begins a variable of Envoy: leave it out", value)
	}
}

// validateDecided finds canaries of which the headers that are set do not tell whether a request goes to them: all of theirs
// fit, but there are others.
func (d *Document) validateDecided(f *faults, path string, set map[string]string) {
	for i, c := range d.Canaries {
		var open []string
		touched, fits := false, true
		for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
			value, ok := set[name]
			if !ok {
				open = append(open, name)
				continue
			}
			touched = true
			fits = fits && c.Headers[name].Fits(value)
		}
		if touched && fits && len(open) > 0 {
			f.add(path+".set", "cannot tell whether these requests go to canaries[%d], which asks for %s as well: set it too", i, strings.Join(open, ", "))
		}
	}
}
