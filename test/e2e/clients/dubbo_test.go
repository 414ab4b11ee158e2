//go:build e2e

package clients

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// dubboSettings are those of an application that discovers in its registry.
func (w *world) dubboSettings() string {
	return fmt.Sprintf("dubbo: {application: {name: shop}, registry: {address: 'zookeeper://%s'}}", w.network.Outside(w.zk.Addr))
}

func (w *world) dubboBySettings(t *testing.T) {
	byHost, past := requests(w.sidecar, dubbo), w.toProviders()
	consumer := w.shop.StartConsumer(t, harness.DubboConsumer, snippet(t, "dubbo-settings"))
	for range 20 {
		greeted(t, consumer, "greet")
	}
	if n := requests(w.sidecar, dubbo) - byHost; n != 1 {
		t.Errorf("20 calls over dubbo:// were %d connections to the cluster of the host, want 1", n)
	}
	if n := w.toProviders() - past; n > 0 {
		t.Errorf("%d connections went past the host", n)
	}
}

func (w *world) dubboByAnnotation(t *testing.T) {
	// A url needs no registry, nor is it in the way of one.
	byHost, past := requests(w.sidecar, dubbo), w.toProviders()
	consumer := w.shop.StartConsumer(t, harness.DubboConsumer, w.dubboSettings(), "--spring.profiles.active=annotated")
	greeted(t, consumer, "greet")
	if n := requests(w.sidecar, dubbo) - byHost; n != 1 {
		t.Errorf("a consumer over dubbo:// made %d connections to the cluster of the host, want 1", n)
	}

	// Of Triple every call is balanced, and may be routed by its headers.
	calls(t, 20, consumer, w.sidecar, "greetTriple", "hello greetTriple", triple)
	for host, u := range w.sidecar.Upstreams()[triple] {
		if u.Requests == 0 {
			t.Errorf("of 20 calls over tri:// none was for %s", host)
		}
	}
	w.kube.Apply(snippet(t, "triple-header"))
	eventually(t, "a call over tri:// with the attachment goes to the gray provider", func() error {
		before := requests(w.sidecar, gray)
		greeted(t, consumer, "greetTriple?stage=canary")
		if requests(w.sidecar, gray) == before {
			return fmt.Errorf("it went to another one")
		}
		return nil
	})
	calls(t, 5, consumer, w.sidecar, "greetTriple", "hello greetTriple", triple)
	if n := w.toProviders() - past; n > 0 {
		t.Errorf("%d connections went past the host", n)
	}
}

func (w *world) dubboConnections(t *testing.T) {
	before := requests(w.sidecar, dubbo)
	parameters := "?" + flat(snippet(t, "dubbo-connections"))
	consumer := w.shop.StartConsumer(t, harness.DubboConsumer, strings.ReplaceAll(snippet(t, "dubbo-settings"), ":20880", ":20880"+parameters))
	for range 20 {
		greeted(t, consumer, "greet")
	}
	if n := requests(w.sidecar, dubbo) - before; n != 4 {
		t.Errorf("a consumer with connections=4 made %d", n)
	}
}

// dubboMoves goes through three changes of the route. The sidecar closes the connections of a route that was replaced when its
// drainDuration is over, which in this world is short.
func (w *world) dubboMoves(t *testing.T) {
	consumer := w.shop.StartConsumer(t, harness.DubboConsumer, snippet(t, "dubbo-settings"))
	for _, lane := range []string{"gray", "base", "gray"} {
		to := "outbound|20880|" + lane + "|" + greeter
		before := requests(w.sidecar, to)
		w.kube.Apply(fmt.Sprintf(`{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: greet-dubbo, namespace: registries}, spec: {
hosts: [%s], tcp: [{match: [{port: 20880}], route: [{destination: {host: %s, port: {number: 20880}, subset: %s}}]}]}}`, greeter, greeter, lane))
		moved := time.Time{} // when the connection was first seen in its new place
		eventually(t, "the connection goes to "+to, func() error {
			greeted(t, consumer, "greet")
			if requests(w.sidecar, to) == before {
				return fmt.Errorf("it is where it was")
			}
			if moved.IsZero() {
				moved = time.Now()
			}
			if time.Since(moved) < 2*time.Second {
				return fmt.Errorf("a default consumer would be without its provider in this second")
			}
			return nil
		})
	}
}

func (w *world) dubboUnchanged(t *testing.T) {
	byHost, past := requests(w.sidecar, dubbo, triple), w.toProviders()
	consumer := w.shop.StartConsumer(t, harness.DubboConsumer, w.dubboSettings())
	greeted(t, consumer, "greet")
	if n := requests(w.sidecar, dubbo, triple) - byHost; n > 0 {
		t.Errorf("a consumer that discovers made %d connections to the cluster of the host", n)
	}
	if w.toProviders() == past {
		t.Errorf("a consumer that discovers made no connection to a provider through %s", passthrough)
	}
	told, err := w.sidecar.Shell(snippet(t, "passed-through"))
	if err != nil {
		t.Fatal(err)
	}
	if address := fmt.Sprintf("%s:%d", w.base.Address, w.base.DubboPort); !strings.Contains(told, address) {
		t.Errorf("what the page says to find callers with does not name %s:\n%s", address, told)
	}
}

// toProviders is how many connections the sidecar of shop has passed through to Dubbo providers.
func (w *world) toProviders() int64 {
	var addresses []string
	for _, p := range []*harness.DubboProcess{w.base, w.gray} {
		for _, port := range []int{p.DubboPort, p.TriplePort} {
			addresses = append(addresses, fmt.Sprintf("%s:%d", p.Address, port))
		}
	}
	return toAddress(w.sidecar, addresses...)
}

func greeted(t *testing.T, consumer *harness.Consumer, client string) {
	t.Helper()
	name, _, _ := strings.Cut(client, "?")
	got, err := consumer.Call(client)
	if err != nil {
		t.Fatalf("call by %s: %v", client, err)
	}
	if want := "hello " + name; got != want {
		t.Fatalf("%s was answered %q, want %q", client, got, want)
	}
}
