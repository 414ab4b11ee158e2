// Package build says which build of meshbridge this is. It knows only what the Go linker wrote down.
package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Info names a build.
type Info struct {
	Version  string `json:"version"`            // the module's version, or devel
	Revision string `json:"revision,omitempty"` // the commit, with "-dirty" when files differed from it
	Go       string `json:"go"`                 // the toolchain
	Platform string `json:"platform"`           // operating system and architecture
}

// version is set by the linker, for builds outside a checkout: -X meshbridge/cmd/internal/build.version=v1.2.3.
var version string

// Read reads the running binary's Info.
func Read() Info {
	info := Info{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if version != "" {
		info.Version = version
	}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if v := bi.Main.Version; version == "" && v != "" && v != "(devel)" {
		info.Version = v
	}
	dirty := ""
	for _, s := range bi.Settings {
		switch {
		case s.Key == "vcs.revision":
			info.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if info.Revision != "" {
		info.Revision += dirty
	}
	return info
}

// String is the line that `meshbridge version` prints.
func (i Info) String() string {
	revision := i.Revision
	if revision == "" {
		revision = "unknown"
	}
	return fmt.Sprintf("meshbridge %s (revision %s, %s, %s)", i.Version, revision, i.Go, i.Platform)
}
