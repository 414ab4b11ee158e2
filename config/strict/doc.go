// Package strict decodes one YAML document into Go structs and is content with nothing less than the whole truth: unknown
// and duplicate keys, wrong types, empty values and unset variables are faults. Its invariant: a document either fits
// entirely, or every fault in it is told at once, in the order of its lines, each with the file, the line, the path, what
// is wrong and what would be right.
//
// It reads the yaml tags of the structs (names and inline) and knows time.Duration, encoding.TextUnmarshaler,
// json.Unmarshaler and secrets (string types with a Reveal method). It never prints the value of a text, as it may be a
// secret that stands in the wrong place.
package strict
