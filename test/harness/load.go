package harness

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Load sends requests at a steady rate, whether or not earlier ones have been answered.
type Load struct {
	t      testing.TB
	rate   int
	next   func(n int) Request
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	gap sync.RWMutex // held by each request while it is out

	// Guarded by mu.
	mu     sync.Mutex
	report Report
	last   time.Time            // when the newest good answer came
	told   map[string]time.Time // by fault, when it was last added to the report
}

// Report is what came of a load.
type Report struct {
	Sent    int
	Failed  int            // not answered with 200
	Gap     time.Duration  // the longest time without a good answer
	Stall   time.Duration  // the longest time by which a request was sent late, since the sender did not run
	Answers map[string]int // by the class of the request and the versions of its hops, as in "header v2"
	Faults  []string       // of failed ones, the first of each kind in each second
}

// String is one line for people.
func (r Report) String() string {
	var answers []string
	for _, name := range slices.Sorted(maps.Keys(r.Answers)) {
		answers = append(answers, fmt.Sprintf("%s %d", name, r.Answers[name]))
	}
	stall := ""
	if r.Stall > 0 {
		stall = fmt.Sprintf("; the sender itself stood still for %s", r.Stall.Round(time.Millisecond))
	}
	return fmt.Sprintf("sent %d, failed %d, longest gap %s%s (%s)", r.Sent, r.Failed, r.Gap.Round(time.Millisecond), stall, strings.Join(answers, ", "))
}

// StartLoad starts sending rate requests a second until Stop; next gives the n-th.
func StartLoad(t testing.TB, rate int, next func(n int) Request) *Load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{
		t: t, rate: rate, next: next, client: keepAlive(), cancel: cancel, done: make(chan struct{}),
		report: Report{Answers: map[string]int{}}, last: time.Now(), told: map[string]time.Time{},
	}
	go l.run(ctx)
	t.Cleanup(func() { // a test that failed has not stopped it
		cancel()
		<-l.done
	})
	return l
}

func (l *Load) run(ctx context.Context) {
	defer close(l.done)
	defer l.client.CloseIdleConnections()
	var wait sync.WaitGroup
	defer wait.Wait()
	due := time.Now()
	for n := 0; ; n++ {
		due = due.Add(time.Second / time.Duration(l.rate))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		// A sender that was kept from running goes on from now: no client sends in one instant what it had for some seconds.
		if late := time.Since(due); late > 100*time.Millisecond {
			due = time.Now()
			l.mu.Lock()
			l.report.Stall = max(l.report.Stall, late)
			l.mu.Unlock()
		}
		wait.Go(func() { l.send(l.next(n)) })
	}
}

func (l *Load) send(request Request) {
	l.gap.RLock()
	hops, err := Call(l.client, request)
	l.gap.RUnlock()
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Sent++
	if err != nil {
		l.report.Failed++
		fault := fmt.Sprintf("%s: %v", request.Class, err)
		if now.Sub(l.told[fault]) > time.Second && len(l.report.Faults) < 40 {
			l.told[fault] = now
			l.report.Faults = append(l.report.Faults, now.Format("15:04:05.000 ")+fault)
		}
		return
	}
	l.report.Gap = max(l.report.Gap, now.Sub(l.last))
	l.last = now
	l.report.Answers[strings.TrimSpace(request.Class+" "+Versions(hops))]++
}

// Versions are the versions of the hops, as in "gray base".
func Versions(hops []Hop) string {
	var versions []string
	for _, h := range hops {
		versions = append(versions, h.Version)
	}
	return strings.Join(versions, " ")
}

// Between does something between two requests, when none is out: what takes a moment, such as to kill a process, which takes what
// it is answering along with it.
func (l *Load) Between(do func()) {
	l.gap.Lock()
	defer l.gap.Unlock()
	do()
}

// Report is what came so far.
func (l *Load) Report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report
	r.Answers, r.Faults = maps.Clone(r.Answers), slices.Clone(r.Faults)
	return r
}

// Stop ends the load, waits for its last answers, and prints the report.
func (l *Load) Stop() Report {
	l.t.Helper()
	l.cancel()
	<-l.done
	r := l.Report()
	r.Gap = max(r.Gap, time.Since(l.last))
	l.t.Logf("%d requests/s: %s", l.rate, r)
	return r
}

// Burst makes n requests as fast as they are answered, and counts as [Report] does; the map has an entry for each failure, too.
func Burst(n int, next func(n int) Request) map[string]int {
	client := keepAlive()
	defer client.CloseIdleConnections()
	const width = 8
	var mu sync.Mutex
	var wait sync.WaitGroup
	found := map[string]int{}
	for w := range width {
		wait.Go(func() {
			for i := w; i < n; i += width {
				request := next(i)
				hops, err := Call(client, request)
				answer := Versions(hops)
				if err != nil {
					answer = err.Error()
				}
				mu.Lock()
				found[strings.TrimSpace(request.Class+" "+answer)]++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return found
}
