package sources

import "log/slog"

// Secret is a value that is never printed: not by fmt, not by slog, not as JSON or YAML.
type Secret string

const hidden = "<secret>"

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal is the value itself, for the one place that sends it to the registry.
func (s Secret) Reveal() string { return string(s) }
