package mcpserver

import (
	"iter"

	"meshbridge/mcpserver/store"
)

// Response is what a session sends. It is valid until the session is called again.
type Response struct {
	TypeURL  string
	Nonce    string
	Kind     store.Kind
	Delta    bool
	First    bool // the first of its kind on the stream
	Foreign  bool // a kind that is not ours: an empty answer
	Upserts  []*store.Resource
	Removed  []string // names, sorted
	View     View
	Snapshot *store.Snapshot // what the state is taken from

	session *Session
	sub     *subscription
}

// Resources yields the whole state that the client holds after the response, as state of the world has it.
func (r *Response) Resources() iter.Seq[*store.Resource] {
	if r.Foreign {
		return func(func(*store.Resource) bool) {}
	}
	return r.session.state(r.sub)
}

// Shared reports whether every client of the view is sent the same state: nothing is held back.
func (r *Response) Shared() bool { return r.sub != nil && len(r.sub.held) == 0 }

// Sent notes the version and the size, in bytes, under which the response went out.
func (r *Response) Sent(version string, bytes int) {
	if r.sub == nil || r.sub.inflight == nil || r.sub.inflight.nonce != r.Nonce {
		return
	}
	r.sub.inflight.version, r.sub.inflight.bytes = version, bytes
	r.sub.sentVersion, r.sub.sentAt, r.sub.bytes = version, r.sub.inflight.at, r.sub.bytes+uint64(bytes)
}
