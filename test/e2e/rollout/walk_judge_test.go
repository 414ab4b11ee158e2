//go:build e2e

package rollout

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"meshbridge/test/harness"
)

// part is a share of the requests of one kind: in percent, of instances that fit.
type part struct {
	weight int
	fits   func(labels) bool
}

func has(selector labels) func(labels) bool {
	return func(l labels) bool {
		for key, value := range selector {
			if l[key] != value {
				return false
			}
		}
		return true
	}
}

// expected is where requests of a caller with a header go that come to a host. exposer is the document whose rules by header hold
// at the gateway; nil: those of all hold.
func (w *walk) expected(host, caller string, header labels, exposer *draft) []part {
	docs := w.about(host)
	if len(docs) == 0 {
		return []part{{100, has(nil)}}
	}
	from := func(d *draft) bool { return d.From == nil || d.From["labels"]["app"] == caller }
	for _, d := range docs {
		if !from(d) || exposer != nil && exposer != d {
			continue
		}
		for _, b := range d.Canaries {
			if len(b.Headers) > 0 && matches(b.Headers, header) {
				return []part{{100, has(b.selector())}}
			}
		}
	}
	d := docs[max(0, slices.IndexFunc(docs, func(d *draft) bool {
		return d.Primary != nil || slices.ContainsFunc(d.Canaries, func(b branch) bool { return b.Weight > 0 })
	}))]
	primary := part{100, has(d.selector())}
	if d.Primary == nil {
		primary.fits = unclaimed(docs)
	}
	var parts []part
	if from(d) {
		for _, b := range d.Canaries {
			if b.Weight > 0 {
				parts = append(parts, part{b.Weight, has(b.selector())})
				primary.weight -= b.Weight
			}
		}
	}
	if primary.weight > 0 {
		parts = append(parts, primary)
	}
	return parts
}

// unclaimed are the instances that no canary of the documents chooses.
func unclaimed(docs []*draft) func(labels) bool {
	return func(l labels) bool {
		for _, d := range docs {
			if slices.ContainsFunc(d.Canaries, func(b branch) bool { return has(b.selector())(l) }) {
				return false
			}
		}
		return true
	}
}

// matches reports whether a request with a header goes to a canary by its headers.
func matches(want map[string]any, header labels) bool {
	for name, m := range want {
		value := header[http.CanonicalHeaderKey(name)]
		if pattern, ok := m.(map[string]string); ok {
			if !regexp.MustCompile(`\A(?:` + pattern["regex"] + `)\z`).MatchString(value) {
				return false
			}
		} else if value != m {
			return false
		}
	}
	return true
}

// judge waits until requests of every kind go where the documents say.
func (w *walk) judge() {
	w.t.Helper()
	w.patiently("documents are served and requests go where they say", func() error {
		canaries, err := w.bridge.Canaries()
		if err != nil {
			return err
		}
		for _, name := range documentNames {
			if state := canaries[name].State; w.documents[name] != nil && state != "serving" && state != "superseded" {
				return fmt.Errorf("%s is %+v", name, canaries[name])
			} else if w.documents[name] == nil && state != "" {
				return fmt.Errorf("%s is %s, and was deleted", name, state)
			}
		}
		for _, s := range w.services {
			for _, caller := range callers {
				for _, h := range headers {
					if err := w.goes(s, sidecarCall(s, caller, h), w.expected(s.host(), caller, h, nil)); err != nil {
						return fmt.Errorf("from %s to %s with %v: %w", caller, s.name, h, err)
					}
				}
			}
		}
		for _, p := range paths {
			d, host := w.claimant(p)
			for _, h := range headers {
				call := gatewayCall(p, h)
				if d == nil {
					if _, err := harness.Call(http.DefaultClient, call); err == nil {
						return fmt.Errorf("%s is routed, and no document claims it", p)
					}
				} else if err := w.goes(w.services[host], call, w.expected(host, "", h, d)); err != nil {
					return fmt.Errorf("at the gateway to %s with %v: %w", p, h, err)
				}
			}
		}
		return nil
	})
}

// goes makes requests, and says which of the parts of a service's instances got too few or too many of them.
func (w *walk) goes(s *service, call harness.Request, want []part) error {
	const n = 100
	counts, err := answers(call, n)
	if err != nil {
		return err
	}
	got, sum := make([]int, len(want)), 0
	for address, count := range counts {
		i := slices.IndexFunc(s.instances, func(i *instance) bool { return i.Address == address })
		if i < 0 {
			return fmt.Errorf("%s answered, which is no instance of %s", address, s.name)
		}
		fits := 0
		for k, p := range want {
			if p.fits(s.instances[i].Labels) {
				got[k] += count
				sum += count
				fits++
			}
		}
		if fits == 0 {
			return fmt.Errorf("%s %v answered", address, s.instances[i].Labels)
		}
	}
	for k, p := range want {
		share := float64(p.weight) / 100
		// An instance may be of two parts: then shares cannot be told from the answers.
		if off := math.Abs(float64(got[k]) - n*share); got[k] == 0 || sum == n && off > 5*math.Sqrt(n*share*(1-share)) {
			return fmt.Errorf("a part of %d%% got %d of %d requests: %v", p.weight, got[k], n, counts)
		}
	}
	return nil
}

// answers counts who answers requests, by address.
func answers(call harness.Request, n int) (map[string]int, error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	var fault error
	counts := map[string]int{}
	for range 4 {
		wait.Go(func() {
			for range n / 4 {
				hops, err := harness.Call(judging, call)
				mu.Lock()
				if err != nil {
					fault = err
				} else {
					counts[hops[0].Address]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return counts, fault
}

var judging = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}

// patiently asks again and again, and looks meanwhile what comes of requests.
func (w *walk) patiently(what string, check func() error) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; w.pause(200 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.keep(what)
			w.t.Fatalf("not so after a minute: %s: %v%s\nthe edits:\n%s", what, err, w.explain(), strings.Join(w.edits, "\n"))
		}
	}
}
