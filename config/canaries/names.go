package canaries

import (
	"fmt"

	"meshbridge/convert/canary"
)

// own finds the documents whose name is another's. A name belongs to the first document that has it and no fault. Where
// those without fault are of several teams it is nobody's, so that no team takes another's document away by its name: what
// was served under the name stays.
func own(all []parsed) []canary.Entry {
	named := map[string][]*parsed{}
	for i := range all {
		if p := &all[i]; p.Name != "" {
			named[p.Name] = append(named[p.Name], p)
		}
	}
	lost := map[*parsed]*parsed{} // by document: the one that has its name
	for _, group := range named {
		owner, other := ownerOf(group)
		for _, p := range group {
			switch {
			case p == owner && other == nil:
			case p == owner:
				lost[p] = other
			default:
				lost[p] = owner
			}
		}
	}
	entries, losers := make([]canary.Entry, 0, len(all)), []canary.Entry(nil)
	for i := range all {
		p := &all[i]
		other := lost[p]
		if other == nil {
			entries = append(entries, p.Entry)
			continue
		}
		p.add(p.source.Faults(fmt.Errorf("name: %q is that of a document in %s already: a name of its own", p.Name, other.File)))
		losers = append(losers, p.Entry)
	}
	return append(entries, losers...)
}

// ownerOf is the document of a group that has their name, and another one if the name is nobody's.
func ownerOf(group []*parsed) (owner, other *parsed) {
	for _, p := range group {
		switch {
		case len(p.Faults) > 0:
		case owner == nil:
			owner = p
		case other == nil && p.Team != owner.Team:
			other = p
		}
	}
	if owner == nil {
		owner = group[0]
	}
	return owner, other
}
