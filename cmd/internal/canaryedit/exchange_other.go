//go:build !linux

package canaryedit

import "errors"

// exchange is for Linux.
func exchange(string, string) error { return errors.ErrUnsupported }
