package mcpserver

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/store"
)

var update = flag.Bool("update", false, "write what came back into the conversations")

// The files of testdata are conversations with a session. Lines that begin with "<" are what came back; the others are:
//
//	client [delta] [shard=1-of-2]               a new stream
//	request KIND [node=ID] [revision=R] [version=V] [nonce=N] [names=A,B] [unsubscribe=A] [held=NAME@VALUE,…]
//	ack KIND, nack KIND MESSAGE                 of what was sent last
//	apply [open] [+KIND:NAME@VALUE[,rev=R][,has=PART][,needs=KIND:NAME[/PART]]…] [-KIND:NAME] …
//	apply later …                               the same, but the session is not told
//	process                                     another process with the same state, all of it new to it
//	tick DURATION
//	deadline                                    when the session is to be asked again
//	held                                        what the client is kept from, and why
//
// KIND is se, dr, vs, or a whole type URL.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := converse(t, string(raw))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(raw), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-file +now):\n%s", file, diff)
			}
		})
	}
}

func converse(t *testing.T, text string) string {
	c := &conversation{t: t, now: created, began: created, store: store.NewStore(), values: map[string]string{}}
	var out strings.Builder
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.HasPrefix(line, "<") {
			continue
		}
		out.WriteString(line)
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		for _, l := range c.say(words[0], words[1:]) {
			fmt.Fprintf(&out, "< %s\n", l)
		}
	}
	return out.String()
}

type conversation struct {
	t       *testing.T
	now     time.Time
	began   time.Time // the process
	store   *store.Store
	session *Session
	last    map[string]string // nonce of the last response, by type URL
	version string
	values  map[string]string // by the resource's version
}

var kindNames = map[string]store.Kind{"se": store.ServiceEntry, "dr": store.DestinationRule, "vs": store.VirtualService}

func (c *conversation) say(verb string, args []string) []string {
	switch verb {
	case "client":
		cfg := SessionConfig{Settle: 10 * time.Second, Retain: 10 * time.Minute, Since: c.began}
		for _, a := range args {
			if a == "delta" {
				cfg.Delta = true
			} else if v, ok := strings.CutPrefix(a, "shard="); ok {
				_, cfg.View.Shard, _ = parseAuthority(v)
			}
		}
		c.session, c.last, c.version = NewSession(cfg, current(c.store), c.now), map[string]string{}, "v1"
		return nil
	case "request":
		return c.request(args)
	case "ack":
		return c.send(Request{TypeURL: c.url(args[0]), Nonce: c.last[c.url(args[0])]})
	case "nack":
		return c.send(Request{TypeURL: c.url(args[0]), Nonce: c.last[c.url(args[0])], Rejected: true, Error: strings.Join(args[1:], " ")})
	case "apply":
		return c.apply(args)
	case "process":
		c.process()
		return nil
	case "tick":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			c.t.Fatal(err)
		}
		c.now = c.now.Add(d)
		if c.session == nil {
			return nil
		}
		return c.show(c.session.Update(c.session.snap, c.now))
	case "deadline":
		if at, ok := c.session.Deadline(); ok {
			return []string{"in " + at.Sub(c.now).String()}
		}
		return []string{"none"}
	case "held":
		var out []string
		for i, sub := range c.session.subs {
			if sub != nil {
				k := c.session.clientKind(i, sub)
				if k.Waiting != "" {
					out = append(out, k.Kind+" waits: "+k.Waiting+c.in(k.WaitingUntil))
				}
				for _, h := range k.Held {
					out = append(out, k.Kind+" "+h.Name+": "+h.Reason+c.in(h.Due))
				}
			}
		}
		return out
	}
	c.t.Fatalf("unknown verb %q", verb)
	return nil
}

func (c *conversation) in(due *time.Time) string {
	if due == nil {
		return ""
	}
	return fmt.Sprintf(" (in %s)", due.Sub(c.now))
}

func (c *conversation) url(kind string) string {
	if k, ok := kindNames[kind]; ok {
		return k.Group + "/" + c.version + "/" + k.Kind
	}
	return kind
}

func (c *conversation) request(args []string) []string {
	req := Request{Nonce: "junk", Node: &Node{ID: "istiod"}}
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "node":
			req.Node = nil
		case "revision":
			req.Node.Revision = value
		case "version":
			c.version = value
		case "nonce":
			req.Nonce = value
		case "names":
			req.Names = strings.Split(value, ",")
		case "unsubscribe":
			req.Unsubscribe = strings.Split(value, ",")
		case "deadline":
			if at, ok := c.session.Deadline(); ok {
				return []string{"in " + at.Sub(c.now).String()}
			}
			return []string{"none"}
		case "held":
			req.Initial = map[string]string{}
			for _, h := range strings.Split(value, ",") {
				name, v, _ := strings.Cut(h, "@")
				r := resource(c.t, kindNames[args[0]], name, v)
				req.Initial[r.Name] = r.Version
			}
		}
	}
	if req.TypeURL = c.url(args[0]); req.TypeURL == "none" {
		req.TypeURL = ""
	}
	return c.send(req)
}

func (c *conversation) send(req Request) []string {
	res, err := c.session.Request(req, c.now)
	if err != nil {
		return []string{"error " + status.Code(err).String() + ": " + status.Convert(err).Message()}
	}
	out := c.show(res)
	if res.Nack != nil {
		out = append([]string{"refused: " + res.Nack.Message}, out...)
	}
	return out
}

func (c *conversation) apply(args []string) []string {
	var change store.Change
	tell := true
	for _, a := range args {
		switch {
		case a == "open":
			change.Open = true
		case a == "later":
			tell = false
		case a[0] == '-':
			kind, host, _ := strings.Cut(a[1:], ":")
			change.Remove = append(change.Remove, removal(kindNames[kind], host))
		default:
			change.Put = append(change.Put, c.resource(a[1:]))
		}
	}
	snap := c.store.Apply(change)
	if c.session == nil || !tell {
		return nil
	}
	return c.show(c.session.Update(snap, c.now))
}

func (c *conversation) resource(text string) *store.Resource {
	words := strings.Split(text, ",")
	kind, rest, _ := strings.Cut(words[0], ":")
	host, value, _ := strings.Cut(rest, "@")
	options := []option{changedAt(c.now)}
	var parts []string
	var needs []store.Need
	for _, w := range words[1:] {
		switch verb, arg, _ := strings.Cut(w, "="); verb {
		case "rev":
			options = append(options, revision(arg))
		case "has":
			parts = append(parts, arg)
		case "needs":
			of, part, _ := strings.Cut(arg, "/")
			kind, host, _ := strings.Cut(of, ":")
			needs = append(needs, store.Need{Key: key(kindNames[kind], host), Part: part})
		default:
			c.t.Fatalf("unknown option %q of a resource", w)
		}
	}
	old := current(c.store).Lookup(key(kindNames[kind], host), host)
	r := resource(c.t, kindNames[kind], host, value, append(options, needing(needs...), having(old, c.now, parts...))...)
	c.values[r.Version] = value
	return r
}

// process begins another process.
func (c *conversation) process() {
	old := current(c.store)
	change := store.Change{Open: old.Open}
	for _, kind := range store.Kinds() {
		for r := range old.All(kind, store.Shard{}) {
			var parts []string
			for _, p := range r.Parts {
				parts = append(parts, p.Name)
			}
			change.Put = append(change.Put, resource(c.t, kind, r.Host, c.values[r.Version],
				func(m *store.Meta) { m.Labels = r.Labels }, changedAt(c.now), needing(r.Needs...), having(nil, c.now, parts...)))
		}
	}
	c.store, c.session, c.began = store.NewStore(), nil, c.now
	c.store.Apply(change)
}

func (c *conversation) show(res Result) []string {
	var out []string
	for _, resp := range res.Responses {
		c.last[resp.TypeURL] = resp.Nonce
		line := fmt.Sprintf("%s nonce %s:", resp.TypeURL, resp.Nonce)
		list := func(rs []*store.Resource) {
			for _, r := range rs {
				line += fmt.Sprintf(" %s@%s", r.Host, c.values[r.Version])
			}
		}
		if resp.Delta {
			list(resp.Upserts)
			for _, name := range resp.Removed {
				line += " -" + strings.TrimPrefix(name, "ns/")
			}
		} else {
			var all []*store.Resource
			for r := range resp.Resources() {
				all = append(all, r)
			}
			list(all)
		}
		if strings.HasSuffix(line, ":") {
			line += " nothing"
		}
		out = append(out, line)
	}
	return out
}
