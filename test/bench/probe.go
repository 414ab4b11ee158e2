package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"meshbridge/test/harness"
)

// way is an Envoy through which requests come to services.
type way struct {
	app    string
	listen string // ip:port
	envoy  *harness.Envoy
	pid    int
	delays []time.Duration // from a step to its first request
}

// firstHosts are the first hosts of a world as a Sidecar object names them.
func firstHosts(w World, n int) string {
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("%q", "registries/"+w.host(i))
	}
	return strings.Join(hosts, ", ")
}

// answer has all instances of the world answer with their own address. In the benchmark's own network namespace every address of
// 10.0.0.0/8 is local, so one server has them all.
func (b *bench) answer(w World) error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", w.instance(0, "").Ports[0].Number))
	if err != nil {
		return fmt.Errorf("listen for all instances: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		address, _, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		fmt.Fprint(out, address)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.progress("the instances: %v", err)
		}
	}()
	b.cleanups = append(b.cleanups, func() {
		server.Close() //nolint:errcheck // nothing is left to do
		<-done
	})
	return nil
}

// stepRun makes steps one after another.
type stepRun struct {
	b      *bench
	world  World
	bridge *child
	ways   []*way
	made   int
	acks   []time.Duration
}

// step makes one, of a service that every Envoy may call, and waits until every way shows it.
func (r *stepRun) step() error {
	r.made++
	change := r.made*r.world.Canaries + r.made%10
	ctx, cancel := context.WithTimeout(r.b.ctx, 30*time.Second)
	defer cancel()
	shown := make(chan error, len(r.ways))
	start := time.Now()
	for _, w := range r.ways {
		go func() {
			at, err := w.shows(ctx, r.world, change)
			if err == nil {
				w.delays = append(w.delays, at.Sub(start))
			}
			shown <- err
		}()
	}
	acked, err := do[time.Duration](r.bridge, "Acked", AckedChange{Change: change, Node: istiodNode})
	if err != nil {
		cancel()
	}
	r.acks = append(r.acks, acked)
	for range r.ways {
		err = errors.Join(err, <-shown)
	}
	time.Sleep(300 * time.Millisecond)
	return err
}

// shows asks until the way answers the step's header from the instances of the third version.
func (w *way) shows(ctx context.Context, world World, change int) (time.Time, error) {
	service := world.target(change)
	third := map[string]bool{}
	for j := 2; j < world.Endpoints; j += world.Versions {
		third[dotted(10, service*world.Endpoints+j)] = true
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	last := "nothing"
	for ctx.Err() == nil {
		from, err := w.ask(ctx, client, world.host(service), dotted(changed, change))
		if err == nil && third[from] {
			return time.Now(), nil
		}
		last = fmt.Sprint(from, " ", err)
		time.Sleep(2 * time.Millisecond)
	}
	return time.Time{}, fmt.Errorf("the Envoy %s does not show step %d of %s: %s", w.app, change, world.host(service), last)
}

// ask sends a request and returns the address of the instance that answered.
func (w *way) ask(ctx context.Context, client *http.Client, host, step string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.listen, nil)
	if err != nil {
		return "", err
	}
	request.Host = host + ":80"
	request.Header.Set(stepHeader, step)
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var from string
	if _, err := fmt.Fscan(response.Body, &from); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	return from, nil
}
