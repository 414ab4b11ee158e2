package strict

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// countsFromZero are the errors for which yaml.v3 gives a line's number from 0: those of its parser, not of its scanner.
var countsFromZero = regexp.MustCompile(
	`^did not find expected (<|node content|'-' indicator|key|',' or )|^found (undefined tag handle|duplicate %|incompatible YAML)`)

// parse reads the only document of a file, without its comments.
func parse(name string, data []byte) (*yaml.Node, *Fault) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF) || err == nil && empty(doc.Content[0]):
		return nil, &Fault{File: name, Wrong: "is empty", Right: "a mapping of keys to values"}
	case err != nil:
		return nil, syntax(name, data, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Fault{File: name, Line: second.Line, Wrong: "a second document begins", Right: "one document in a file, without ---"}
	case !errors.Is(err, io.EOF):
		return nil, syntax(name, data, err)
	}
	return doc.Content[0], nil
}

// syntax words an error of the YAML parser without repeating text of the document, which may be a secret.
func syntax(name string, data []byte, err error) *Fault {
	fault := &Fault{File: name, Wrong: err.Error(), Right: "check the indentation, the colons and the quotes around there"}
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil {
		fault.Line, fault.Wrong = 1, "not YAML: "+m[2] // the parser leaves out the number of the first line
		if line, err := strconv.Atoi(m[1]); err == nil {
			fault.Line = line
			if countsFromZero.MatchString(m[2]) {
				fault.Line++
			}
		}
	}
	if strings.Contains(fault.Wrong, "unknown anchor") {
		fault.Line, fault.Wrong = 0, "not YAML: a value begins with * but is no alias of an anchor"
		fault.Right = "put it in quotes"
	}
	if lines := strings.Split(string(data), "\n"); fault.Line > 0 && fault.Line <= len(lines) && strings.Contains(lines[fault.Line-1], "${") {
		fault.Right = "within { } and [ ] put a ${NAME} in quotes"
	}
	return fault
}

// empty reports whether a node is null: nothing after the colon, null or ~.
func empty(n *yaml.Node) bool {
	return n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
