package canaries

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"meshbridge/config/strict"
	"meshbridge/convert/canary"
)

// MaxFile is the most that a file of documents may hold, in bytes.
const MaxFile = 1 << 20

// What one file may cost, far above what anybody means.
const (
	maxDocuments = 1000
	maxValues    = 1 << 16 // of a document, aliases included
	maxDecoded   = 100     // faults of a document, after which the rest of it is not read
	maxFaults    = 20      // that are told of a file, besides the first of each document
	maxText      = 1000    // bytes of a fault
	maxPath      = 200     // bytes of its path
)

// limited leaves those faults of a file's documents that somebody would read. A document that has any keeps its first.
func limited(path string, all []parsed) []parsed {
	left := maxFaults
	for i := range all {
		p := &all[i]
		n := len(p.Faults)
		told := min(n, max(left, 1))
		if left -= told; told < n {
			more := strict.Fault{File: path, Wrong: fmt.Sprintf("and %d more faults", n-told), Right: "mend the first ones, and look again"}
			p.Faults = append(p.Faults[:told:told], canary.Fault{Text: more.Error()})
		}
	}
	return all
}

// short is the beginning of a long text.
func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return strings.TrimSpace(text[:limit]) + "…"
}

// tooLong is what a text of more than MaxFile has for an error, as its file would.
func tooLong(path string) error { return fmt.Errorf("read %s: more than %d bytes", path, MaxFile) }
