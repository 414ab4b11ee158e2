package harness

// Canary is a canary document as the bridge sees it.
type Canary struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Faults []struct {
		Path, Text string
	} `json:"faults"`
	Waiting []struct {
		Client, Resource, Reason string
	} `json:"waiting"`
}

// Canaries are the documents that the bridge knows, by name.
func (b *Bridge) Canaries() (map[string]Canary, error) {
	items, err := list[Canary](b, "/api/v1/canaries")
	canaries := make(map[string]Canary, len(items))
	for _, c := range items {
		canaries[c.Name] = c
	}
	return canaries, err
}
