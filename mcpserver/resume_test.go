package mcpserver

import (
	"testing"
	"time"
)

func TestOnlyAProcessThatBeganSinceTheLastStreamEndedGoesOnFromIt(t *testing.T) {
	ended := created.Add(time.Hour)
	const nonce = "2026-01-01 01:00:10.5 +0000 UTC m=+10.500000001"
	left := Predecessor{Session: &Session{}, Ended: ended}
	for name, c := range map[string]struct {
		left  Predecessor
		nonce string
		now   time.Time
		want  *Session
	}{
		"it began after":                   {left, nonce, ended.Add(11 * time.Second), left.Session},
		"it began before":                  {left, nonce, ended.Add(10 * time.Second), nil},
		"the stream ended long ago":        {left, nonce, ended.Add(maxAway + time.Second), nil},
		"no stream has ended":              {Predecessor{}, nonce, ended.Add(11 * time.Second), nil},
		"it does not say":                  {left, "", ended.Add(11 * time.Second), nil},
		"it says what is no time":          {left, "x m=+soon", ended.Add(11 * time.Second), nil},
		"it says what is no number of any": {left, "x m=+NaN", ended.Add(11 * time.Second), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.left.of(c.nonce, c.now).Session; got != c.want {
				t.Errorf("it goes on from %p, want %p", got, c.want)
			}
		})
	}
}
