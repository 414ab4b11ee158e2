package mcpserver

import (
	"testing"
	"time"
)

func TestAStartingIstiodIsGivenFiveTimesTheTimeItHasTaken(t *testing.T) {
	for nonce, want := range map[string]time.Duration{
		"x m=+0.050000000":  minRest,
		"x m=+0.500000000":  2500 * time.Millisecond,
		"x m=+9.000000000":  maxRest,
		"x m=+61.000000000": 0, // it has started long ago, and connects again
		"x":                 0, // no istiod
	} {
		if got := restOf(nonce); got != want {
			t.Errorf("after %q it is given %s, want %s", nonce, got, want)
		}
	}
}
