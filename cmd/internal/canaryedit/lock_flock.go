//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package canaryedit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPoll is how often a lock that somebody else has is asked for.
const lockPoll = 10 * time.Millisecond

// lock waits until no other edit of the files of a folder is under way, and keeps others waiting until unlock is called. The
// lock is on the folder itself, so nothing is left behind, also by a process that is killed.
func lock(ctx context.Context, dir string) (unlock func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f.Close, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("its file system keeps no locks, so edits at one time could be lost; edit the file by hand: %w", err), f.Close())
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
