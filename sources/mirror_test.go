package sources_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMirror(expected ...sources.Expected) *sources.Mirror {
	m := sources.NewMirror(time.Now, slog.New(slog.DiscardHandler))
	m.Expect(expected)
	return m
}

func service(name string, instances ...string) *sources.Service {
	s := &sources.Service{Key: sources.Key{Name: name}}
	for _, id := range instances {
		s.Instances = append(s.Instances, sources.Instance{ID: id, Address: id, Ports: []sources.Port{{Number: 80}}, Weight: 100, Healthy: true, Enabled: true})
	}
	return s
}

func took(m *sources.Mirror) (string, bool) {
	changes, open := m.Take()
	var names []string
	for _, c := range changes {
		n := -1
		if c.Service != nil {
			n = len(c.Service.Instances)
		}
		names = append(names, fmt.Sprintf("%s/%s=%d", c.Ref.Source, c.Ref.Key.Name, n))
	}
	return strings.Join(names, " "), open
}

func expect(t *testing.T, m *sources.Mirror, want string, wantOpen bool) {
	t.Helper()
	if got, open := took(m); got != want || open != wantOpen {
		t.Errorf("took %q, open %v; want %q, open %v", got, open, want, wantOpen)
	}
}

func TestOnlyWhatChangedIsTaken(t *testing.T) {
	m := newMirror(sources.Expected{Name: "a", Required: true})
	sink := m.Sink("a")
	sink.Scopes([]string{"s"})
	sink.Snapshot("s", []*sources.Service{service("x", "1"), service("y", "1", "2")}, nil)
	expect(t, m, "a/x=1 a/y=2", true)
	sink.Snapshot("s", []*sources.Service{service("y", "2", "1"), service("x", "1", "3")}, nil)
	expect(t, m, "a/x=2", true)
	sink.Update("s", []*sources.Service{service("y")}, []sources.Key{{Scope: "s", Name: "x"}, {Scope: "s", Name: "never"}})
	expect(t, m, "a/x=-1 a/y=0", true)
	expect(t, m, "", true)
}

func TestTheGateOpensWhenEveryScopeOfEveryRequiredSourceIsRead(t *testing.T) {
	m := newMirror(sources.Expected{Name: "a", Required: true}, sources.Expected{Name: "b", Required: true}, sources.Expected{Name: "c"})
	a, b := m.Sink("a"), m.Sink("b")
	a.Scopes([]string{"s1", "s2"})
	a.Snapshot("s1", nil, nil)
	a.Update("s2", []*sources.Service{service("part", "1")}, nil)
	b.Scopes([]string{"s"})
	b.State("s", errors.New("refused"))
	expect(t, m, "a/part=1", false)
	if diff := cmp.Diff([]string{`source a: scope "s2" not read yet`, `source b: scope "s" not read yet: refused`}, m.Waiting()); diff != "" {
		t.Error(diff)
	}
	a.Snapshot("s2", []*sources.Service{service("part", "1")}, nil)
	expect(t, m, "", false)
	b.Snapshot("s", nil, nil)
	select {
	case <-m.Dirty():
	default:
		t.Error("the consumer is not woken when the gate opens without a change")
	}
	expect(t, m, "", true)
	if len(m.Waiting()) != 0 {
		t.Error("an open gate waits for", m.Waiting())
	}
}

func TestTheGateOpensWithTheLastPartOfManyServices(t *testing.T) {
	m := newMirror(sources.Expected{Name: "a", Required: true})
	sink := m.Sink("a")
	sink.Scopes([]string{"s"})
	var many []*sources.Service
	for i := range 5000 {
		many = append(many, service(fmt.Sprint("x", i), "1"))
	}
	sink.Snapshot("s", many, nil)
	taken := 0
	for open := false; !open; {
		<-m.Dirty()
		var part []sources.Change
		part, open = m.Take()
		taken += len(part)
		if open != (taken == len(many)) {
			t.Fatalf("after %d of %d services open is %v", taken, len(many), open)
		}
	}
}

func TestTheGateNeverClosesAgain(t *testing.T) {
	m := newMirror()
	expect(t, m, "", true)
	m.Expect([]sources.Expected{{Name: "late", Required: true}})
	m.Sink("late").Scopes([]string{"s"})
	expect(t, m, "", true)
}

func TestASourceNoLongerExpectedIsForgottenAndItsReportsAreDropped(t *testing.T) {
	m := newMirror(sources.Expected{Name: "a", Required: true}, sources.Expected{Name: "b", Required: true})
	for _, n := range []string{"a", "b"} {
		m.Sink(n).Scopes([]string{"s"})
		m.Sink(n).Snapshot("s", []*sources.Service{service("x", "1")}, nil)
	}
	expect(t, m, "a/x=1 b/x=1", true)
	m.Expect([]sources.Expected{{Name: "b", Required: true}})
	m.Sink("a").Update("s", []*sources.Service{service("late", "1")}, nil)
	expect(t, m, "a/x=-1", true)
}

func TestAScopeNoLongerNamedIsForgotten(t *testing.T) {
	m := newMirror(sources.Expected{Name: "a", Required: true})
	sink := m.Sink("a")
	sink.Scopes([]string{"s1", "s2"})
	sink.Snapshot("s1", []*sources.Service{service("x", "1")}, nil)
	sink.Snapshot("s2", []*sources.Service{service("x", "1")}, nil)
	expect(t, m, "a/x=1 a/x=1", true)
	sink.Scopes([]string{"s2"})
	expect(t, m, "a/x=-1", true)
}

func TestALostSourceIsUnknownAndKeepsWhatItReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := sources.NewMirror(time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		m.Expect([]sources.Expected{{Name: "a", Kind: "script", Required: true}})
		script := sourcetest.NewScript()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			sources.Run(ctx, m, "a", script, sources.Backoff{First: time.Second, Most: 8 * time.Second})
		}()
		report := func(s sources.Sink) error {
			s.Scopes([]string{"s"})
			s.Snapshot("s", []*sources.Service{service("x", "1")}, nil)
			return nil
		}
		script.Do(ctx, report)
		synctest.Wait()
		expect(t, m, "a/x=1", true)
		for range 5 {
			script.Do(ctx, func(sources.Sink) error { return errors.New("connection reset") })
		}
		synctest.Wait()
		expect(t, m, "", true)
		if m.Service(sources.Ref{Source: "a", Key: sources.Key{Scope: "s", Name: "x"}}) == nil {
			t.Error("the last report went with the connection")
		}
		if s := m.Sources()[0]; s.Scopes[0].State != sources.Unknown || s.Err != "connection reset" || s.Restarts != 5 {
			t.Errorf("status %+v", s)
		}
		script.Do(ctx, report)
		synctest.Wait()
		expect(t, m, "", true)
		if s := m.Sources()[0]; s.Scopes[0].State != sources.Synced || s.Err != "" {
			t.Errorf("status after the recovery %+v", s)
		}
		if n := strings.Count(log.String(), "source lost"); n != 1 {
			t.Errorf("%d log lines for one change of state:\n%s", n, log.String())
		}
		cancel()
		<-done
	})
}

func TestCountsFollowTheServices(t *testing.T) {
	m := newMirror(sources.Expected{Name: "a", Required: true})
	sink := m.Sink("a")
	sink.Scopes([]string{"s"})
	sick := service("y", "1", "2")
	sick.Instances[0].Healthy = false
	sink.Snapshot("s", []*sources.Service{service("x", "1"), sick}, nil)
	st := m.Sources()[0].Scopes[0]
	if st.Services != 2 || st.Instances != 3 || st.Usable != 2 {
		t.Errorf("%d services, %d instances, %d usable", st.Services, st.Instances, st.Usable)
	}
	sink.Update("s", nil, []sources.Key{{Scope: "s", Name: "y"}})
	st = m.Sources()[0].Scopes[0]
	if st.Services != 1 || st.Instances != 1 || st.Usable != 1 || st.Events != 3 {
		t.Errorf("after a removal: %d services, %d instances, %d usable, %d events", st.Services, st.Instances, st.Usable, st.Events)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	type config struct{ Password sources.Secret }
	c := config{"hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "secret", c.Password)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %q %d %x %s %s", c, c, c, c.Password, c.Password, c.Password, c.Password, log.String(), asJSON)
	if strings.Contains(all, "hunter2") {
		t.Error(all)
	}
	if c.Password.Reveal() != "hunter2" {
		t.Error("the secret is lost")
	}
}
