//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package canaryedit

import (
	"context"
	"errors"
)

// lock refuses, where a folder cannot be locked: edits at one time could be lost.
func lock(context.Context, string) (unlock func() error, err error) {
	return nil, errors.New("folders cannot be locked on this system, so edits at one time could be lost; edit the file by hand")
}
