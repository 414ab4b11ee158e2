package main

import (
	"strings"
	"testing"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/convert"
)

func TestAVanishedDocumentIsForgottenAndNoOther(t *testing.T) {
	b := world(t)
	lost, other := admintest.Canary("lost", "blue", "a.mesh", 0), admintest.Canary("lost", "red", "b.mesh", 0)
	lost.State, other.State = convert.CanaryLastGood, convert.CanaryLastGood
	b.SetCanaries(lost, other, admintest.Canary("echo", "blue", "orders.mesh", 50))
	server := b.Start(t, nil)
	for _, step := range []struct {
		args, says string
		code       int
	}{
		{"", "0 documents named", exitUsage},
		{"lost", "several teams have a document \"lost\": blue, red; name the team", exitTrouble},
		{"none", "there is no document \"none\"; /api/v1/canaries lists them", exitTrouble},
		{"echo", "the document \"echo\" is not forgotten: its file has it", exitTrouble},
		{"lost --team blue", ": lost is forgotten", exitFine},
		{"lost --team blue", "there is no document \"lost\" of team blue", exitTrouble},
		{"lost", ": lost is forgotten", exitFine},
	} {
		r := command(t, "canary forget "+step.args+" --server "+server)
		if said := r.out + r.errs; r.code != step.code || !strings.Contains(said, step.says) {
			t.Errorf("%q: exit %d, %s, want %q", step.args, r.code, said, step.says)
		}
	}
	if r := command(t, "canary forget echo --server 127.0.0.1:1"); r.code != exitTrouble || !strings.Contains(r.errs, "connection refused") {
		t.Errorf("exit %d, %s", r.code, r.errs)
	}
	if r := command(t, "__complete canary forget --server "+server+" e"); !strings.HasPrefix(r.out, "echo\n") {
		t.Errorf("completes to %s", r.out)
	}
}
