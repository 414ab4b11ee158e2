// Package watch is an MCP client of any MCP-over-xDS server: it asks as istiod asks, acknowledges what it gets, and tells
// what changes. Its invariant: what it has told adds up to what the server holds, across reconnects.
package watch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// Options says whom to ask for what.
type Options struct {
	Address   string   // host:port
	Authority string   // the name to ask for instead of Address; picks a shard or view
	Revision  string   // the Istio revision to speak for; "" for none
	TypeURLs  []string // at least one; of TypeURLs
	Delta     bool     // the incremental protocol instead of state of the world
	Once      bool     // end when every type was answered; a lost connection ends it, too

	Credentials credentials.TransportCredentials
}

// Output takes what a watch finds out. Its methods are called from one goroutine.
type Output interface {
	// Event tells of one change. An error ends the watch.
	Event(Event) error
	// Note tells of the connection, and of what the server does wrong.
	Note(text string)
}

// The pauses between attempts to connect, doubled each time; and the patience before the silent types are named.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	patience   = 5 * time.Second
)

type watcher struct {
	opts  Options
	out   Output
	state state
	asked map[string]bool
}

// Run watches until ctx ends, which is no error, and reconnects in between. With Once it ends when every type was answered.
func Run(ctx context.Context, opts Options, out Output) error {
	w := &watcher{opts: opts, out: out, state: state{}, asked: map[string]bool{}}
	for _, url := range opts.TypeURLs {
		w.asked[url] = true
	}
	pause := firstPause
	for {
		answered, err := w.connect(ctx)
		if ctx.Err() != nil {
			err = nil
		}
		if err == nil || opts.Once || errors.Is(err, errOutput) {
			return err
		}
		if answered {
			pause = firstPause
		}
		wait := pause/2 + rand.N(pause)
		pause = min(2*pause, lastPause)
		out.Note(fmt.Sprintf("%v; reconnecting in %v", err, wait.Round(100*time.Millisecond)))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

var errOutput = errors.New("write")

// connect follows one stream until it fails, and reports whether anything was answered. It returns nil only when Once is
// satisfied.
func (w *watcher) connect(ctx context.Context) (answered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := w.dial()
	if err != nil {
		return false, fmt.Errorf("connect to %s: %w", w.opts.Address, err)
	}
	defer conn.Close()
	s, err := w.open(ctx, conn)
	if err != nil {
		return false, fmt.Errorf("connect to %s: %w", w.opts.Address, plain(err))
	}
	for _, url := range w.opts.TypeURLs {
		// A failed Send means that the stream is over; receive tells why.
		if s.subscribe(url) != nil {
			break
		}
	}
	answers, failed := make(chan answer), make(chan error, 1)
	go func() {
		for {
			a, err := s.receive()
			if err != nil {
				failed <- err
				return
			}
			select {
			case answers <- a:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
	}()
	// The receiver ends when ctx does, and is waited for: its last word is on failed.
	var last error
	defer func() {
		cancel()
		if last == nil {
			last = <-failed
		}
	}()
	return w.follow(s, answers, failed, &last)
}

// follow applies answers until the stream fails. The error taken from failed is left in last.
func (w *watcher) follow(s stream, answers <-chan answer, failed <-chan error, last *error) (answered bool, err error) {
	silent := slices.Clone(w.opts.TypeURLs)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		// An answer, the end of the stream, or types that are unanswered for long.
		select {
		case a := <-answers:
			answered = true
			if err := w.take(s, a); err != nil {
				return true, err
			}
			silent = slices.DeleteFunc(silent, func(url string) bool { return url == a.url })
			if w.opts.Once && len(silent) == 0 {
				return true, w.tellAll()
			}
		case *last = <-failed:
			return answered, fmt.Errorf("stream from %s: %w", w.opts.Address, plain(*last))
		case <-timer.C:
			if len(silent) > 0 {
				w.out.Note("still no answer for " + strings.Join(silent, ", ") +
					"; a server may hold them back until its sources are read (of a meshbridge, /readyz tells which)")
			}
		}
	}
}

// take applies one answer, tells what it changes and acknowledges it.
func (w *watcher) take(s stream, a answer) error {
	events, bad, err := w.apply(a)
	if err != nil {
		w.out.Note(err.Error())
		return nil
	}
	for _, fault := range bad {
		w.out.Note("istiod would drop of " + a.url + " " + fault)
	}
	if !w.opts.Once {
		err = w.tell(events)
	}
	// A failed Send means that the stream is over; receive tells why.
	_ = s.ack(a)
	return err
}

func (w *watcher) tell(events []Event) error {
	for _, e := range events {
		if err := w.out.Event(e); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
	}
	return nil
}

// tellAll tells the whole state in the order in which the types were asked for, whichever was answered first.
func (w *watcher) tellAll() error {
	for _, url := range w.opts.TypeURLs {
		if err := w.tell(difference(url, nil, w.state[url])); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) dial() (*grpc.ClientConn, error) {
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(w.opts.Credentials),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithInitialWindowSize(1 << 20),
		grpc.WithInitialConnWindowSize(1 << 20),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithNoProxy(),
	}
	if w.opts.Authority != "" {
		opts = append(opts, grpc.WithAuthority(w.opts.Authority))
	}
	return grpc.NewClient("passthrough:///"+w.opts.Address, opts...)
}

// plain is an error of gRPC without the words that gRPC puts around it.
func plain(err error) error {
	if st, ok := status.FromError(err); ok {
		return fmt.Errorf("%s: %s", st.Code(), st.Message())
	}
	if err.Error() == "EOF" {
		return errors.New("the server closed the stream")
	}
	return err
}
