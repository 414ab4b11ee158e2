//go:build faults

// Package faults does to each registry what docs/faults.md lists, and compares what an MCP client holds with that page.
//
// TestFaults starts one process of this binary for each registry, all at once, each in network, mount and process namespaces of its
// own. Such a process runs TestRegistry: one real registry, and for each fault a new bridge process and a new client. What
// a registry can do is a [registry]; what is done to it is a [scenario]. No result is written by hand: the words of a cell
// follow from what the client held.
package faults

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// Set for the process of one registry.
const (
	registryVariable = "MESHBRIDGE_FAULTS_REGISTRY"
	resultVariable   = "MESHBRIDGE_FAULTS_RESULT" // the file that takes a line of JSON for each cell
)

// onlyVariable narrows a run by hand to the cells "registry/fault" that a regular expression matches.
const onlyVariable = "MESHBRIDGE_FAULTS_ONLY"

func TestMain(m *testing.M) {
	if os.Getenv(registryVariable) != "" {
		harness.Isolate()
		os.Exit(m.Run())
	}
	remove, err := harness.BuildBridge()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

// cell is what was measured for one registry and fault.
type cell struct {
	Registry, Fault         string
	During, Outlived, After string
	Passed                  time.Duration // from the fault until a held loss passed, 0 if none did
	Recovery                time.Duration // from the end of the fault until the client held what is registered
}

func (c cell) words() string { return strings.Join([]string{c.During, c.Outlived, c.After}, " · ") }

// wanted reports whether a run that was narrowed by hand contains the cell.
func wanted(registry, fault string) bool {
	return regexp.MustCompile(cmp.Or(os.Getenv(onlyVariable), ".")).MatchString(registry + "/" + fault)
}

// TestRegistry measures the faults of one registry, in its own process.
func TestRegistry(t *testing.T) {
	name := os.Getenv(registryVariable)
	if name == "" {
		return // the process that starts the others
	}
	out, err := os.OpenFile(os.Getenv(resultVariable), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	reg := registries[name](t)
	for _, s := range scenarios {
		if !wanted(name, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			result := measure(t, reg, s)
			result.Registry, result.Fault = name, s.name
			if err := json.NewEncoder(out).Encode(result); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestFaults measures all registries side by side, prints the table, and compares it with the page.
func TestFaults(t *testing.T) {
	if os.Getenv(registryVariable) != "" {
		return
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	expected, err := parsePage(string(page))
	if err != nil {
		t.Fatalf("docs/faults.md: %v", err)
	}
	measured := measureAll(t)
	printTable(os.Stdout, measured)
	for _, s := range scenarios {
		for _, registry := range registryNames {
			if !wanted(registry, s.name) {
				continue
			}
			t.Run(s.name+"/"+registry, func(t *testing.T) {
				want, listed := expected[key{registry, s.name}]
				got, done := measured[key{registry, s.name}]
				switch {
				case !listed:
					t.Errorf("docs/faults.md lacks it; measured: %s", got.words())
				case !done:
					t.Errorf("it was not measured; see above; the page says %s", want.words())
				case got.words() != want.words():
					t.Errorf("measured %s; the page says %s", got.words(), want.words())
				}
				delete(expected, key{registry, s.name})
			})
		}
	}
	for k, c := range expected {
		if wanted(k.registry, k.fault) {
			t.Errorf("docs/faults.md has a fault that nothing measures: %s, %s: %s", k.fault, k.registry, c.words())
		}
	}
}

// measureAll runs one process for each registry, all at once, and returns what they measured.
func measureAll(t *testing.T) map[key]cell {
	dir := harness.Scratch(t, "faults")
	var wait sync.WaitGroup
	for _, name := range registryNames {
		if !wantedAny(name) {
			continue
		}
		wait.Go(func() {
			start := time.Now()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestRegistry$", "-test.v", "-test.timeout=18m")
			cmd.Env = append(os.Environ(), registryVariable+"="+name, resultVariable+"="+filepath.Join(dir, name+".json"))
			output, err := cmd.CombinedOutput()
			if err := os.WriteFile(filepath.Join(dir, name+".log"), output, 0o644); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, reasons(string(output)))
			}
			fmt.Printf("%s: %.1f minutes\n", name, time.Since(start).Minutes())
		})
	}
	wait.Wait()
	measured := map[key]cell{}
	for _, name := range registryNames {
		content, err := os.ReadFile(filepath.Join(dir, name+".json"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		for line := range strings.Lines(string(content)) {
			var c cell
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Errorf("%s: %v in %s", name, err, line)
			}
			measured[key{c.Registry, c.Fault}] = c
		}
	}
	return measured
}

func wantedAny(registry string) bool {
	for _, s := range scenarios {
		if wanted(registry, s.name) {
			return true
		}
	}
	return false
}

// reasons are the lines of a process that say what failed and what its bridges logged, without those of the registry.
func reasons(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		if strings.Contains(line, "_test.go:") || strings.Contains(line, "--- FAIL") || strings.Contains(line, "msg=") || strings.Contains(line, "panic") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-150):], "")
}
