package zookeeper

import (
	"slices"
	"strings"
)

// parseMapping reads the node that lists the applications offering an interface, separated by commas. The list is only
// ever added to, so an application on it may have stopped offering the interface.
func parseMapping(data []byte) []string {
	var apps []string
	for app := range strings.SplitSeq(string(data), ",") {
		if app = strings.TrimSpace(app); app != "" {
			apps = append(apps, app)
		}
	}
	slices.Sort(apps)
	return slices.Compact(apps)
}
