package canaries

import (
	"bytes"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"meshbridge/config/follow"
	"meshbridge/config/strict"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

// DefaultOf is what a struct of a type starts from where a list or an optional key of a document holds it, nil for its zero
// value.
func DefaultOf(t reflect.Type) any {
	if t == reflect.TypeFor[canary.Expose]() {
		return canary.DefaultExpose()
	}
	return nil
}

// parsed is an entry with what it takes to find the lines of further faults.
type parsed struct {
	canary.Entry
	source *strict.Document // nil if the file could not be read
}

// parse judges all files: entries in the order of their files and places, those whose name is another's at the end.
func parse(cfg convert.Config, files []follow.File) []canary.Entry {
	slices.SortFunc(files, func(a, b follow.File) int { return strings.Compare(a.Path, b.Path) })
	files = slices.CompactFunc(files, func(a, b follow.File) bool { return a.Path == b.Path })
	var all []parsed
	for _, f := range files {
		all = append(all, parseFile(cfg, f)...)
	}
	return own(all)
}

// add adds those faults that are not there yet.
func (p *parsed) add(faults strict.Faults) {
	for _, f := range faults {
		if fault := (canary.Fault{Path: f.Path, Text: f.Error()}); !slices.Contains(p.Faults, fault) {
			p.Faults = append(p.Faults, fault)
		}
	}
}

func parseFile(cfg convert.Config, f follow.File) []parsed {
	team, teamFault := teamOf(cfg.Canary, f.Path)
	if f.Err != nil {
		p := parsed{Entry: canary.Entry{File: f.Path, Team: team.Name}}
		p.add(strict.Faults{{File: f.Path, Wrong: f.Err.Error(), Right: "a file that can be read, or none"}})
		return []parsed{p}
	}
	chunks := split(f.Data)
	if len(chunks) == 0 {
		p := parsed{Entry: canary.Entry{File: f.Path, Team: team.Name}}
		p.add(strict.Faults{{File: f.Path, Wrong: "is empty", Right: "a document with a name and services, or no such file"}})
		return []parsed{p}
	}
	var all []parsed
	for _, c := range chunks {
		p := parseDocument(cfg, f.Path, c, team)
		p.Team = team.Name
		p.add(teamFault)
		all = append(all, p)
	}
	return all
}

// teamOf is the team of a file, without a name where there are no teams.
func teamOf(cfg canary.Config, path string) (canary.Team, strict.Faults) {
	if len(cfg.Teams) == 0 {
		return canary.Team{}, nil
	}
	if t := cfg.TeamOf(path); t != nil {
		return *t, nil
	}
	var files []string
	for _, t := range cfg.Teams {
		files = append(files, t.Files...)
	}
	return canary.Team{}, strict.Faults{{File: path, Wrong: "is no team's file", Right: "a name as canary.teams has them: " + strings.Join(files, ", ")}}
}

func parseDocument(cfg convert.Config, path string, c chunk, team canary.Team) parsed {
	d := canary.Default()
	source, faults := strict.Decode(path, c.data, &d, strict.Options{Default: DefaultOf, Before: c.before, Verbatim: true})
	label := ""
	if len(cfg.Subsets.Labels) > 0 {
		label = cfg.Subsets.Labels[0]
	}
	wrong := d.Validate(label)
	if team.Name != "" {
		wrong = errors.Join(wrong, team.Allows(&d))
	}
	p := parsed{Entry: canary.Entry{Name: d.Name, File: path}, source: source}
	p.add(source.Faults(wrong))
	if p.Name == "" {
		p.Name = salvage(c.data)
	}
	if usable(&d, faults) {
		p.Document = &d
	}
	return p
}

var inCanary = regexp.MustCompile(`^canaries\[(\d+)\](.*)$`)

// usable reports whether all that could not be read lies within single canaries, so that the rest of the document is as it
// was meant. A canary whose headers could not be read in full has none: those that are left would fit more requests.
func usable(d *canary.Document, faults strict.Faults) bool {
	for _, f := range faults {
		m := inCanary.FindStringSubmatch(f.Path)
		if m == nil {
			return false
		}
	}
	for i := range d.Canaries {
		path := strict.Item("canaries", i)
		if slices.ContainsFunc(faults, func(f strict.Fault) bool { return f.Path == path || strings.HasPrefix(f.Path, path+".headers") }) {
			d.Canaries[i].Headers = nil
		}
	}
	return true
}

var nameLine = regexp.MustCompile(`(?m)^(?:--- *)?name[ \t]*:[ \t]*["']?([a-z0-9][-a-z0-9]{0,62})["']?[ \t]*(?:#.*)?\r?$`)

// salvage finds the name of a document that is no YAML, "" if it cannot be told.
func salvage(data []byte) string {
	if m := nameLine.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}

// chunk is the part of a file that holds one document.
type chunk struct {
	before int // lines that stand before it
	data   []byte
}

// split takes the documents of a file apart, so that what is wrong with one leaves the others readable. A line that begins
// with --- or ... ends a document whatever is open there (YAML 1.2 §9.1.2). Documents of comments only are left out.
func split(data []byte) []chunk {
	var chunks []chunk
	start, before := 0, 0
	cut := func(end int) {
		if part := data[start:end]; !blank(part) {
			chunks = append(chunks, chunk{before, part})
		}
	}
	line := 0
	for at := 0; at < len(data); line++ {
		next := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		switch {
		case marker(data[at:next], "---"):
			cut(at)
			start, before = at, line
		case marker(data[at:next], "..."):
			cut(at)
			start, before = next, line+1
		}
		at = next
	}
	cut(len(data))
	return chunks
}

func marker(line []byte, mark string) bool {
	return bytes.HasPrefix(line, []byte(mark)) && (len(line) == len(mark) || bytes.IndexByte([]byte(" \t\r\n"), line[len(mark)]) >= 0)
}

// blank reports whether a part of a file has nothing but comments, directives and the beginning of a document.
func blank(part []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(part, []byte("\ufeff"))) {
		if marker(line, "---") {
			line = line[3:]
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}
