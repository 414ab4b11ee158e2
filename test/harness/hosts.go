package harness

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// SetHosts makes each name resolve to its addresses (separated by commas) for every process inside the namespaces, until
// the test ends. Names given before are forgotten. Go's resolver reads the change within 5 s.
func SetHosts(t testing.TB, hosts map[string]string) {
	t.Helper()
	writeHosts(t, hosts)
	t.Cleanup(func() { writeHosts(t, nil) })
}

func writeHosts(t testing.TB, hosts map[string]string) {
	t.Helper()
	lines := []string{localhost}
	for name, addresses := range hosts {
		for address := range strings.SplitSeq(addresses, ",") {
			lines = append(lines, fmt.Sprintf("%s %s\n", address, name))
		}
	}
	slices.Sort(lines[1:])
	// Written in place: the mount is on the file, and a new one would lie beside it.
	if err := os.WriteFile("/etc/hosts", []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatalf("write the hosts: %v", err)
	}
}
