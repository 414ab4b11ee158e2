package canary

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Claim is something of a host that one document alone may say. Two documents conflict there if they have claims of one Key,
// unless both claims have the same Meaning, and it is not "".
type Claim struct {
	Key     string
	Meaning string // "": nobody else may have the key, whatever it means there
	Path    string // within the document
	other   string // what another document does that has the key
	remedy  string
}

// Against tells of the conflict with a claim of another document, which is told as who, at a host.
func (c Claim) Against(who, host string) string {
	return fmt.Sprintf("%s: %s %s at %s: %s", c.Path, who, c.other, host, c.remedy)
}

// Claims are what a document alone may say of a host: what becomes of requests that no header sends to a canary, which canary
// certain headers lead to, and what the name of a canary means.
func (r Rules) Claims(d *Document) []Claim {
	var claims []Claim
	if d.decides() {
		path := "primary"
		if d.Primary == nil {
			path = fmt.Sprintf("canaries[%d].weight", slices.IndexFunc(d.Canaries, func(c Canary) bool { return c.Weight > 0 }))
		}
		claims = append(claims, Claim{Key: "rest", Path: path, other: "says already what becomes of all other requests", remedy: "say it in one of the two"})
	}
	for i := range d.Canaries {
		c := &d.Canaries[i]
		path := fmt.Sprintf("canaries[%d]", i)
		claims = append(claims, Claim{Key: "name " + c.SubsetName(), Path: path + ".name",
			Meaning: fmt.Sprintf("%t %s", d.Fallback == FallbackFailover, SubsetID(c.Selector(r.label(d)), nil)),
			other:   "has another canary " + c.SubsetName(), remedy: "choose another name"})
		if len(c.Headers) > 0 {
			claims = append(claims, Claim{Key: "requests " + text(c.Headers) + text(d.From), Path: path + ".headers",
				other: "sends these requests to its own canary", remedy: "choose other headers"})
		}
	}
	return claims
}

// text is a value in a form that tells it from others.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a part of a document did not marshal: %v", err))
	}
	return string(raw)
}
