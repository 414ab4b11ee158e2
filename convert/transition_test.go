package convert

import (
	"testing"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// A host without instances, reached by a delegate of an active document, and an edit of that document with a mistake.
func TestAStepEndsWithAMistakeBesideAHostWithoutInstances(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("echo"))
	w.put("a", service("foxtrot", "v1@10.0.0.1"))
	d := canary.Document{Name: "both", Services: []string{"echo.mesh", "foxtrot.mesh"}, Primary: primary("v1"),
		Expose: []canary.Expose{{Delegate: "routes", Service: "echo.mesh"}}}
	w.documents(entryOf(d))
	w.step()
	if got := w.stateOf("both"); got != CanaryServing {
		t.Fatalf("state %s", got)
	}
	d.Primary = primary("v9")
	w.documents(entryOf(d))
	w.step()
}

func inNamespace(name, namespace, instance string) *sources.Service {
	svc := service(name, instance)
	svc.Instances[0].Metadata["ns"] = namespace
	return svc
}

// Two hosts with a delegate of one name move, each to where the other has been before.
func TestAStepEndsWithDelegatesThatMoveToEachOthersNamespaces(t *testing.T) {
	w := newWorld(t, compile(t, `mesh: {namespace: "{{.Metadata.ns}}"}`))
	doc := func(name string) canary.Entry {
		return entryOf(canary.Document{Name: name, Services: []string{name + ".mesh"}, Primary: primary("v1"), Expose: []canary.Expose{{Delegate: "routes"}}})
	}
	w.documents(doc("echo"), doc("foxtrot"))
	for _, at := range [][2]string{{"x", "y"}, {"p", "q"}, {"y", "x"}} {
		w.put("a", inNamespace("echo", at[0], "v1@10.0.0.1"))
		w.put("a", inNamespace("foxtrot", at[1], "v1@10.0.0.2"))
		w.step()
		w.now = w.now.Add(time.Minute)
	}
	if w.engine.hosts.all["echo.mesh"].namespace != "y" {
		t.Fatal("it did not move")
	}
}

// A document comes and goes, at settle and retain of 0s: time alone comes to rest.
func TestTimeComesToRestWithoutSettleAndRetention(t *testing.T) {
	w := newWorld(t, compile(t, "canary: {settle: 0s}\nsubsets: {retain: 0s}\nretainEmpty: 0s"))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	d := canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v1"),
		Canaries: []canary.Canary{{Version: "v2", Headers: stage("canary")}}}
	w.documents(entryOf(d))
	w.step()
	w.put("a", service("echo"))
	w.step()
	w.documents()
	w.step()
	for range 50 {
		at := w.engine.dues.next()
		if at.IsZero() {
			return
		}
		if at.After(w.now) {
			w.now = at
		}
		w.step()
	}
	t.Errorf("at %s still something is due at %s", w.now.Sub(start), w.engine.dues.next().Sub(start))
}

// A delegate goes; one of its name in another namespace, of another service, takes nothing over.
func TestADelegateDoesNotWaitForOneOfAnotherNamespace(t *testing.T) {
	doc := func(name string) canary.Entry {
		return entryOf(canary.Document{Name: name, Services: []string{name + ".mesh"}, Primary: primary("v1"), Expose: []canary.Expose{{Delegate: "routes"}}})
	}
	w := newWorld(t, compile(t, `mesh: {namespace: "{{.Service}}"}`))
	w.put("a", service("echo", "v1@10.0.0.1"))
	w.put("a", service("foxtrot", "v1@10.0.0.2"))
	w.documents(doc("echo"), doc("foxtrot"))
	w.step()
	w.now = w.now.Add(time.Hour)
	without := doc("echo")
	without.Document.Expose = nil
	w.documents(without, doc("foxtrot"))
	w.step()
	if _, there := w.state()[store.Key{Kind: store.VirtualService, Name: "echo/routes"}]; there {
		t.Error("echo/routes waits for foxtrot/routes")
	}
}
