package sourcetest

import (
	"context"

	"meshbridge/sources"
)

// Script is a source that does what a test tells it: each step runs with the sink in turn. A step that returns an error
// ends Run with it; after the last step Run waits for ctx to end.
type Script struct {
	steps chan func(sources.Sink) error
}

// NewScript makes a script without steps.
func NewScript() *Script { return &Script{steps: make(chan func(sources.Sink) error)} }

// Run implements sources.Source.
func (s *Script) Run(ctx context.Context, sink sources.Sink) error {
	for {
		select {
		case step := <-s.steps:
			if err := step(sink); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Do hands a step to a running Run and returns when it is taken.
func (s *Script) Do(ctx context.Context, step func(sources.Sink) error) {
	select {
	case s.steps <- step:
	case <-ctx.Done():
	}
}
