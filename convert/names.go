package convert

import (
	"fmt"
	"strings"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Limits of DNS and Kubernetes names, in bytes.
const (
	maxLabel = 63
	maxName  = 253
)

// isLabel reports whether s is a DNS label as Kubernetes wants it: lower-case letters, digits and inner dashes.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isLabelByte(s[i]) {
			return false
		}
	}
	return true
}

func isLabelByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' }

// hostFault says why a name in lower case is no host, or "".
func hostFault(host string) string {
	if host == "" {
		return "it is empty"
	}
	if len(host) > maxName {
		return fmt.Sprintf("it is %d bytes long, %d at most", len(host), maxName)
	}
	if strings.HasSuffix(host, ".") {
		return "it ends in a dot; leave that out"
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.Trim(last, "0123456789") == "" && last != "" {
		return fmt.Sprintf("its last part, %q, has digits alone, as that of an IP address; write a part with a letter", last)
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return "a part between dots is empty"
		}
		if !isLabel(label) {
			return fmt.Sprintf("%q is no DNS label: lower-case letters, digits and inner dashes, %d at most", label, maxLabel)
		}
	}
	return ""
}

// hexOf is the first n hexadecimal digits of a name's hash.
func hexOf(name string, n int) string { return fmt.Sprintf("%016x", store.Hash(name))[:n] }

// toLabel makes a DNS label of any text: lower case, a dash for what is not allowed, and the hash where that leaves nothing or
// too much. Only the empty text gives the empty label.
func toLabel(s string) string {
	lower := strings.ToLower(s)
	if lower == "" || isLabel(lower) {
		return lower
	}
	label := strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && isLabelByte(byte(r)) {
			return r
		}
		return '-'
	}, lower), "-")
	switch {
	case label == "":
		return "x-" + hexOf(lower, 8)
	case len(label) > maxLabel:
		return strings.TrimRight(label[:maxLabel-5], "-") + "-" + hexOf(lower, 4)
	}
	return label
}

// toLabels makes a legal label of every part between dots; empty parts stay empty.
func toLabels(s string) string {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		parts[i] = toLabel(p)
	}
	return strings.Join(parts, ".")
}

// name is the host that a service wants, and what it is called before that was made legal.
type name struct {
	host     string
	identity string // in lower case; services of one identity are one service
	exact    bool   // nothing but the case was changed
	explicit bool   // the operator asked for this very host, so it is shared with whoever has it
}

// defaultName is interface[.vVERSION][.group] or service[.group], [.namespace], then the domain. A service may itself have
// dots; every other part becomes one label.
func defaultName(s *sources.Service, domain string) (name, error) {
	parts := []string{s.Name}
	if s.Interface && s.Key.Version != "" && s.Key.Version != "0.0.0" {
		parts = append(parts, "v"+s.Key.Version)
	}
	if s.Group != "" && !strings.EqualFold(s.Group, "DEFAULT_GROUP") {
		parts = append(parts, s.Group)
	}
	if s.Namespace != "" && !strings.EqualFold(s.Namespace, "public") && !strings.EqualFold(s.Namespace, "default") {
		parts = append(parts, s.Namespace)
	}
	labels := make([]string, len(parts))
	for i, p := range parts {
		if i == 0 {
			labels[i] = toLabels(strings.Trim(p, "."))
		} else {
			labels[i] = toLabel(p)
		}
	}
	n := name{
		host:     strings.Join(labels, ".") + "." + domain,
		identity: strings.ToLower(strings.Join(parts, "/")) + "." + domain,
	}
	n.exact = strings.ToLower(strings.Join(parts, "."))+"."+domain == n.host
	return n, n.fault()
}

// templatedName is what a template gave, each part made legal.
func templatedName(result string) (name, error) {
	raw := strings.ToLower(strings.TrimSpace(result))
	n := name{host: toLabels(raw), identity: raw}
	n.exact = n.host == raw
	n.explicit = n.exact
	return n, n.fault()
}

func aliasName(alias string) name {
	host := strings.ToLower(alias)
	return name{host: host, identity: host, exact: true, explicit: true}
}

func (n name) fault() error {
	if reason := hostFault(n.host); reason != "" {
		return fmt.Errorf("%q is no host: %s", n.host, reason)
	}
	return nil
}

// aside is the host of a name that gives way: digits of its hash are appended to the first label, four more at each
// further clash.
func (n name) aside(depth int) string {
	first, rest, dotted := strings.Cut(n.host, ".")
	suffix := "-" + hexOf(n.identity, min(4*depth, 16))
	if room := min(maxLabel, maxName-len(n.host)+len(first)) - len(suffix); len(first) > room {
		first = strings.TrimRight(first[:max(room, 1)], "-")
	}
	if dotted {
		return first + suffix + "." + rest
	}
	return first + suffix
}

// toNamespace makes a Kubernetes namespace of what a template gave, or "" of nothing.
func toNamespace(result string) string { return toLabel(strings.TrimSpace(result)) }

// objectName is a Kubernetes name of at most 253 bytes; a longer one ends in its hash, of which nobody finds another text.
func objectName(full string) string {
	if len(full) <= maxName {
		return full
	}
	return strings.TrimRight(full[:maxName-17], "-.") + "-" + hexOf(full, 16)
}
