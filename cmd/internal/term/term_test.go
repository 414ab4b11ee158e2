package term_test

import (
	"testing"

	"meshbridge/cmd/internal/term"
)

func TestWhatIsNotPrintableBecomesASpace(t *testing.T) {
	for in, want := range map[string]string{
		"orders.mesh": "orders.mesh", "größe 大": "größe 大", "a\nb\tc": "a b c", "\x1b[31mred": " [31mred", "\u009b31m": " 31m", "\u202eevil": " evil", "\xff": "\ufffd",
	} {
		if got := term.Clean(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestLinesStayLines(t *testing.T) {
	if got, want := term.CleanLines("a\x1b[31m\r\n\tb\u202e"), "a [31m \n\tb "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
