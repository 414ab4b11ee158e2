package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"meshbridge/sources"
)

// crowd is a registry of many interfaces, made up as it is read.
type crowd struct{ interfaces, providers int }

func (c crowd) children(path string) ([]string, *zk.Stat, error) {
	var out []string
	switch parts := strings.Split(path, "/"); {
	case path == "/dubbo":
		for i := range c.interfaces {
			out = append(out, fmt.Sprintf("org.example.Interface%05d", i))
		}
	case len(parts) == 4 && parts[3] == "providers":
		for i := range c.providers {
			out = append(out, url.QueryEscape(fmt.Sprintf("dubbo://10.0.%d.%d:20880/%s?anyhost=true&application=app%d&deprecated=false&dubbo=2.0.2&dynamic=true&"+
				"generic=false&interface=%s&methods=create,update,delete,find,findAll,count&pid=4711&release=2.7.23&revision=1.0.0&side=provider&timestamp=1795232628600&version=1.0.0&zone=z%d",
				i/250, i%250+1, parts[2], i, parts[2], i%3)))
		}
	case len(parts) != 4:
		return nil, nil, zk.ErrNoNode
	}
	return out, &zk.Stat{}, nil
}

func (c crowd) Children(path string) ([]string, *zk.Stat, error) { return c.children(path) }

func (c crowd) ChildrenW(path string) ([]string, *zk.Stat, <-chan zk.Event, error) {
	names, stat, err := c.children(path)
	return names, stat, nil, err
}

func (crowd) Get(string) ([]byte, *zk.Stat, error) { return nil, nil, zk.ErrNoNode }

func (crowd) GetW(string) ([]byte, *zk.Stat, <-chan zk.Event, error) {
	return nil, nil, nil, zk.ErrNoNode
}

func (crowd) ExistsW(string) (bool, *zk.Stat, <-chan zk.Event, error) { return false, nil, nil, nil }

// dropSink keeps nothing and says when each scope has had its first report.
type dropSink struct{ whole chan string }

func (s dropSink) Scopes([]string) {}
func (s dropSink) Snapshot(scope string, _ []*sources.Service, _ func(sources.Key) bool) {
	s.whole <- scope
}
func (s dropSink) Retire(string, []sources.Key)                     {}
func (s dropSink) Update(string, []*sources.Service, []sources.Key) {}
func (s dropSink) State(string, error)                              {}
func (s dropSink) Faults(string, []sources.Fault)                   {}

// BenchmarkFirstReport measures what it takes to read 10,000 interfaces with 20 providers each, and what is kept of them.
func BenchmarkFirstReport(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c := Default()
		scopes := c.scopes()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		sink := dropSink{make(chan string, len(scopes))}
		known, report := newModel(scopes), newReporter(sink, scopes)
		ctx, cancel := context.WithCancelCause(b.Context())
		done := make(chan error)
		go func() { done <- newFollower(newWatches(crowd{10000, 20}), known, report).run(ctx) }()
		for range scopes {
			<-sink.whole
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1e6, "MB-kept")
		cancel(errors.New("enough"))
		if err := <-done; err == nil {
			b.Fatal("the follower ended without saying why")
		}
	}
}
