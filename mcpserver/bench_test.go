package mcpserver

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// sized is a service of twenty endpoints, about 1.7 KB.
func sized(b *testing.B, i, generation int) *store.Resource {
	host := fmt.Sprintf("svc-%d.mesh", i)
	se := &networkingpb.ServiceEntry{Hosts: []string{host}, Addresses: []string{"244.0.0.1"}, Resolution: networkingpb.ServiceEntry_STATIC,
		Ports: []*networkingpb.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}}}
	for e := range 20 {
		se.Endpoints = append(se.Endpoints, &networkingpb.WorkloadEntry{
			Address: fmt.Sprintf("10.%d.%d.%d", i/256%256, i%256, e), Ports: map[string]uint32{"http": 8080},
			Labels: map[string]string{"version": "v1", "zone": "a"}, Weight: uint32(100 + generation%100), Locality: "eu/eu-1",
		})
	}
	r, err := store.New(store.Meta{Key: key(store.ServiceEntry, host), Host: host, Created: created, Changed: time.Now(),
		Annotations: map[string]string{"n": strconv.Itoa(generation)}}, se)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func filled(b *testing.B, services int) *store.Store {
	s := store.NewStore()
	c := store.Change{Open: true}
	for i := range services {
		c.Put = append(c.Put, sized(b, i, 0))
	}
	s.Apply(c)
	return s
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One change of one service of many, until every client has acknowledged it. cpu-µs/op is the whole process, the clients
// and their decoding included; BenchmarkPush is the server's part alone.
func BenchmarkChangeToAck(b *testing.B) {
	for _, c := range []struct {
		name             string
		services, shards int
		clients          int
		delta            bool
	}{
		{"10000 services, 4 clients, 64 shards", 10000, 64, 4, false},
		{"10000 services, 4 clients, whole", 10000, 1, 4, false},
		{"10000 services, 4 clients, delta", 10000, 1, 4, true},
		{"1000 services, 4 clients, delta", 1000, 1, 4, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := filled(b, c.services)
			cfg := quick()
			_, addr := serve(b, cfg, s, Options{})
			var istiods [][]*mcptest.Istiod // by client, by shard
			for n := range c.clients {
				var streams []*mcptest.Istiod
				for i := range c.shards {
					o := mcptest.Options{Node: fmt.Sprint("istiod-", n), Types: []string{seURL}, Delta: c.delta}
					if c.shards > 1 {
						o.Authority = fmt.Sprintf("bridge-%d-of-%d.svc", i, c.shards)
					}
					streams = append(streams, mcptest.Start(b, addr, o))
				}
				istiods = append(istiods, streams)
			}
			for _, streams := range istiods {
				for _, st := range streams {
					st.Wait(b, "the first state", func(s mcptest.State) bool { return s.Acked[seURL] != "" })
				}
			}
			before := cpu(b)
			b.ResetTimer()
			for n := range b.N {
				r := sized(b, n%c.services, n+1)
				s.Apply(store.Change{Put: []*store.Resource{r}})
				for _, streams := range istiods {
					streams[store.Slot(r.Host)%c.shards].WaitVersion(b, r.Kind, r.Name, r.Version)
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// The server's part of one change, up to the bytes that gRPC is given: store, pacers, sessions and encoding, for 4 clients.
func BenchmarkPush(b *testing.B) {
	const services, clients = 10000, 4
	for _, c := range []struct {
		name   string
		shards int
		delta  bool
	}{{"64 shards", 64, false}, {"whole", 1, false}, {"delta", 1, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := filled(b, services)
			cache := newBodies(time.Now)
			var pacers []*pacer
			sessions := map[*member]*Session{}
			for range clients {
				p := newPacer(pacerKey{}, 0)
				pacers = append(pacers, p)
				for i := range c.shards {
					m := &member{wake: make(chan struct{}, 1), view: View{Shard: store.Shard{Index: i, Of: c.shards}}}
					session := NewSession(SessionConfig{View: m.view, Delta: c.delta}, p.join(m, current(s), time.Now()), time.Now())
					acknowledge(b, session, cache, Request{TypeURL: seURL, Node: &Node{ID: "n"}})
					sessions[m] = session
				}
			}
			change := make([]*store.Resource, b.N)
			for n := range change {
				change[n] = sized(b, n%services, n+1)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				s.Apply(store.Change{Put: []*store.Resource{change[n]}})
				for _, p := range pacers {
					woken, _, _ := p.advance(current(s), time.Now())
					if len(woken) != 1 {
						b.Fatalf("%d streams are woken", len(woken))
					}
					session := sessions[woken[0]]
					res := session.Update(p.take(woken[0]), time.Now())
					for _, resp := range res.Responses {
						resp.Sent("", encode(resp, cache).bytes)
						acknowledge(b, session, cache, Request{TypeURL: seURL, Nonce: resp.Nonce})
					}
					p.report(woken[0], false, time.Now())
				}
			}
		})
	}
}

// A step of one rollout among many, and an instance of its service that comes or goes: one session, up to the ACK.
func BenchmarkRollout(b *testing.B) {
	const services = 10000
	for _, rollouts := range []int{100, 1000} {
		for _, kind := range []store.Kind{store.VirtualService, store.ServiceEntry} {
			b.Run(fmt.Sprintf("%d rollouts, %s", rollouts, kind.Kind), func(b *testing.B) {
				s := filled(b, services)
				c := store.Change{}
				for i := range rollouts {
					for _, kind := range store.Kinds() {
						c.Put = append(c.Put, rollout(b, kind, i, 0))
					}
				}
				s.Apply(c)
				cache := newBodies(time.Now)
				session := NewSession(SessionConfig{Delta: true}, current(s), time.Now())
				for _, kind := range store.Kinds() {
					acknowledge(b, session, cache, Request{TypeURL: "networking.istio.io/v1/" + kind.Kind, Node: &Node{ID: "n"}})
				}
				b.ReportAllocs()
				b.ResetTimer()
				for n := range b.N {
					r := rollout(b, kind, n%rollouts, n+1)
					s.Apply(store.Change{Put: []*store.Resource{r}})
					res := session.Update(current(s), time.Now())
					if len(res.Responses) != 1 || len(res.Responses[0].Upserts) != 1 {
						b.Fatalf("responses %+v", res.Responses)
					}
					acknowledge(b, session, cache, Request{TypeURL: "networking.istio.io/v1/" + kind.Kind, Nonce: res.Responses[0].Nonce})
				}
			})
		}
	}
}

// rollout is a resource of a service that is routed to by subsets: what its route refers to has been there from the start.
func rollout(b *testing.B, kind store.Kind, i, generation int) *store.Resource {
	return resource(b, kind, fmt.Sprintf("svc-%d.mesh", i), strconv.Itoa(generation), gated(1, created))
}

// acknowledge hands a session a request, and its ACK to each response.
func acknowledge(b *testing.B, s *Session, cache *bodies, req Request) {
	res, err := s.Request(req, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for _, resp := range res.Responses {
		encode(resp, cache)
		acknowledge(b, s, cache, Request{TypeURL: resp.TypeURL, Nonce: resp.Nonce})
	}
}

// The whole state to a new client, beside nothing but the assembly of it.
func BenchmarkFirstState(b *testing.B) {
	s := filled(b, 10000)
	for _, delta := range []bool{false, true} {
		b.Run(protocolName(delta), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				session := NewSession(SessionConfig{Delta: delta}, current(s), time.Now())
				acknowledge(b, session, newBodies(time.Now), Request{TypeURL: seURL, Node: &Node{ID: "n"}})
			}
		})
	}
}
