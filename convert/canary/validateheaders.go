package canary

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxRegex is the most that Istio takes as a regular expression, in bytes.
const maxRegex = 1024

// baggage is the header that carries a request's members (W3C Baggage).
const baggage = "baggage"

var (
	token  = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // RFC 9110 §5.6.2
	member = regexp.MustCompile(`^[!#-+\--:<-\[\]-~]+$`)         // a value of a member: RFC 6265's cookie-octet
)

// header is the path of a header's entry.
func header(path, name string) string {
	if plainKey.MatchString(name) {
		return path + "." + name
	}
	return path
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][-A-Za-z0-9_]*$`)

// headers checks what a request has.
func (f *faults) headers(path string, headers map[string]Match) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if f.headerName(path, name) {
			headers[name].validate(f, header(path, name), name)
		}
	}
}

func (f *faults) headerName(path, name string) bool {
	switch at := header(path, name); {
	case name == "":
		f.add(path, "has a header without a name")
	case name[0] == ':' || strings.EqualFold(name, "host"):
		f.add(at, "%q is no header that tells canaries from each other: one that the requests to a host differ in", name)
	case !token.MatchString(name):
		f.add(at, "%q is no name of a header: letters, digits and dashes", name)
	case name != strings.ToLower(name):
		f.add(at, "%q is not in lower case, as Envoy has all names: write %s", name, strings.ToLower(name))
	default:
		return true
	}
	return false
}

func (m Match) validate(f *faults, path, name string) {
	given := 0
	for _, set := range []bool{m.Exact != "", m.Prefix != "", m.Regex != "", m.Member != nil} {
		if set {
			given++
		}
	}
	switch {
	case given == 0:
		f.add(path, "the value of header %s is empty: a text, {prefix: …}, {regex: …} or {member: {KEY: VALUE}}", name)
		return
	case given > 1:
		f.add(path, "says several things of header %s: one of exact, prefix, regex and member", name)
		return
	case m.Member != nil:
		m.validateMember(f, path, name)
		return
	}
	if value := m.Exact + m.Prefix; !legalValue(value) {
		f.add(path, "%q is no value that header %s can have: no control characters, no spaces at the ends", value, name)
	}
	if _, err := regexp.Compile(m.Regex); err != nil {
		f.add(path, "%q is no regular expression (RE2): %s", m.Regex, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	} else if len(m.Regex) > maxRegex {
		f.add(path, "the regular expression has %d bytes: Istio takes %d at most", len(m.Regex), maxRegex)
	}
}

func (m Match) validateMember(f *faults, path, name string) {
	if name != baggage {
		f.add(path, "header %s has no members: member is for the header baggage", name)
		return
	}
	if len(m.Member) != 1 {
		f.add(path, "names %d members: exactly one key and its value", len(m.Member))
		return
	}
	for key, value := range m.Member {
		switch {
		case !token.MatchString(key):
			f.add(path, "%q is no key of a member: letters, digits and dashes", key)
		case !member.MatchString(value):
			f.add(path, "%q is no value of a member: printable characters without spaces, quotes, commas and semicolons", value)
		case len(m.expression()) > maxRegex:
			f.add(path, "the member is too long for Istio's regular expressions of %d bytes", maxRegex)
		}
	}
}

// legalValue reports whether a header can have a value (RFC 9110 §5.5).
func legalValue(value string) bool {
	return strings.Trim(value, " \t") == value && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// validateOrder finds canaries whose requests an earlier one takes.
func (d *Document) validateOrder(f *faults) {
	for i, c := range d.Canaries {
		path := fmt.Sprintf("canaries[%d].headers", i)
		for j, earlier := range d.Canaries[:i] {
			if len(c.Headers) == 0 || len(earlier.Headers) == 0 || !takes(earlier.Headers, c.Headers) {
				continue
			}
			if takes(c.Headers, earlier.Headers) {
				f.add(path, "are those of canaries[%d], which takes all such requests: other headers, or none", j)
			} else {
				f.add(path, "are never looked at: canaries[%d] before it takes all such requests; put this one first", j)
			}
			break
		}
	}
}

// takes reports whether headers that fit the narrow match always fit the wide one. It may miss that of regular expressions.
func takes(wide, narrow map[string]Match) bool {
	for name, m := range wide {
		n, ok := narrow[name]
		if !ok || !m.takes(n) {
			return false
		}
	}
	return true
}

func (m Match) takes(n Match) bool {
	switch {
	case m.Prefix != "" && n.Prefix != "":
		return strings.HasPrefix(n.Prefix, m.Prefix)
	case n.Exact != "":
		return m.Fits(n.Exact)
	}
	return m.Exact == n.Exact && m.Prefix == n.Prefix && m.Regex == n.Regex && maps.Equal(m.Member, n.Member)
}
