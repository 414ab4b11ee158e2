package mcptest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	mcppb "istio.io/api/mcp/v1alpha1"

	"meshbridge/mcpserver/store"
)

// Options say what kind of client an Istiod is. The zero value is a stock istiod of no revision.
type Options struct {
	Node      string // default sidecar~127.0.0.1~istiod.istio-system~istio-system.svc.cluster.local
	Revision  string
	Authority string // :authority; default the address
	Delta     bool
	// Types are the type URLs to ask for, in order. Default istiod's, MeshConfig first.
	Types []string
	// Dial are more options of the connection. Default plaintext.
	Dial []grpc.DialOption

	AckDelay  time.Duration // wait so long before each ACK
	NeverAck  bool
	NeverRead bool                            // ask, and read nothing
	Refuse    func(Response) (message string) // a NACK unless ""
	// Seen is called with each response, in the order of arrival, before it is applied.
	Seen func(Response)
}

// Response is what arrived, in the form that both protocols share.
type Response struct {
	TypeURL   string
	Kind      store.Kind
	Version   string
	Nonce     string
	Full      bool // state of the world: what it does not name is gone
	Resources []*mcppb.Resource
	Removed   []string
	Bytes     int // of the resources
}

// Counts tell what the responses did to an Istiod.
type Counts struct {
	Responses, Created, Updated, Deleted, Skipped int // Skipped: of a version that was held already
	Bytes                                         int
}

// Istiod holds what it was sent.
type Istiod struct {
	opts Options

	mu      sync.Mutex
	held    map[store.Kind]map[string]*mcppb.Resource
	counts  map[string]Counts // by type URL
	acked   map[string]string // newest acknowledged version, by type URL
	changed chan struct{}     // closed and replaced when anything above changes
	stopped error             // why the last stream ended
	streams int
}

// New makes an Istiod that holds nothing and is not connected.
func New(opts Options) *Istiod {
	if opts.Node == "" {
		opts.Node = "sidecar~127.0.0.1~istiod.istio-system~istio-system.svc.cluster.local"
	}
	if opts.Types == nil {
		opts.Types = Types("v1")
	}
	if opts.Dial == nil {
		opts.Dial = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	return &Istiod{
		opts: opts, held: map[store.Kind]map[string]*mcppb.Resource{}, counts: map[string]Counts{},
		acked: map[string]string{}, changed: make(chan struct{}),
	}
}

// Start connects an Istiod, again whenever its stream ends, until the test does.
func Start(t testing.TB, addr string, opts Options) *Istiod {
	t.Helper()
	i := New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.RunForever(ctx, addr)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return i
}

// RunForever keeps a stream open until ctx ends.
func (i *Istiod) RunForever(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		_ = i.Run(ctx, addr) // kept in stopped
		pause := time.NewTimer(20 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// Run opens one stream and serves it until it ends or ctx does. The error says why.
func (i *Istiod) Run(ctx context.Context, addr string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dial := append([]grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1 << 30)),
		grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(1 << 20),
	}, i.opts.Dial...)
	if i.opts.Authority != "" {
		dial = append(dial, grpc.WithAuthority(i.opts.Authority))
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, dial...)
	if err != nil {
		return fmt.Errorf("dial %s: %w", addr, err)
	}
	err = i.stream(ctx, conn)
	i.update(func() { i.stopped = err })
	if cerr := conn.Close(); err == nil {
		err = cerr
	}
	return err
}

func (i *Istiod) stream(ctx context.Context, conn *grpc.ClientConn) error {
	var w wire
	var err error
	if i.opts.Delta {
		w, err = openDelta(ctx, conn, i.opts)
	} else {
		w, err = openSotW(ctx, conn, i.opts)
	}
	if err != nil {
		return err
	}
	i.update(func() { i.streams++ })
	for n, url := range i.opts.Types {
		if err := w.subscribe(url, n == 0, i.versions(url)); err != nil {
			return errors.Join(err, w.reason())
		}
	}
	if i.opts.NeverRead {
		<-ctx.Done()
		return ctx.Err()
	}
	for {
		resp, err := w.receive()
		if err != nil {
			return err
		}
		if err := i.take(ctx, w, resp); err != nil {
			return err
		}
	}
}

// take applies and acknowledges one response.
func (i *Istiod) take(ctx context.Context, w wire, resp Response) error {
	if i.opts.Seen != nil {
		i.opts.Seen(resp)
	}
	if i.opts.NeverAck {
		i.update(func() { i.count(resp, Counts{}) })
		return nil
	}
	if i.opts.AckDelay > 0 {
		pause := time.NewTimer(i.opts.AckDelay)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if i.opts.Refuse != nil {
		if message := i.opts.Refuse(resp); message != "" {
			i.update(func() { i.count(resp, Counts{}) })
			return w.answer(resp, message)
		}
	}
	i.apply(resp)
	if err := w.answer(resp, ""); err != nil {
		return errors.Join(err, w.reason())
	}
	i.update(func() { i.acked[resp.TypeURL] = resp.Version })
	return nil
}

// apply does what istiod's memory store does: missing is deleted, an equal version is skipped.
func (i *Istiod) apply(resp Response) {
	i.update(func() {
		held := i.held[resp.Kind]
		if held == nil {
			held = map[string]*mcppb.Resource{}
			i.held[resp.Kind] = held
		}
		var c Counts
		seen := make(map[string]bool, len(resp.Resources))
		for _, r := range resp.Resources {
			name := r.GetMetadata().GetName()
			seen[name] = true
			switch old := held[name]; {
			case old == nil:
				c.Created++
			case old.GetMetadata().GetVersion() == r.GetMetadata().GetVersion():
				c.Skipped++
				continue
			default:
				c.Updated++
			}
			held[name] = r
		}
		gone := resp.Removed
		if resp.Full {
			for name := range held {
				if !seen[name] {
					gone = append(gone, name)
				}
			}
		}
		for _, name := range gone {
			if held[name] != nil {
				c.Deleted++
				delete(held, name)
			}
		}
		i.count(resp, c)
	})
}

func (i *Istiod) count(resp Response, c Counts) {
	t := i.counts[resp.TypeURL]
	t.Responses++
	t.Created += c.Created
	t.Updated += c.Updated
	t.Deleted += c.Deleted
	t.Skipped += c.Skipped
	t.Bytes += resp.Bytes
	i.counts[resp.TypeURL] = t
}

func (i *Istiod) update(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *Istiod) versions(url string) map[string]string {
	kind, _ := store.KindOf(url)
	return i.Versions(kind)
}

// Versions are the names and versions held of a kind.
func (i *Istiod) Versions(kind store.Kind) map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return versionsOf(i.held[kind])
}

func versionsOf(held map[string]*mcppb.Resource) map[string]string {
	out := make(map[string]string, len(held))
	for name, r := range held {
		out[name] = r.GetMetadata().GetVersion()
	}
	return out
}

// Resource is one resource that is held, or nil.
func (i *Istiod) Resource(kind store.Kind, name string) *mcppb.Resource {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.held[kind][name]
}

// State is what an Istiod knows at one moment.
type State struct {
	Versions map[store.Kind]map[string]string
	Counts   map[string]Counts // by type URL
	Acked    map[string]string // newest acknowledged version, by type URL
	Streams  int               // opened so far
	Stopped  error             // why the last stream that ended did
}

// State returns a copy.
func (i *Istiod) State() State {
	s, _ := i.state()
	return s
}

func (i *Istiod) state() (State, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := State{
		Versions: map[store.Kind]map[string]string{}, Counts: maps.Clone(i.counts), Acked: maps.Clone(i.acked),
		Streams: i.streams, Stopped: i.stopped,
	}
	for kind, held := range i.held {
		s.Versions[kind] = versionsOf(held)
	}
	return s, i.changed
}

// Until waits until the state satisfies a condition, and returns ctx's error if that comes first.
func (i *Istiod) Until(ctx context.Context, ok func(State) bool) error {
	for {
		s, changed := i.state()
		if ok(s) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Wait waits until the state satisfies a condition, and fails the test with what is held if it does not within 30 s.
func (i *Istiod) Wait(t testing.TB, what string, ok func(State) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := i.Until(ctx, ok); err != nil {
		t.Fatalf("waiting for %s: %v; state: %+v", what, err, i.State())
	}
}

// WaitVersion waits until one resource is held in a version. It copies no state, so that benchmarks can use it.
func (i *Istiod) WaitVersion(t testing.TB, kind store.Kind, name, version string) {
	t.Helper()
	for {
		i.mu.Lock()
		held, changed := i.held[kind][name].GetMetadata().GetVersion(), i.changed
		i.mu.Unlock()
		if held == version {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("%s %s is held at %q, not at %q", kind.Kind, name, held, version)
		}
	}
}
