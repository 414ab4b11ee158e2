//go:build e2e

package rollout

import "testing"

// TestRollouts walks them all in one mesh, each under its own load, of which no request may fail: first alone, then as
// docs/canary.md has them, then among many other services.
func TestRollouts(t *testing.T) {
	w := newWorld(t)
	w.walks(t)
	t.Run("TheWalksOfThePageAre", func(t *testing.T) {
		t.Run("echo-foxtrot", w.walkEchoFoxtrot)
		t.Run("delegation", w.walkDelegation)
		t.Run("benigno", w.walkBenigno)
		t.Run("lane", w.walkGray)
		t.Run("bad-document", w.walkMistake)
	})
	w.fill(t, 500)
	t.Run("AmongManyServices", w.walks)
}

func (w *world) walks(t *testing.T) {
	t.Run("TwoTeamsRollOutAtOnceByHeaderAndByWeight", func(t *testing.T) {
		t.Run("echo", func(t *testing.T) {
			t.Parallel()
			w.walkVersions(t, "echo", "v1", "v2")
		})
		t.Run("foxtrot", func(t *testing.T) {
			t.Parallel()
			w.walkVersions(t, "foxtrot", "v1", "v2")
		})
	})
	t.Run("WeightsHoldForTheNamedSourceOnly", w.walkSource)
	t.Run("ALaneHoldsThroughTwoHops", w.walkLane)
	t.Run("HeadersMatchByPrefixRegexAndMemberOfBaggage", w.walkMatches)
	t.Run("ConnectionsAreDividedByWeight", w.walkTCP)
	t.Run("ABadDocumentOfOneTeamLeavesTheOtherTeamAlone", w.walkBadDocument)
	t.Run("AFailingRuleIsAnswered", w.walkRespond)
	t.Run("InstancesAndRoutesMayComeAndLeaveAtOnce", w.walkAtOnce)
	t.Run("ADocumentMayChangeWhileTheBridgeIsDown", w.walkBridgeDown)
	t.Run("AReplicaMayTakeOverWhileASubsetSettles", w.walkReplica)
	t.Run("IstiodMayRestart", w.walkIstiod)
	t.Run("AKilledCanaryFailsOverToThePrimary", w.walkFailover)
}
