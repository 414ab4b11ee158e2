package sources

import "time"

// Ref names a service of a source.
type Ref struct {
	Source string
	Key    Key
}

// Change is one service whose last report changed.
type Change struct {
	Ref     Ref
	Service *Service  // nil: gone
	At      time.Time // when the first report since the last Take came in
}

// Mirror holds each source's last report.
type Mirror struct{}

// NewMirror makes an empty mirror.
func NewMirror() *Mirror { return &Mirror{} }

// Dirty receives when there is something to Take. One consumer only.
func (m *Mirror) Dirty() <-chan struct{} { return nil }

// Take drains the set of changed services, in the order of their Refs; open says whether the gate is open once these are applied.
func (m *Mirror) Take() (changes []Change, open bool) { return nil, false }

// Service is the last report of a service, or nil.
func (m *Mirror) Service(ref Ref) *Service { return nil }
