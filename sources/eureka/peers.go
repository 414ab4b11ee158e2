package eureka

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"time"
)

// repick is the time after which a server is chosen anew, give or take half of it, so that readers spread again over the
// servers after some of them were away.
const repick = 20 * time.Minute

// peers are servers that replicate to each other. The first in the order is asked as long as it answers; one that fails goes
// to the end, where it is asked again only after all others have failed.
type peers struct {
	order  []*url.URL
	random *rand.Rand
	until  time.Time // when the order is to be made anew
}

func newPeers(servers []*url.URL, random *rand.Rand) *peers {
	return &peers{order: slices.Clone(servers), random: random}
}

// first is the server to ask.
func (p *peers) first() *url.URL { return p.order[0] }

// rotate makes the next server the first.
func (p *peers) rotate() { p.order = append(p.order[1:len(p.order):len(p.order)], p.order[0]) }

// refresh makes the order anew when it is time to.
func (p *peers) refresh(now time.Time) {
	if now.Before(p.until) {
		return
	}
	p.until = now.Add(time.Duration((0.5 + p.random.Float64()) * float64(repick)))
	p.random.Shuffle(len(p.order), func(i, j int) { p.order[i], p.order[j] = p.order[j], p.order[i] })
}

// name is a server's URL as it may be printed.
func name(server *url.URL) string {
	shown := *server
	shown.User = nil
	return shown.String()
}
