package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/canaryedit"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/term"
	"meshbridge/convert"
)

// asker asks bridges what they would make of an edit before it is made.
type asker struct {
	clients []*client.Client
	named   bool // by the user: each has to answer
	said    []string
}

// say prints a line, once for an edit that has to begin anew.
func (a *asker) say(t terminal, line string) {
	if !slices.Contains(a.said, line) {
		a.said = append(a.said, line)
		fmt.Fprintln(t.err, line)
	}
}

// judge refuses an edit of a document that a bridge would refuse, or that would change nothing at any of the bridges.
func (a *asker) judge(ctx context.Context, t terminal, file canaryedit.File, doc string, before, after []byte) error {
	var idle []string
	for _, c := range a.clients {
		reason, err := a.idleBecause(ctx, t, c, file, doc, before, after)
		if !a.named && errors.Is(err, syscall.ECONNREFUSED) {
			a.say(t, "no bridge answers at "+c.Server()+": the file is edited without asking one")
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is left as it is: %w", file.Path, err)
		}
		if reason != "" {
			idle = append(idle, reason)
		}
	}
	if len(idle) == len(a.clients) {
		return fmt.Errorf("%s is left as it is, since nothing would change: %s", file.Path, idle[0])
	}
	return nil
}

// idleBecause says why an edit would change nothing at a bridge; "" if it would, or if the bridge cannot tell. The error says why the
// bridge would refuse the document.
func (a *asker) idleBecause(ctx context.Context, t terminal, c *client.Client, file canaryedit.File, doc string, before, after []byte) (string, error) {
	if changes, err := preview(ctx, c, file.Path, canaryedit.Alone(after, doc)); err != nil || changes > 0 {
		return "", err
	}
	// If what the file says now would change something, then the bridge serves something else, be it that it does not take it or
	// has not read it yet: the edit decides what comes of the file.
	switch changes, err := preview(ctx, c, file.Path, canaryedit.Alone(before, doc)); {
	case errors.As(err, new(*refusedError)), changes > 0:
		return "", nil
	case err != nil:
		return "", err
	}
	q := url.Values{}
	if file.Team != "" {
		q.Set("team", file.Team)
	}
	list, err := c.Canaries(ctx, q)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(list, func(d api.Canary) bool { return d.Name == doc })
	switch {
	case i < 0:
		return fmt.Sprintf("the bridge at %s has no such document; does it read this file?", c.Server()), nil
	case list[i].State == convert.CanaryPending, slices.ContainsFunc(list[i].Findings, func(f api.CanaryFinding) bool { return f.Class == convert.FindingUnknown }):
		a.say(t, fmt.Sprintf("the bridge at %s does not know all services of %s: what the edit changes there cannot be told", c.Server(), doc))
		return "", nil
	case list[i].State == convert.CanarySuperseded:
		return fmt.Sprintf("at %s another document is active in the place of this one; meshbridge check names it", c.Server()), nil
	}
	return fmt.Sprintf("the bridge at %s would serve what it serves now", c.Server()), nil
}

// refusedError says why a bridge would not take a document, with a line for each fault.
type refusedError struct{ server, text string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the bridge at %s would refuse it: %s", e.server, e.text)
}

// preview counts the objects that documents would change at a bridge; a *refusedError if it would not take them.
func preview(ctx context.Context, c *client.Client, path string, text []byte) (changes int, err error) {
	answer, err := c.Preview(ctx, path, text)
	if p := new(client.ProblemError); errors.As(err, &p) && p.Status == http.StatusUnprocessableEntity {
		err = &refusedError{c.Server(), withFaults(p)}
	}
	return len(answer.Changes), err
}

// withFaults is why a bridge takes no documents, with a line for each fault.
func withFaults(p *client.ProblemError) string {
	return term.Clean(p.Detail) + ":\n  " + strings.Join(faultTexts(p.Faults), "\n  ")
}
