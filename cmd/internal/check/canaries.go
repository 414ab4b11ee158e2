package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/get"
	"meshbridge/convert"
)

// canaries judges the documents of a bridge: what is wrong with them, their subsets, and how far they are. Without documents
// there is one section alone.
func canaries(b Bridge) []Section {
	if len(b.Canaries) == 0 {
		return []Section{{Name: "canaries", Fine: "no documents"}}
	}
	subsets, rollouts := Section{Name: "subsets"}, Section{Name: "rollouts"}
	tls := tlsPorts(b.Services)
	for _, c := range b.Canaries {
		for _, f := range merged(c.Findings) {
			switch f.class {
			case convert.FindingEmpty, convert.FindingOverlap:
				subsets.add(!f.trouble(c), f.words(c), "")
			case convert.FindingUnknown, convert.FindingSuperseded:
			case convert.FindingRetire:
				rollouts.add(true, f.words(c), "meshbridge canary promote "+c.Name+" writes it into the file")
			default:
				rollouts.add(!f.trouble(c), f.words(c), "")
			}
		}
		rollouts.cutTLS(c, tls)
		if len(c.Waiting) > 0 {
			rollouts.add(true, fmt.Sprintf("%s: %s at %s", label(c), waitWords(c), clientNames(c.Waiting)),
				"an istiod gets a route when it has held the route's subsets for canary.settle; until then it keeps the former one")
		}
	}
	return []Section{documents(b.Canaries), subsets, rollouts}
}

// tlsPorts are the ports of hosts that speak TLS to their clients.
func tlsPorts(services []api.Service) map[string][]uint32 {
	ports := map[string][]uint32{}
	for _, svc := range services {
		for _, port := range svc.Ports {
			if port.Protocol == "HTTPS" || port.Protocol == "TLS" {
				ports[svc.Host] = append(ports[svc.Host], port.Number)
			}
		}
	}
	return ports
}

// cutTLS tells of the ports at which a document cuts TLS with names of others.
func (s *Section) cutTLS(c api.Canary, ports map[string][]uint32) {
	for _, svc := range c.Services {
		for _, port := range ports[svc.Host] {
			s.add(true, label(c)+" at "+svc.Host+": "+CutTLS(svc.Host, port), "who asks for other names there needs a host of its own, without a document")
		}
	}
}

// CutTLS words what a document does to a port of TLS: a VirtualService that routes it compares the name that a client asks for.
func CutTLS(host string, port uint32) string {
	return fmt.Sprintf("port %d is routed by the name that clients ask for (SNI): TLS for another name than %s goes to PassthroughCluster, which it would not without a document", port, host)
}

// maxFaults bounds the faults of a document that are shown.
const maxFaults = 10

// documents says which of the documents are not served as their files say.
func documents(list []api.Canary) Section {
	s := Section{Name: "canaries", Fine: count(len(list), "document")}
	invalid := 0
	for _, c := range list {
		if len(c.Faults) > 0 {
			invalid++
		}
		s.document(c)
	}
	if invalid > 0 {
		s.Verdict = fmt.Sprintf("%d of %d invalid", invalid, len(list))
	}
	return s
}

// document judges one: whatever of it is not served as its team believes is trouble.
func (s *Section) document(c api.Canary) {
	unknown, superseded := []finding(nil), []string(nil)
	for _, f := range merged(c.Findings) {
		switch f.class {
		case convert.FindingUnknown:
			unknown = append(unknown, f)
		case convert.FindingSuperseded:
			superseded = append(superseded, f.words(c))
		}
	}
	switch {
	case len(c.Faults) > 0:
		s.add(false, heading(c), strings.Join(faultLines(c), "\n    "))
	case c.State == convert.CanarySuperseded:
		s.add(false, heading(c), strings.Join(superseded, "\n"))
		superseded = nil
	case c.State == convert.CanaryLastGood:
		s.add(false, heading(c), "if its file is gone for good: "+forgetCommand(c))
	case c.State == convert.CanaryHeld:
		s.add(false, heading(c), "")
	case c.State == convert.CanaryPending && len(unknown) == 0:
		s.add(false, heading(c), "meshbridge get services lists those that there are")
	}
	for _, f := range unknown {
		s.add(false, f.words(c), "")
	}
	for _, line := range superseded {
		s.add(true, line, "")
	}
}

func forgetCommand(c api.Canary) string {
	command := "meshbridge canary forget " + c.Name
	if c.Team != "" {
		command += " --team " + c.Team
	}
	return command
}

// heading says what is made of a document.
func heading(c api.Canary) string {
	of := c.File
	if c.Team != "" {
		of = "team " + c.Team + ", " + of
	}
	is := map[string]string{
		convert.CanaryPending:    "no host of its services is known",
		convert.CanarySuperseded: "not active, since another document has its place",
		convert.CanaryHeld:       "not served, and nothing is in its place",
		convert.CanaryResponding: "rules at fault answer their requests, all else is served",
	}[c.State]
	switch {
	case c.State == convert.CanaryLastGood && c.Since != nil:
		is = "serving last good from " + c.Since.UTC().Format(time.RFC3339)
	case c.State == convert.CanaryLastGood:
		is = "serving last good"
	case is == "":
		is = c.State
	}
	if c.Name == "" {
		return of + ": " + is
	}
	return fmt.Sprintf("%s (%s): %s", c.Name, of, is)
}

func faultLines(c api.Canary) []string {
	var lines []string
	for _, f := range c.Faults[:min(len(c.Faults), maxFaults)] {
		line := f.Text
		if f.Path != "" && !strings.Contains(line, f.Path+":") {
			line = f.Path + ": " + line
		}
		lines = append(lines, line)
	}
	if rest := len(c.Faults) - len(lines); rest > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: meshbridge get canaries %s -o yaml", rest, c.Name))
	}
	return lines
}

// label names a document, by its file if it has no name.
func label(c api.Canary) string { return firstOf(c.Name, c.File) }

// finding is what is to be said of a document, at one host or several alike.
type finding struct {
	class, text string
	warning     bool
	hosts       []string
}

// merged joins the findings that differ by their host alone.
func merged(list []api.CanaryFinding) []finding {
	var all []finding
	for _, f := range list {
		i := slices.IndexFunc(all, func(o finding) bool { return o.class == f.Class && o.text == f.Text && o.warning == f.Warning })
		if i < 0 {
			i = len(all)
			all = append(all, finding{class: f.Class, text: f.Text, warning: f.Warning})
		}
		if f.Host != "" {
			all[i].hosts = append(all[i].hosts, f.Host)
		}
	}
	return all
}

func (f finding) words(c api.Canary) string {
	at := ""
	if n := len(f.hosts); n > 0 {
		at = " at " + strings.Join(f.hosts[:min(n, examples)], ", ") + more(n)
	}
	return label(c) + at + ": " + f.text
}

// trouble reports whether requests go where nobody wants them. A canary without instances is none: its requests go where
// the document's fallback says, and in a lane most services have no canary; so is one without requests.
func (f finding) trouble(c api.Canary) bool {
	switch f.class {
	case convert.FindingOverlap, convert.FindingProtocol, convert.FindingHidden:
		return f.warning
	case convert.FindingEmpty:
		return f.warning && slices.ContainsFunc(c.Services, func(s api.CanaryService) bool {
			return slices.Contains(f.hosts, s.Host) && slices.ContainsFunc(s.Subsets, func(sub api.CanarySubset) bool { return !sub.Canary && sub.Endpoints == 0 })
		})
	}
	return false
}

// waitWords is how long a document's clients wait, whatever its state.
func waitWords(c api.Canary) string {
	c.State = api.CanaryWaiting
	return get.CanaryState(c)
}

func clientNames(waits []api.CanaryWait) string {
	var names []string
	for _, w := range waits {
		names = append(names, get.ClientName(w.Client))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return strings.Join(names[:min(len(names), examples)], ", ") + more(len(names))
}
