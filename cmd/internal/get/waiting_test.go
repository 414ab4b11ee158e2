package get_test

import (
	"strings"
	"testing"
	"time"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/get"
)

func TestAWatchOfCanariesPrintsThatOneWaitsAndNotEachSecond(t *testing.T) {
	b := admintest.New()
	b.SetCanaries(admintest.Canary("echo", "blue", "orders.mesh", 50))
	w := startWatch(t, b.Start(t, nil), get.Options{Thing: "canaries"})
	w.expect("EVENT NAME TEAM STATE SINCE SERVICES CANARIES", "added echo blue serving 60m 1 v2 50% stage=canary")
	for _, left := range []time.Duration{4 * time.Second, 3 * time.Second} {
		c := admintest.WaitingFor("orders.mesh")
		due := admintest.Now().Add(left)
		c.Kinds[1].Held[0].Due = &due
		b.SetClients(c)
		if left == 4*time.Second {
			w.expect("changed echo blue waiting (settle 4s) 60m 1 v2 50% stage=canary")
		}
	}
	b.SetClients()
	w.expect("changed echo blue serving 60m 1 v2 50% stage=canary")
}

func TestADocumentWhoseClientHasNotAcknowledgedWaitsForThat(t *testing.T) {
	b := admintest.New()
	b.SetCanaries(admintest.Canary("echo", "blue", "orders.mesh", 50))
	b.SetClients(admintest.WaitingFor("orders.mesh"))
	if out, _, err := run(t, get.Options{Thing: "canaries"}, b.Start(t, nil)); err != nil || !strings.Contains(out, "waiting (ACK)") {
		t.Errorf("%v\n%s", err, out)
	}
}
