package canary

import "strings"

// Reaches reports whether an entry of a document's expose leads to a host.
func (e Expose) Reaches(d *Document, host string) bool { return e.Target(d) == host }

// Target is the host that an entry of a document's expose leads to, "" if none.
func (e Expose) Target(d *Document) string {
	if e.Service != "" {
		return e.Service
	}
	if len(d.Services) == 1 {
		return d.Services[0]
	}
	return ""
}

// Within reports whether all hosts of a gateway that one pattern names are among those that another, different one names.
// Patterns are as Istio takes them: "*", "*.example.com" or a name, in lower case.
func Within(narrow, wide string) bool {
	return narrow != wide && (wide == "*" || strings.HasPrefix(wide, "*.") && strings.HasSuffix(narrow, wide[1:]))
}

// Wider are the patterns of hosts at a gateway that a pattern lies within, the widest first.
func Wider(pattern string) []string {
	if pattern == "*" {
		return nil
	}
	wider := []string{"*"}
	name := strings.TrimPrefix(pattern, "*.")
	for at := len(name); ; {
		if at = strings.LastIndexByte(name[:at], '.'); at < 0 {
			break
		}
		wider = append(wider, "*"+name[at:])
	}
	return wider
}
