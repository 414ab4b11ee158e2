package mcpserver

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
//	client [delta] [shard=1-of-2] [retain=0s] [anew] [rest]
//	                                            a new stream; anew: of a process that has begun since the last one ended,
//	                                            rest: which is given a second before kinds that are not ours are answered
//	request KIND [node=ID] [revision=R] [version=V] [nonce=N] [names=A,B] [unsubscribe=A] [held=NAME@VALUE,…]
//	ack KIND, nack KIND MESSAGE                 of what was sent last
//	apply [open] [+KIND:NAME@VALUE[,rev=R][,host=NAME][,gate[=N]]…] [-KIND:NAME] …
//	                                            a gate is of the state made by this very line, or by the N-th that changed anything
//	apply later …                               the same, but the session is not told
//	process                                     another process with the same state, all of it new to it
//	tick DURATION
//	deadline                                    when the session is to be asked again
//	held                                        what the client is kept from, and why
//	reached NAME GENERATION AGO                 whether the client had acknowledged all of a host in a generation, so long ago
//	times SETTLE RETAIN                         what these are from now on; at first 10s and 10m
//	counts                                      how much the client is taken to hold, and what it refused last
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
	c := &conversation{t: t, now: created, began: created, store: store.NewStore(), values: map[string]string{}, made: map[uint64]time.Time{}}
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
	values  map[string]string    // by the resource's version
	made    map[uint64]time.Time // when each generation was
}

var kindNames = map[string]store.Kind{"se": store.ServiceEntry, "dr": store.DestinationRule, "vs": store.VirtualService}

func (c *conversation) say(verb string, args []string) []string {
	switch verb {
	case "client":
		cfg := SessionConfig{Settle: 10 * time.Second, Retain: 10 * time.Minute, Since: c.began, Reconnect: 30 * time.Second}
		for _, a := range args {
			if a == "delta" {
				cfg.Delta = true
			} else if a == "rest" {
				cfg.Rest = time.Second
			} else if a == "anew" {
				if !c.session.resumable() {
					return []string{"the last session cannot be resumed"}
				}
				cfg.Before = Predecessor{Session: c.session, Ended: c.now}
			} else if v, ok := strings.CutPrefix(a, "shard="); ok {
				_, cfg.View.Shard, _ = parseAuthority(v)
			} else if v, ok := strings.CutPrefix(a, "retain="); ok {
				cfg.Retain = c.duration(v)
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
		c.now = c.now.Add(c.duration(args[0]))
		if c.session == nil {
			return nil
		}
		return c.show(c.session.Update(c.session.snap, c.now))
	case "deadline":
		if at, ok := c.session.Deadline(); ok {
			return []string{"in " + at.Sub(c.now).String()}
		}
		return []string{"none"}
	case "times":
		c.session.SetTimes(c.duration(args[0]), c.duration(args[1]))
		return nil
	case "reached":
		return []string{c.reached(args[0], args[1], args[2])}
	case "counts":
		var out []string
		for _, sub := range c.session.subs {
			if sub != nil {
				line := fmt.Sprintf("%s: %d", sub.kind.Kind, sub.count)
				if nack := c.session.clientKind(sub).Nack; nack != "" {
					line += ", but: " + nack
				}
				out = append(out, line)
			}
		}
		return out
	case "held":
		var out []string
		for _, sub := range c.session.subs {
			if sub != nil {
				k := c.session.clientKind(sub)
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

func (c *conversation) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

func (c *conversation) reached(host, generation, ago string) string {
	n, err := strconv.ParseUint(generation, 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.session.Reached(current(c.store), host, n, c.now.Add(-c.duration(ago))) {
		return "yes"
	}
	return "no"
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
	c.made[snap.Generation] = c.now
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
	for _, w := range words[1:] {
		switch verb, arg, _ := strings.Cut(w, "="); verb {
		case "rev":
			options = append(options, revision(arg))
		case "host":
			options = append(options, func(m *store.Meta) { m.Host = arg })
		case "gate":
			options = append(options, c.gate(arg))
		default:
			c.t.Fatalf("unknown option %q of a resource", w)
		}
	}
	r := resource(c.t, kindNames[kind], host, value, options...)
	c.values[r.Version] = value
	return r
}

func (c *conversation) gate(generation string) option {
	if generation == "" {
		return gated(current(c.store).Generation+1, c.now)
	}
	n, err := strconv.ParseUint(generation, 10, 64)
	if err != nil || c.made[n].IsZero() {
		c.t.Fatalf("there is no generation %q", generation)
	}
	return gated(n, c.made[n])
}

// process begins another process, whose first state is the last one of the former.
func (c *conversation) process() {
	old := current(c.store)
	change := store.Change{Open: old.Open}
	for _, kind := range store.Kinds() {
		for r := range old.All(kind, store.Shard{}) {
			change.Put = append(change.Put, resource(c.t, kind, r.Host, c.values[r.Version],
				func(m *store.Meta) { m.Labels = r.Labels }, changedAt(c.now), gated(min(r.Gate.Generation, 1), r.Gate.Since)))
		}
	}
	c.store, c.session, c.began, c.made = store.NewStore(), nil, c.now, map[uint64]time.Time{}
	c.made[c.store.Apply(change).Generation] = c.now
}

func (c *conversation) show(res Result) []string {
	var out []string
	for _, resp := range res.Responses {
		c.last[resp.TypeURL] = resp.Nonce
		line := fmt.Sprintf("%s nonce %s:", resp.TypeURL, resp.Nonce)
		list := func(rs []*store.Resource) {
			for _, r := range rs {
				line += fmt.Sprintf(" %s@%s", strings.TrimPrefix(r.Name, "ns/"), c.values[r.Version])
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
