package harness

import (
	"strings"
	"testing"
)

// newJava prepares a Java server with the settings that make a short life quick.
func newJava(t testing.TB, name string, heap string, args ...string) *Process {
	t.Helper()
	p := newProcess(t, name, "java")
	p.args = append([]string{"-Xmx" + heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.home=" + p.Dir}, args...)
	return p
}

// printed is a check that the process has printed the text.
func (p *Process) printed(text string) func() error {
	return func() error {
		if strings.Contains(p.Log(), text) {
			return nil
		}
		return errNotPrinted(text)
	}
}

type errNotPrinted string

func (e errNotPrinted) Error() string { return "it has not printed " + string(e) }
