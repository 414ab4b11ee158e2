package canary

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// faults collects what is wrong, each led by its path.
type faults []error

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (f faults) err() error { return errors.Join(f...) }

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// name checks the name of a document or a team.
func (f *faults) name(path, name, example string) {
	switch {
	case name == "":
		f.add(path, "is missing: a name such as %s", example)
	case !nameForm.MatchString(name):
		f.add(path, `%q is no name: at most 63 lower-case letters, digits and "-", a letter or digit at both ends`, name)
	}
}

// gateway checks the name of an Istio Gateway.
func (f *faults) gateway(path, gateway string) {
	namespace, name, found := strings.Cut(gateway, "/")
	if !found || !isLabel(namespace) || !isLabel(name) {
		f.add(path, "%q is no gateway: its namespace and its name, such as istio-system/app", gateway)
	}
}

// prefix checks the prefix of paths.
func (f *faults) prefix(path, prefix string) {
	switch {
	case prefix == "":
		f.add(path, "is empty: leave it out for all paths")
	case prefix[0] != '/':
		f.add(path, "%q does not begin with a slash: /%s", prefix, prefix)
	case strings.ContainsAny(prefix, " \t\r\n?#*"):
		f.add(path, "%q has characters that no path has: a beginning of paths such as /shop, without a pattern or query", prefix)
	}
}

func isLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }

// plain leaves out the examples and regular expressions of Kubernetes' reasons.
func plain(reasons []string) string {
	short := make([]string, len(reasons))
	for i, r := range reasons {
		short[i], _, _ = strings.Cut(r, " (e.g.")
	}
	return strings.Join(short, "; ")
}
