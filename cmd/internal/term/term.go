// Package term makes text of others fit to print: what a registry or a server calls its things must neither break a line
// nor steer a terminal.
package term

import (
	"strings"
	"unicode"
)

// Clean replaces what is not printable by a space.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// CleanLines is Clean for a text of several lines, which may have tabs.
func CleanLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
