package canaryedit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"meshbridge/config/canaries"
	"meshbridge/config/follow"
)

// File is a file of canary documents.
type File struct {
	Path string
	Text []byte
	Team string // whose file it is; "" is nobody's
}

// Find reads the file that has the document of a name, as the bridge finds it: of several files of one team the first by path.
// Names are per team, so where several teams have such a document, team must say which; "" is any. The globs are those of
// canary.files, and teamOf says whose file a path is. An error lists the documents that there are.
func Find(globs []string, teamOf func(path string) string, name, team string) (File, error) {
	files, err := Files(globs)
	var found []File
	var known []string
	for _, f := range files {
		if f.Team = teamOf(f.Path); team != "" && f.Team != team {
			continue
		}
		names := Names(f.Text)
		sameTeam := func(o File) bool { return o.Team == f.Team }
		if slices.Contains(names, name) && !slices.ContainsFunc(found, sameTeam) {
			found = append(found, f)
		}
		known = append(known, names...)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return File{}, ambiguous(name, found)
	}
	where := strings.Join(globs, ", ")
	if team != "" {
		where = "the files of team " + team
	}
	is := "there are no others"
	if len(known) > 0 {
		is = "there are " + strings.Join(known, ", ")
	}
	return File{}, errors.Join(fmt.Errorf("no document %q can be edited in %s; %s", name, where, is), err)
}

func ambiguous(name string, found []File) error {
	var places []string
	for _, f := range found {
		of := "team " + f.Team
		if f.Team == "" {
			of = "no team"
		}
		places = append(places, fmt.Sprintf("%s (%s)", f.Path, of))
	}
	return fmt.Errorf("there are several documents %q: %s; name the team with --team", name, strings.Join(places, ", "))
}

// Files reads the files that match, by path, as far as they can be read; the error joins why others cannot.
func Files(globs []string) ([]File, error) {
	var files []File
	var errs []error
	for _, glob := range globs {
		found, err := follow.Glob(glob, canaries.MaxFile)
		errs = append(errs, err)
		for _, f := range found {
			if f.Err != nil {
				errs = append(errs, f.Err)
				continue
			}
			files = append(files, File{Path: f.Path, Text: f.Data})
		}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	files = slices.CompactFunc(files, func(a, b File) bool { return a.Path == b.Path })
	return files, errors.Join(errs...)
}
