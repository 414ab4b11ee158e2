package follow

import (
	"io/fs"
	"syscall"
)

// changed is when a file's inode changed last.
func changed(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctim.Nano()
	}
	return 0
}
