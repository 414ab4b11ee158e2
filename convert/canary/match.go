package canary

import (
	"regexp"
	"strings"

	networkingpb "istio.io/api/networking/v1alpha3"
)

// Fits reports whether a header's value is as the match wants it.
func (m Match) Fits(value string) bool {
	switch {
	case m.Prefix != "":
		return strings.HasPrefix(value, m.Prefix)
	case m.Regex != "" || m.Member != nil:
		whole, err := regexp.Compile(`\A(?:` + m.expression() + `)\z`)
		return err == nil && whole.MatchString(value)
	}
	return value == m.Exact
}

// expression is what the whole value must match. A member of baggage stands between commas, and may have properties after a
// semicolon (W3C Baggage §3.3).
func (m Match) expression() string {
	for key, value := range m.Member {
		return `(.*,)?\s*` + regexp.QuoteMeta(key) + `=` + regexp.QuoteMeta(value) + `\s*([,;].*)?`
	}
	return m.Regex
}

// istio is the match in Istio's words.
func (m Match) istio() *networkingpb.StringMatch {
	switch {
	case m.Prefix != "":
		return &networkingpb.StringMatch{MatchType: &networkingpb.StringMatch_Prefix{Prefix: m.Prefix}}
	case m.Regex != "" || m.Member != nil:
		return &networkingpb.StringMatch{MatchType: &networkingpb.StringMatch_Regex{Regex: m.expression()}}
	}
	return &networkingpb.StringMatch{MatchType: &networkingpb.StringMatch_Exact{Exact: m.Exact}}
}
