//go:build e2e

package rollout

import "testing"

// TestRollouts walks them all in one mesh, each under its own load, of which no request may fail.
func TestRollouts(t *testing.T) {
	w := newWorld(t)
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
	w.faults(t)
	w.fill(t, 500)
	t.Run("AmongManyServices", func(t *testing.T) {
		t.Run("TheWalkIsTheSame", func(t *testing.T) { w.walkVersions(t, "golf", "v1", "v2") })
		w.faults(t)
	})
}

// faults are what happens to a mesh in the middle of a rollout.
func (w *world) faults(t *testing.T) {
	t.Run("ADocumentMayChangeWhileTheBridgeIsDown", w.walkBridgeDown)
	t.Run("AReplicaMayTakeOverWhileASubsetSettles", w.walkReplica)
	t.Run("IstiodMayRestart", w.walkIstiod)
	t.Run("AKilledCanaryFailsOverToThePrimary", w.walkFailover)
}
