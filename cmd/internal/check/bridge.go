package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
	"meshbridge/sources"
)

// examples is how many of many equal findings are shown.
const examples = 3

func gate(b Bridge) Section {
	s := Section{Name: "gate", Fine: "open"}
	if b.Ready {
		return s
	}
	for _, missing := range b.Missing {
		s.Findings = append(s.Findings, Finding{What: "closed, waiting: " + missing,
			Remedy: "istiods that start now wait for it; make the registry reachable, or set required: false on the source"})
	}
	if len(b.Missing) == 0 {
		s.Findings = append(s.Findings, Finding{What: "closed", Remedy: "the bridge has just started; check again"})
	}
	return s
}

func sourcesOf(b Bridge, now time.Time) Section {
	s := Section{Name: "sources"}
	services := 0
	for _, src := range b.Sources {
		if len(src.Scopes) == 0 {
			s.add(!src.Required, "source "+src.Name+" has reported nothing yet"+colon(src.Error), "see the bridge's log for why it cannot read its registry")
		}
		for _, scope := range src.Scopes {
			services += scope.Services
			s.scope(src, scope, now)
		}
	}
	if len(b.Sources) == 0 {
		s.add(false, "the bridge follows no source", "add one under sources: in its configuration")
	}
	s.Fine = fmt.Sprintf("%s, %s", count(len(b.Sources), "source"), count(services, "service"))
	return s
}

func (s *Section) add(hint bool, what, remedy string) {
	s.Findings = append(s.Findings, Finding{Hint: hint, What: what, Remedy: remedy})
}

func (s *Section) scope(src api.Source, scope api.Scope, now time.Time) {
	name := "source " + src.Name
	if scope.Name != "" {
		name += ", scope " + scope.Name
	}
	because := colon(firstOf(scope.Error, src.Error))
	switch scope.State {
	case sources.Unread:
		s.add(!src.Required, name+": never read since the bridge started"+because, "is the registry up, and the address and the credentials right?")
	case sources.Stale:
		s.add(false, fmt.Sprintf("%s: not read since the bridge started%s", name, because),
			fmt.Sprintf("what was read %s is served (%s); see to the registry", ago(scope.LastReport, now), count(scope.Services, "service")))
	case sources.Unknown:
		s.add(false, fmt.Sprintf("%s: cannot be read %s%s", name, since(scope.Since, now), because),
			fmt.Sprintf("its last report stands (%s); see to the registry", count(scope.Services, "service")))
	}
	if h := scope.Held; h != nil {
		until := "until it recovers"
		if h.Until != nil {
			until = "for " + duration.HumanDuration(h.Until.Sub(now)) + " more"
		}
		s.add(false, fmt.Sprintf("%s: of %s %d are left since %s ago; %s of %s held back %s", name, count(h.Most, "usable instance"), h.Now,
			duration.HumanDuration(now.Sub(h.Since)), count(h.Instances, "instance"), count(h.Services, "service"), until),
			"if they are really gone: meshbridge release "+src.Name)
	}
	if n := len(scope.Faults); n > 0 {
		var shown []string
		for _, f := range scope.Faults[:min(n, examples)] {
			shown = append(shown, f.Where+": "+f.Reason)
		}
		s.add(false, fmt.Sprintf("%s: %s could not be read: %s", name, count(n, "thing"), strings.Join(shown, "; ")+more(n)),
			"what they last said stands where it was ever read; mend them, all are in: meshbridge get rejected --source "+src.Name)
	}
	if scope.State == sources.Synced && scope.Instances > 0 && scope.Usable == 0 {
		s.add(false, fmt.Sprintf("%s: none of %s is healthy, enabled and weighted", name, count(scope.Instances, "instance")),
			"do the providers' health checks reach the registry?")
	}
}

// mild are the classes of rejections that take away a detail, not an instance.
func mild() []string {
	return []string{convert.ClassLabel, convert.ClassLocality, convert.ClassSubset, convert.ClassVIP, convert.ClassClash}
}

func rejectedOf(b Bridge) Section {
	s := Section{Name: "rejected", Fine: "nothing was left out"}
	byClass := map[string][]api.Rejection{}
	var classes []string
	for _, r := range b.Rejected {
		if r.Class == convert.ClassRead && r.Service == "" {
			continue // a fault of a source, told there
		}
		if byClass[r.Class] == nil {
			classes = append(classes, r.Class)
		}
		byClass[r.Class] = append(byClass[r.Class], r)
	}
	slices.Sort(classes)
	for _, class := range classes {
		list := byClass[class]
		var shown []string
		for _, r := range list[:min(len(list), examples)] {
			shown = append(shown, strings.Join(slices.DeleteFunc([]string{r.Source, firstOf(r.Service, r.Host), r.Instance}, func(s string) bool { return s == "" }), " ")+": "+r.Reason)
		}
		s.add(slices.Contains(mild(), class), fmt.Sprintf("%s by reason of %s: %s", count(len(list), "rejection"), class, strings.Join(shown, "; ")+more(len(list))),
			"all are in: meshbridge get rejected -o wide")
	}
	return s
}

// servicesOf counts a bridge's hosts.
func servicesOf(b Bridge) int {
	hosts := map[string]bool{}
	for _, r := range b.Resources {
		hosts[r.Host] = true
	}
	return len(hosts)
}

func since(t *time.Time, now time.Time) string {
	if t == nil {
		return "now"
	}
	return "for " + duration.HumanDuration(now.Sub(*t))
}

// ago says when something was.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "before"
	}
	return duration.HumanDuration(now.Sub(*t)) + " ago"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "ry"); ok {
		return fmt.Sprintf("%d %sries", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// more says that a list of n was cut.
func more(n int) string {
	if n <= examples {
		return ""
	}
	return fmt.Sprintf(" and %d more", n-examples)
}

func colon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
