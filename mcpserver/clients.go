package mcpserver

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/mcpserver/store"
)

// maxHeldListed bounds the held resources that a Client lists by name for one kind.
const maxHeldListed = 20

// Client is what one stream looks like to an operator.
type Client struct {
	Node         string       `json:"node"`
	Peer         string       `json:"peer"`
	Authority    string       `json:"authority"`
	View         string       `json:"view,omitempty"`     // name that the authority asked for
	Shard        string       `json:"shard,omitempty"`    // "3-of-16"; "" is the whole
	Revision     string       `json:"revision,omitempty"` // Istio's
	IstioVersion string       `json:"istioVersion,omitempty"`
	Protocol     string       `json:"protocol"`              // sotw or delta
	TypeVersion  string       `json:"typeVersion,omitempty"` // v1 or v1alpha3, as the client asks
	Connected    time.Time    `json:"connected"`
	Nacks        int          `json:"nacks"`
	Kinds        []ClientKind `json:"kinds"`
}

// ClientKind is the state of one kind on one stream.
type ClientKind struct {
	Kind          string     `json:"kind"`
	TypeURL       string     `json:"typeURL"`
	Sent          string     `json:"sent,omitempty"` // version of the newest response
	SentAt        *time.Time `json:"sentAt,omitempty"`
	Acked         string     `json:"acked,omitempty"` // version of the newest acknowledged one
	AckedAt       *time.Time `json:"ackedAt,omitempty"`
	InFlightSince *time.Time `json:"inFlightSince,omitempty"`
	Resources     int        `json:"resources"` // that the client holds
	Bytes         uint64     `json:"bytes"`     // sent on this stream
	Nack          string     `json:"nack,omitempty"`
	Waiting       string     `json:"waiting,omitempty"`      // why nothing has been sent yet
	WaitingUntil  *time.Time `json:"waitingUntil,omitempty"` // when it will be if nothing changes; absent: something must
	HeldCount     int        `json:"heldCount,omitempty"`
	Held          []Held     `json:"held,omitempty"` // the first of them, by name
}

// Held is a resource of which the client keeps the former value, or none, and why.
type Held struct {
	Name   string     `json:"name"`
	Reason string     `json:"reason"`
	Due    *time.Time `json:"due,omitempty"` // when it will be sent if nothing changes; absent: something must
}

// Clients lists the streams by node, authority and peer.
func (s *Server) Clients() []Client {
	streams := s.all()
	out := make([]Client, 0, len(streams))
	for _, st := range streams {
		out = append(out, st.client())
	}
	slices.SortFunc(out, func(a, b Client) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Authority, b.Authority), strings.Compare(a.Peer, b.Peer))
	})
	return out
}

// all are the streams that are open now.
func (s *Server) all() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.streams))
}

func (st *stream) client() Client {
	c := Client{Peer: st.peer, Authority: st.authority, View: st.view.Name, Protocol: protocolName(st.delta), Connected: st.since, Kinds: []ClientKind{}}
	if sh := st.view.Shard; sh.Of > 0 {
		c.Shard = fmt.Sprintf("%d-of-%d", sh.Index, sh.Of)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.session
	if s == nil {
		return c
	}
	c.Node, c.Revision, c.IstioVersion, c.Nacks = s.node.ID, s.node.Revision, s.node.Version, s.nacks
	for _, sub := range s.subs {
		if sub == nil {
			continue
		}
		if c.TypeVersion == "" {
			c.TypeVersion = strings.Split(sub.typeURL, "/")[1]
		}
		c.Kinds = append(c.Kinds, s.clientKind(sub))
	}
	return c
}

func (s *Session) clientKind(sub *subscription) ClientKind {
	k := ClientKind{
		Kind: sub.kind.Kind, TypeURL: sub.typeURL, Sent: sub.sentVersion, SentAt: timeOf(sub.sentAt),
		Acked: sub.ackedVersion, AckedAt: timeOf(sub.ackedAt), Resources: sub.count, Bytes: sub.bytes,
		Nack: sub.nack, HeldCount: len(sub.held),
	}
	k.Waiting, k.WaitingUntil = s.waiting(sub)
	if sub.inflight != nil {
		k.InFlightSince = timeOf(sub.inflight.at)
	}
	names := slices.Sorted(maps.Keys(sub.held))
	for _, name := range names[:min(len(names), maxHeldListed)] {
		h := sub.held[name]
		k.Held = append(k.Held, Held{Name: name, Reason: h.reason(), Due: timeOf(h.wait.until)})
	}
	return k
}

// waiting says why the first state of a kind has not been sent, or "", and when it will be, if that is known.
func (s *Session) waiting(sub *subscription) (string, *time.Time) {
	switch {
	case sub.sent:
		return "", nil
	case !s.snap.Open:
		return "not every source has been read", nil
	case sub.base == nil:
		return lacking(sub.lacks), nil
	default:
		return until(sub.due) + ", when what it refers to has settled", timeOf(sub.due)
	}
}

func (h *hold) reason() string {
	if h.wait.lacks != (store.Kind{}) {
		return lacking(h.wait.lacks)
	}
	return until(h.wait.until) + ", when what it refers to has settled"
}

func lacking(kind store.Kind) string {
	return "the client has not acknowledged the " + kind.Kind + " that it refers to"
}

func until(t time.Time) string { return "until " + t.UTC().Format(time.RFC3339) }

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
