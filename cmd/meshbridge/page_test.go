package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestTheCommandsOfThePageOfCanariesRun runs every command of docs/canary.md, where a bridge serves the third
// state of the example echo-foxtrot.
func TestTheCommandsOfThePageOfCanariesRun(t *testing.T) {
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(docs, "canary.md"))
	example := filepath.Join(docs, "examples", "echo-foxtrot")
	t.Chdir(t.TempDir())
	for _, state := range []string{"", "steps/2-v2-deployed", "steps/3-header"} {
		overlay(t, filepath.Join(example, state))
	}
	write(t, "echo.yaml", read(t, filepath.Join(example, "steps/5-weight-100/canaries/echo.yaml")))
	server := serve(t)

	want := map[string]int{"canary diff": exitTrouble} // as diff has it: something would change
	ran := 0
	for _, block := range shell.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			args, ok := strings.CutPrefix(strings.TrimSpace(line), "meshbridge ")
			if !ok {
				t.Errorf("nobody runs %q", line)
				continue
			}
			code := exitFine
			for prefix, c := range want {
				if strings.HasPrefix(args, prefix) {
					args, code = args+" --server "+server, c
				}
			}
			overlay(t, filepath.Join(example, "steps/3-header")) // the commands of a block are for this state, each
			if r := command(t, strings.ReplaceAll(args, "docs/examples", filepath.Join(docs, "examples"))); r.code != code {
				t.Errorf("%s: exit %d, want %d\n%s%s", args, r.code, code, r.out, r.errs)
			}
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("the page has %d commands", ran)
	}
}

var (
	printed = regexp.MustCompile("(?ms)^```text ([a-z ]+)\n(.*?)^```$")
	moment  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\b\d+[smhd]\b`)
)

// TestWhatThePageOfCanariesShowsIsPrinted has a bridge serve the first state of the example bad-document, and then the second.
func TestWhatThePageOfCanariesShowsIsPrinted(t *testing.T) {
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	blocks := printed.FindAllStringSubmatch(read(t, filepath.Join(docs, "canary.md")), -1)
	if len(blocks) < 2 {
		t.Errorf("the page shows %d outputs", len(blocks))
	}
	t.Chdir(t.TempDir())
	overlay(t, filepath.Join(docs, "examples/bad-document"))
	server := serve(t)
	overlay(t, filepath.Join(docs, "examples/bad-document/steps/2-mistake"))
	ask := func(args string) string { r := command(t, args+" --server "+server); return r.out + r.errs }
	deadline := time.Now().Add(30 * time.Second)
	for got := ""; !strings.Contains(got, "lastGood") || !strings.Contains(got, "100%"); got = ask("get canaries") {
		if time.Now().After(deadline) {
			t.Fatalf("the second state is not served:\n%s", got)
		}
		time.Sleep(50 * time.Millisecond) // each command leaves a connection open, of which the API takes some hundred
	}
	for _, b := range blocks {
		if got := lines(ask(b[1])); !strings.Contains(got, lines(b[2])) {
			t.Errorf("the page has of %s\n%s\nbut it is\n%s", b[1], lines(b[2]), got)
		}
	}
}

// lines are a text without what depends on the time of day, and how wide that makes the columns of a table.
func lines(text string) string {
	var all []string
	for line := range strings.Lines(moment.ReplaceAllString(text, "TIME")) {
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(all, "\n")
}

// overlay copies a state of an example over the current folder.
func overlay(t *testing.T, from string) {
	t.Helper()
	for _, glob := range []string{"*.yaml", "*/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(from, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name, err := filepath.Rel(from, file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, name, read(t, file))
		}
	}
}

// serve runs a bridge with what lies in the current folder, until the test ends, and returns where its API is.
func serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	write(t, "serve.yaml", read(t, "meshbridge.yaml")+fmt.Sprintf("mcp: {address: '127.0.0.1:0'}\nadmin: {address: %q}\n", address))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	var out bytes.Buffer
	go func() {
		done <- execute(ctx, []string{"run", "--config", "serve.yaml"}, terminal{out: &out, err: &out, env: os.Getenv})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitFine {
			t.Errorf("the bridge ended with %d\n%s", code, &out)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		if resp, err := client.Get("http://" + address + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case code := <-done:
			done <- code
			t.Fatal("the bridge ended")
		}
	}
}
