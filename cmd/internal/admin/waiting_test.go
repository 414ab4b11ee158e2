package admin_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
)

func TestADocumentWaitsWhileAClientIsHeldBackOneOfItsResources(t *testing.T) {
	b := admintest.New()
	broken := admintest.Canary("broken", "red", "orders.mesh", 0)
	broken.State = convert.CanaryLastGood
	b.SetCanaries(broken, admintest.Canary("echo", "blue", "orders.mesh", 50), admintest.Canary("foxtrot", "red", "foxtrot.mesh", 0))
	client := admintest.WaitingFor("orders.mesh")
	due := admintest.Now().Add(3200 * time.Millisecond)
	client.Kinds[1].Held[0].Due = &due
	b.SetClients(client)

	want := map[string]string{"broken": "lastGood", "echo": "waiting", "foxtrot": "serving"}
	if diff := cmp.Diff(want, states(t, b, "")); diff != "" {
		t.Error(diff)
	}
	four := 4
	waiting := []api.CanaryWait{{Client: client.Node, Resource: "registries/mb-orders.mesh", Seconds: &four, Reason: client.Kinds[1].Held[0].Reason}}
	if diff := cmp.Diff(waiting, read[api.List[api.Canary]](t, b.Serve(t, api.CanariesPath+"?state=waiting")).Items[0].Waiting); diff != "" {
		t.Error(diff)
	}
}

func TestADocumentBehindTheHeldThatAreListedIsNotCalledServed(t *testing.T) {
	b := admintest.New()
	b.SetCanaries(admintest.Canary("early", "", "a.mesh", 50), admintest.Canary("held", "", "m.mesh", 50), admintest.Canary("late", "", "z.mesh", 50))
	client := admintest.WaitingFor("m.mesh")
	for count, want := range map[int]map[string]string{
		1: {"early": "serving", "held": "waiting", "late": "serving"},
		2: {"early": "serving", "held": "waiting", "late": "waiting"},
	} {
		client.Kinds[1].HeldCount = count
		b.SetClients(client)
		if diff := cmp.Diff(want, states(t, b, "")); diff != "" {
			t.Errorf("%d are held: %s", count, diff)
		}
	}
}
