package consul

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Pauses between the starts of two blocking queries on one list: a busy list is read at intervals, a quiet one at once.
const (
	minPause      = time.Second
	checksASecond = 4000 // checks take about 500 bytes each
)

// advance follows an index. What comes next is 0, so that the next query answers at once, when the index has gone back: the
// servers were restored or are others. An index of 0 would make the next query answer at once for ever.
func advance(asked, got uint64) (next uint64, changed, back bool) {
	got = max(got, 1)
	if got < asked {
		return 0, true, true
	}
	return got, got != asked, false
}

// list is what the API answers with: a JSON object or array.
type list interface {
	~map[string][]string | ~[]node | ~[]check | ~[]struct{}
}

// view is how much of a list an answer showed. What a token may read can change without the index.
type view struct {
	length   int
	filtered bool
}

// watch runs blocking queries on one list from an index on, and delivers each answer that is not the one before. It returns
// why it could not go on. Alive is called for answers without news.
func watch[T list](ctx context.Context, s *session, path string, index uint64, pause func(T) time.Duration, deliver func(T, *api.QueryMeta, bool), alive func()) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last *view
	for {
		select { // one of two can happen: the pause is over, or we are told to stop
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		began := time.Now()
		var answer T
		meta, err := s.client.block(ctx, s.dc, path, index, &answer)
		if err != nil {
			return err
		}
		next, changed, back := advance(index, meta.LastIndex)
		now := view{len(answer), meta.ResultsFilteredByACLs}
		if last != nil {
			changed = changed || now != *last
		} else {
			changed = changed || now.filtered || now.length == 0
		}
		last = &now
		if changed {
			deliver(answer, meta, back)
		} else {
			alive()
		}
		index = next
		timer.Reset(time.Until(began.Add(pause(answer))))
	}
}

// always is a pause that does not depend on the list.
func always[T list](pause time.Duration) func(T) time.Duration {
	return func(T) time.Duration { return pause }
}

// news is what blocking queries have found since it was last taken. The last answer of each list counts.
type news struct {
	services map[string][]string // all names with their tags, nil: not listed anew
	listed   *api.QueryMeta      // of services
	nodes    []node              // nil: not listed anew
	checks   []check             // nil: not listed anew
	touched  map[string]bool     // services that changed
	again    bool                // an index went back: everything is to be read
	alive    bool                // a query answered that nothing changed
}

// mailbox holds news for the session. Its channel says to look.
type mailbox struct {
	wake chan struct{} // of size 1

	mu   sync.Mutex
	news news
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (m *mailbox) put(add func(*news)) {
	m.mu.Lock()
	add(&m.news)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() news {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.news
	m.news = news{}
	return taken
}

func (m *mailbox) alive() { m.put(func(n *news) { n.alive = true }) }

// watchServices watches the names of services and, as Consul counts registrations with them, what is registered.
func (s *session) watchServices(ctx context.Context, index uint64) error {
	deliver := func(list map[string][]string, meta *api.QueryMeta, back bool) {
		if list == nil {
			list = map[string][]string{}
		}
		s.mail.put(func(n *news) { n.services, n.listed, n.again = list, meta, n.again || back })
	}
	return watch(ctx, s, pathServices, index, always[map[string][]string](minPause), deliver, s.mail.alive)
}

// watchNodes watches addresses of nodes, which the list of services does not count.
func (s *session) watchNodes(ctx context.Context, index uint64) error {
	deliver := func(list []node, _ *api.QueryMeta, back bool) {
		if list == nil {
			list = []node{}
		}
		s.mail.put(func(n *news) { n.nodes, n.again = list, n.again || back })
	}
	return watch(ctx, s, pathNodes, index, always[[]node](minPause), deliver, s.mail.alive)
}

// watchChecks watches health.
func (s *session) watchChecks(ctx context.Context, index uint64) error {
	pause := func(list []check) time.Duration {
		return max(minPause, time.Duration(len(list))*time.Second/checksASecond)
	}
	deliver := func(list []check, _ *api.QueryMeta, back bool) {
		if list == nil {
			list = []check{}
		}
		s.mail.put(func(n *news) { n.checks, n.again = list, n.again || back })
	}
	return watch(ctx, s, pathChecks, index, pause, deliver, s.mail.alive)
}

// watchService watches everything about one service.
func (s *session) watchService(ctx context.Context, name string, index uint64) error {
	deliver := func([]struct{}, *api.QueryMeta, bool) {
		s.mail.put(func(n *news) {
			if n.touched == nil {
				n.touched = map[string]bool{}
			}
			n.touched[name] = true
		})
	}
	return watch(ctx, s, pathService+name, index, always[[]struct{}](minPause), deliver, s.mail.alive)
}
