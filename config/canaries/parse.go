package canaries

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

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

// parsed is a document of a file, as it was read.
type parsed struct {
	canary.Entry
	sum    [sha256.Size]byte // of its text
	before int               // lines of the file before it
	line   int               // that of its name, counted from before; 0 if it is no YAML
	until  time.Time         // when it goes, having disappeared from the file; zero while it is there
}

// add adds what is wrong.
func (p *parsed) add(faults strict.Faults) {
	for _, f := range faults {
		p.Faults = append(p.Faults, canary.Fault{Path: short(f.Path, maxPath), Text: short(f.Error(), maxText)})
	}
}

// parser judges the documents of files. It may be used by several goroutines.
type parser struct {
	cfg  convert.Config
	done <-chan struct{} // closed when nobody waits for what it does any more; nil: never
}

func (r *parser) cancelled() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// file gives the documents of a file, by place. Those of its former ones that say the same keep their *canary.Document, and
// those whose text is the same are not read again; they must be of the same configuration.
func (r *parser) file(path string, data []byte, err error, former []parsed) []parsed {
	team, teamFault := r.teamOf(path)
	alone := func(wrong, right string) parsed {
		p := parsed{Entry: canary.Entry{File: path, Team: team.Name}}
		p.add(strict.Faults{{File: path, Wrong: wrong, Right: right}})
		return p
	}
	if err != nil {
		return []parsed{alone(err.Error(), "a file that can be read, or none")}
	}
	chunks := split(data)
	if len(chunks) == 0 {
		return []parsed{alone("is empty", "a document with a name and services, or no such file")}
	}
	known := newFormer(former)
	all := make([]parsed, 0, len(chunks))
	for i, c := range chunks {
		switch {
		case i == maxDocuments:
			all = append(all, alone(fmt.Sprintf("has more than %d documents, and those after line %d are not read", maxDocuments, c.before), "several files"))
			return limited(path, all)
		case r.cancelled():
			return append(all, alone("is not read to its end", "the bridge is being stopped"))
		}
		sum := sha256.Sum256(c.data)
		p, same := known.of(sum, team.Name)
		if !same {
			p = r.document(path, c, team)
			p.sum, p.Team = sum, team.Name
			p.add(teamFault)
			known.keep(&p)
		}
		p.before = c.before
		all = append(all, p)
	}
	return limited(path, all)
}

// teamOf is the team of a file, without a name where there are no teams.
func (r *parser) teamOf(path string) (canary.Team, strict.Faults) {
	cfg := r.cfg.Canary
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
	return canary.Team{}, strict.Faults{{File: path, Wrong: "is no team's file", Right: "a path that canary.teams gives to one: " + strings.Join(files, ", ")}}
}

func (r *parser) document(path string, c chunk, team canary.Team) parsed {
	d := canary.Default()
	source, faults := strict.Decode(path, c.data, &d, strict.Options{
		Default: DefaultOf, Before: c.before, Verbatim: true, Values: maxValues, Faults: maxDecoded,
	})
	label := ""
	if len(r.cfg.Subsets.Labels) > 0 {
		label = r.cfg.Subsets.Labels[0]
	}
	wrong := d.Validate(label)
	if team.Name != "" {
		wrong = errors.Join(wrong, team.Allows(&d))
	}
	p := parsed{Entry: canary.Entry{Name: d.Name, File: path}}
	if line := source.Line("name"); line > 0 {
		p.line = line - c.before
	}
	p.add(source.Faults(wrong))
	if p.Name == "" {
		p.Name = salvage(c.data)
	}
	if len(faults) == 0 || source.Whole() && usable(&d, faults) {
		p.Document = &d
	}
	return p
}

// former is what a file had before it was written again.
type former struct {
	bySum  map[[sha256.Size]byte]*parsed // those without a fault: their lines are of no account
	byName map[string]*parsed
}

func newFormer(all []parsed) former {
	f := former{make(map[[sha256.Size]byte]*parsed, len(all)), make(map[string]*parsed, len(all))}
	for i := range all {
		p := &all[i]
		if p.Document == nil {
			continue
		}
		f.byName[p.Name] = p
		if len(p.Faults) == 0 {
			f.bySum[p.sum] = p
		}
	}
	return f
}

// of is the former document that had a text.
func (f former) of(sum [sha256.Size]byte, team string) (parsed, bool) {
	p := f.bySum[sum]
	if p == nil || p.Team != team {
		return parsed{}, false
	}
	same := *p
	same.until = time.Time{}
	return same, true
}

// keep gives a document that says what it said before its former *canary.Document.
func (f former) keep(p *parsed) {
	if was := f.byName[p.Name]; was != nil && p.Document != nil && reflect.DeepEqual(was.Document, p.Document) {
		p.Document = was.Document
	}
}

var inCanary = regexp.MustCompile(`^canaries\[(\d+)\](.*)$`)

// usable reports whether all that could not be read lies within single canaries, so that the rest of the document is as it
// was meant. A canary whose headers could not be read in full has none: those that are left would fit more requests.
func usable(d *canary.Document, faults strict.Faults) bool {
	for _, f := range faults {
		if !strings.HasPrefix(f.Path, "canaries[") || !inCanary.MatchString(f.Path) {
			return false
		}
	}
	for _, f := range faults {
		m := inCanary.FindStringSubmatch(f.Path)
		i, err := strconv.Atoi(m[1])
		if err == nil && i < len(d.Canaries) && (m[2] == "" || strings.HasPrefix(m[2], ".headers")) {
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
	for at := 0; at < len(data) && len(chunks) <= maxDocuments; line++ {
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
	if len(chunks) <= maxDocuments {
		cut(len(data))
	}
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
