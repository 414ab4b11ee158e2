package config

import (
	"reflect"
	"slices"
	"strings"

	"meshbridge/config/strict"
)

// Diff is what a new configuration changes. Sources are listed by name, settings by path, all in order; a source that no
// list names is the same in both.
type Diff struct {
	Started    []string // sources that were not there before
	Stopped    []string // sources that are no longer there
	Restarted  []string // sources that follow another registry, or the same one in another way
	Adjusted   []string // sources that go on as they are, but what is made of their services changes
	Conversion bool     // what is made of all services changes: mesh, subsets, retainEmpty, how canaries are served or the order of the sources
	Live       []string // other settings that take effect at once
	Restart    []string // other settings that take effect when the process is restarted
}

// Empty reports whether the configurations are the same.
func (d Diff) Empty() bool { return reflect.DeepEqual(d, Diff{}) }

// live are the settings outside sources and conversion that take effect without a restart.
func live() []string {
	return []string{"admin.token", "log.level", "canary.files", "canary.teams", "canary.settle"}
}

// conversion are the settings of canaries that change what is made of services.
func conversion() []string {
	return []string{"canary.onInvalid", "canary.precedence", "canary.respond.status", "canary.respond.body"}
}

// Compare tells what changes from one configuration to another.
func Compare(before, after *Config) Diff {
	var d Diff
	d.compareSources(before.Sources, after.Sources)
	for _, path := range differences(reflect.ValueOf(*before), reflect.ValueOf(*after), "") {
		top, _, _ := strings.Cut(path, ".")
		switch {
		case strings.HasPrefix(top, "sources"):
		case top == "protect":
			d.Live = append(d.Live, path)
		case top == "mesh" || top == "subsets" || top == "retainEmpty" || slices.Contains(conversion(), path):
			d.Conversion = true
		case slices.Contains(live(), path):
			d.Live = append(d.Live, path)
		default:
			d.Restart = append(d.Restart, path)
		}
	}
	return d
}

func (d *Diff) compareSources(before, after []Source) {
	old := map[string]Source{}
	var oldOrder, newOrder []string // of the sources in both
	for _, s := range before {
		old[s.Name] = s
	}
	for _, s := range after {
		was, ok := old[s.Name]
		if !ok {
			d.Started = append(d.Started, s.Name)
			continue
		}
		newOrder = append(newOrder, s.Name)
		switch {
		case !reflect.DeepEqual(was.registry(), s.registry()):
			d.Restarted = append(d.Restarted, s.Name)
		case !reflect.DeepEqual(was, s):
			d.Adjusted = append(d.Adjusted, s.Name)
		}
	}
	for _, s := range before {
		if slices.Contains(newOrder, s.Name) {
			oldOrder = append(oldOrder, s.Name)
		} else {
			d.Stopped = append(d.Stopped, s.Name)
		}
	}
	d.Conversion = !slices.Equal(oldOrder, newOrder)
	for _, list := range [][]string{d.Started, d.Stopped, d.Restarted, d.Adjusted} {
		slices.Sort(list)
	}
}

// registry is the part of a source that its adapter reads.
func (s Source) registry() Source {
	return Source{File: s.File, Zookeeper: s.Zookeeper, Nacos: s.Nacos, Eureka: s.Eureka, Consul: s.Consul}
}

// differences lists the paths of the settings that differ.
func differences(a, b reflect.Value, path string) []string {
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		a, b = a.Elem(), b.Elem()
	}
	if a.Kind() != reflect.Struct {
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			return nil
		}
		return []string{path}
	}
	var paths []string
	for _, f := range strict.Fields(a.Type()) {
		paths = append(paths, differences(a.FieldByIndex(f.Index), b.FieldByIndex(f.Index), strict.Child(path, f.Name))...)
	}
	return paths
}
