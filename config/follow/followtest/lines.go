// Package followtest holds what the tests of those who follow files have in common.
package followtest

import (
	"strings"
	"sync"
)

// Lines is a log that a test may read while it is written. The zero value is empty.
type Lines struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Count is how often a text is in the log.
func (l *Lines) Count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}
