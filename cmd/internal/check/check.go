// Package check judges running bridges: it asks them for their state and lists what is wrong, each trouble with its remedy.
// Its invariant: judging is pure, so the same state gives the same lines.
package check

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/term"
	"meshbridge/mcpserver/store"
)

// Bridge is the state of one bridge.
type Bridge struct {
	Server    string
	Err       error // why there is no state; all else is then empty
	Ready     bool
	Missing   []string // what the gate waits for, unless Ready
	Sources   []api.Source
	Rejected  []api.Rejection
	Clients   []api.Client
	Resources []api.Resource
	Canaries  []api.Canary
	Services  []api.Service  // only of replicas and of bridges with documents of canaries
	Objects   []api.Resource // with their objects; only those to compare with a cluster's, or with the namespaces of gateways
}

// Finding is one thing that is wrong or could be better.
type Finding struct {
	Hint   bool // no trouble, but worth knowing
	What   string
	Remedy string
}

// Section is one line of the report with its findings.
type Section struct {
	Name     string
	Fine     string // what to say when there is no finding, after OK; may be empty
	Verdict  string // what to say instead of OK or trouble; may be empty
	Findings []Finding
}

// Trouble reports whether a finding is more than a hint.
func (s Section) Trouble() bool {
	for _, f := range s.Findings {
		if !f.Hint {
			return true
		}
	}
	return false
}

// Ask asks a bridge for its state; for what explains differences if it is a replica among others; and for its objects if they
// are to be compared with those of a cluster.
func Ask(ctx context.Context, c *client.Client, replica, objects bool) Bridge {
	b := Bridge{Server: c.Server()}
	steps := []func() error{
		func() (err error) { b.Ready, b.Missing, err = c.Ready(ctx); return },
		func() (err error) { b.Sources, err = c.Sources(ctx, nil); return },
		func() (err error) { b.Rejected, err = c.Rejected(ctx, nil); return },
		func() (err error) { b.Clients, err = c.Clients(ctx, nil); return },
		func() (err error) { b.Resources, err = c.Resources(ctx, nil); return },
		func() (err error) { b.Canaries, err = c.Canaries(ctx, nil); return },
	}
	steps = append(steps, func() (err error) {
		if replica || len(b.Canaries) > 0 {
			b.Services, err = c.Services(ctx, nil)
		}
		return err
	})
	for _, kind := range []store.Kind{store.DestinationRule, store.VirtualService} {
		steps = append(steps, func() error {
			if !objects && (kind != store.VirtualService || !narrow(b.Resources, kind.Kind)) {
				return nil
			}
			list, err := c.Resources(ctx, url.Values{"kind": {kind.Kind}, "object": {"true"}})
			b.Objects = append(b.Objects, list...)
			return err
		})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return Bridge{Server: c.Server(), Err: err}
		}
	}
	return b
}

// narrow reports whether an object of a kind is not for all namespaces.
func narrow(resources []api.Resource, kind string) bool {
	return slices.ContainsFunc(resources, func(r api.Resource) bool {
		return r.Kind == kind && len(r.ExportTo) > 0 && !slices.Contains(r.ExportTo, "*")
	})
}

// Judge lists what is to be said about bridges that serve the same istiods, and about what others have in their cluster; nil
// where that is not known.
func Judge(bridges []Bridge, cluster *Kubernetes, now time.Time) []Section {
	reach := Section{Name: "bridge"}
	var up []Bridge
	for _, b := range bridges {
		if b.Err != nil {
			reach.Findings = append(reach.Findings, Finding{What: b.Err.Error()})
			continue
		}
		up = append(up, b)
	}
	report := []Section{reach}
	if len(up) == 0 {
		return report
	}
	several := len(bridges) > 1
	for _, b := range up {
		of := ""
		if several {
			of = " of " + b.Server
		}
		for _, s := range slices.Concat([]Section{gate(b), sourcesOf(b, now), rejectedOf(b)}, canaries(b)) {
			s.Name += of
			report = append(report, s)
		}
	}
	var streams []stream
	services := 0
	for _, b := range up {
		for _, c := range b.Clients {
			streams = append(streams, stream{c, b.Server})
		}
		services = max(services, servicesOf(b))
	}
	report = append(report, conflicts(up[0], cluster), visibility(up[0].Resources), clientsOf(streams, now), shards(streams, services, several))
	if len(up) > 1 {
		report = append(report, replicas(up))
	}
	return report
}

// cleaned are the lines of a remedy, which may tell a file's own words.
func cleaned(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, term.Clean(strings.TrimSpace(line)))
	}
	return lines
}

// Print writes the report, and reports whether there is trouble.
func Print(out io.Writer, report []Section) (trouble bool, err error) {
	for _, s := range report {
		verdict := "OK"
		switch {
		case s.Trouble():
			verdict, trouble = "trouble", true
		case len(s.Findings) > 0:
			verdict = "OK, but"
		case s.Fine != "":
			verdict = "OK (" + s.Fine + ")"
		}
		if s.Verdict != "" {
			verdict = s.Verdict
		}
		if _, err := fmt.Fprintf(out, "Checking %s... %s\n", s.Name, verdict); err != nil {
			return trouble, err
		}
		for _, f := range s.Findings {
			mark := "x"
			if f.Hint {
				mark = "-"
			}
			line := "  " + mark + " " + term.Clean(f.What)
			if f.Remedy != "" {
				line += "\n    " + strings.Join(cleaned(f.Remedy), "\n    ")
			}
			if _, err := fmt.Fprintln(out, line); err != nil {
				return trouble, err
			}
		}
	}
	verdict := "No trouble found."
	if trouble {
		verdict = "Trouble found."
	}
	_, err = fmt.Fprintln(out, verdict)
	return trouble, err
}
