//go:build e2e

package rollout

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"meshbridge/test/harness"
)

// headers are what requests carry.
var headers = []labels{nil, {"Stage": "canary"}, {"X-User": "u42"}, {"X-Lane": "gray"}}

// callers are the workloads whose sidecars carry load.
var callers = []string{"shop", "magnanimo"}

// traffic is what the load asks for: every service, from every caller, and each path at the gateway that some document has
// claimed since it was first routed.
type traffic struct {
	w      *walk
	inside []harness.Request
	paths  map[string]*routed
	looked time.Time

	outside atomic.Pointer[[]harness.Request]
}

// routed is a path at the gateway.
type routed struct {
	claimed time.Time // since when some document claims it; zero: none does
	free    bool      // since nobody claimed it, the gateway has been seen without it
	called  bool      // it is part of the load
}

// unbroken is how long a path must have been claimed that has not been seen free meanwhile.
const unbroken = 10 * settle

func newTraffic(w *walk) *traffic {
	tr := &traffic{w: w, paths: map[string]*routed{}}
	for _, p := range paths {
		tr.paths[p] = &routed{free: true}
	}
	tr.outside.Store(&[]harness.Request{})
	return tr
}

// sidecarCall is a request of a workload to a service.
func sidecarCall(s *service, caller string, header labels) harness.Request {
	return carrying(s.inside(caller).call, header)
}

// gatewayCall is a request to a path at the gateway.
func gatewayCall(prefix string, header labels) harness.Request {
	return carrying(harness.Request{Address: gateway, Host: gatewayHost, Path: prefix, Class: "gateway " + prefix}, header)
}

func carrying(call harness.Request, header labels) harness.Request {
	call.Header = http.Header{}
	for name, value := range header {
		call.Header.Set(name, value)
	}
	return call
}

// next is the n-th request: those of sidecars and of the gateway in turn.
func (tr *traffic) next(n int) harness.Request {
	if outside := *tr.outside.Load(); n%2 == 1 && len(outside) > 0 {
		return outside[n/2%len(outside)]
	}
	return tr.inside[n/2%len(tr.inside)]
}

// claim notes which paths documents claim from now on. When it returns, no request is out to one that nobody claims.
func (tr *traffic) claim() {
	closed := false
	for prefix, p := range tr.paths {
		switch d, _ := tr.w.claimant(prefix); {
		case d == nil && !p.claimed.IsZero():
			closed = closed || p.called
			*p = routed{}
		case d != nil && p.claimed.IsZero():
			p.claimed = time.Now()
		}
	}
	if closed {
		tr.call()
		tr.w.load.Between(func() {})
	}
}

// call has the load ask for the paths that are called.
func (tr *traffic) call() {
	var outside []harness.Request
	for _, prefix := range slices.Sorted(maps.Keys(tr.paths)) {
		if tr.paths[prefix].called {
			for _, h := range headers {
				outside = append(outside, gatewayCall(prefix, h))
			}
		}
	}
	tr.outside.Store(&outside)
}

// look asks the gateway for paths that are not called yet: those that it has become part of the load, and so stay.
func (tr *traffic) look() {
	w := tr.w
	if time.Since(tr.looked) < 100*time.Millisecond {
		return
	}
	tr.looked = time.Now()
	if tr.inside == nil {
		for _, host := range slices.Sorted(maps.Keys(w.services)) {
			for _, caller := range callers {
				for _, h := range headers {
					tr.inside = append(tr.inside, sidecarCall(w.services[host], caller, h))
				}
			}
		}
	}
	for prefix, p := range tr.paths {
		if p.called || p.free && p.claimed.IsZero() {
			continue
		}
		_, err := harness.Call(http.DefaultClient, gatewayCall(prefix, nil))
		var status harness.StatusError
		switch {
		case err == nil && !p.claimed.IsZero() && (p.free || time.Since(p.claimed) > unbroken):
			w.note("the gateway has %s", prefix)
			p.called = true
			tr.call()
		case errors.As(err, &status) && status.Status == http.StatusNotFound:
			p.free = true
		case err != nil:
			w.t.Errorf("%s a request to %s, which is neither routed nor unknown: %v", time.Now().Format("15:04:05.000"), prefix, err)
			w.keep(fmt.Sprintf("probe of %s", prefix))
		}
	}
}
