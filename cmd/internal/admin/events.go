package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/mcpserver/store"
)

// heartbeat is how often an idle event stream sends a comment, so that both ends notice when the other has gone.
const heartbeat = 15 * time.Second

// events streams what changes in what is served, as server-sent events. The first event tells the generation from which on
// changes follow; the id of each is its generation. A reader that is slower than the changes gets the difference to what it
// was last told, so nothing queues for it.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("%d event streams are open, and no more are served", maxStreams))
		return
	}
	st := stream{w: w, rc: http.NewResponseController(w), filter: f}
	// The server's read timeout would end the stream; an error means that this writer has none.
	_ = st.rc.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")

	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	told, stale := s.opts.Snapshots.Snapshot()
	err = st.hello(told)
	for err == nil {
		// The state moves on, the stream was idle for long, or the reader leaves.
		select {
		case <-stale:
			var snap *store.Snapshot
			snap, stale = s.opts.Snapshots.Snapshot()
			err = st.changes(told, snap)
			told = snap
		case <-ticker.C:
			_, err = fmt.Fprint(w, ": idle\n\n")
			err = st.flush(err)
		case <-r.Context().Done():
			return
		}
	}
}

// stream writes events to one reader.
type stream struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	filter filter
}

func (s stream) hello(snap *store.Snapshot) error {
	return s.flush(s.write("state", api.Event{Generation: snap.Generation, Open: snap.Open}))
}

// changes tells what differs between two states that the reader cares for.
func (s stream) changes(old, snap *store.Snapshot) error {
	if old.Open != snap.Open {
		if err := s.write("state", api.Event{Generation: snap.Generation, Open: snap.Open}); err != nil {
			return err
		}
	}
	for _, kind := range store.Kinds() {
		for d := range snap.Since(old, kind) {
			event, ok, err := s.event(d)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			event.Generation, event.Open = snap.Generation, snap.Open
			if err := s.write(event.Op, event); err != nil {
				return err
			}
		}
	}
	return s.flush(nil)
}

// event words a difference, and reports false if the reader does not care for it.
func (s stream) event(d store.Difference) (api.Event, bool, error) {
	had, has := s.filter.has(d.Old), s.filter.has(d.New)
	var op string
	res := d.New
	switch {
	case !had && !has:
		return api.Event{}, false, nil
	case !had:
		op = api.Added
	case has:
		op = api.Changed
	default:
		op, res = api.Removed, d.Old
	}
	shown, err := s.filter.show(res)
	return api.Event{Op: op, Resource: &shown}, true, err
}

func (s stream) write(name string, e api.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	// An error means that this writer has no deadlines, as in tests.
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = fmt.Fprintf(s.w, "id: %d\nevent: %s\ndata: %s\n\n", e.Generation, name, data)
	return err
}

func (s stream) flush(err error) error {
	if err != nil {
		return err
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.rc.Flush()
}
