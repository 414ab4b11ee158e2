package main

import (
	"bytes"
	"strings"
	"testing"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/sources"
)

// held is a bridge whose source orders holds a loss back.
func held(t *testing.T) string {
	b := admintest.New()
	src := admintest.Healthy("orders")
	src.Scopes[0].Held = &sources.Held{Instances: 20, Services: 10, Most: 20, Since: admintest.Now()}
	b.SetSources(src)
	return b.Start(t, nil)
}

func TestAReleaseIsPrintedForEachAddressAndScope(t *testing.T) {
	server := held(t)
	for _, step := range []struct {
		args []string
		code int
		out  string
		err  string
	}{
		{[]string{"release", "lost", "--server", server}, exitTrouble, "", "there is no source \"lost\""},
		{[]string{"release", "orders", "--server", server}, exitFine, "released 20 instances of 10 services in scope services", ""},
		{[]string{"release", "orders", "--server", server}, exitFine, "nothing was held", ""},
		{[]string{"release", "orders", "--server", server, "-o", "yaml"}, exitFine, "released: []", ""},
		{[]string{"release", "orders", "--server", server, "-o", "wide"}, exitUsage, "", "want one of"},
		{[]string{"release", "--server", server}, exitUsage, "", "name one"},
		{[]string{"release", "orders", "--server", "http://127.0.0.1:1"}, exitTrouble, "", "connection refused"},
	} {
		var out, err bytes.Buffer
		code := execute(t.Context(), step.args, terminal{out: &out, err: &err, env: func(string) string { return "" }})
		if code != step.code || !strings.Contains(out.String(), step.out) || !strings.Contains(err.String(), step.err) {
			t.Errorf("%v: exit %d, want %d\nout: %s\nerr: %s", step.args, code, step.code, &out, &err)
		}
	}
}

func TestEveryAddressOfAServersNameIsReleased(t *testing.T) {
	// localhost is 127.0.0.1 and, on most machines, ::1; the bridge listens on the first alone.
	server := strings.Replace(held(t), "127.0.0.1", "localhost", 1)
	var out, err bytes.Buffer
	execute(t.Context(), []string{"release", "orders", "--server", server}, terminal{out: &out, err: &err, env: func(string) string { return "" }})
	if !strings.Contains(out.String(), "(127.0.0.1:") || !strings.Contains(out.String(), "released 20 instances") {
		t.Errorf("out: %s\nerr: %s", &out, &err)
	}
}
