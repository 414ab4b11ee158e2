package convert

import "meshbridge/convert/canary"

// SetCanaries replaces what the files say of canaries. What comes out equal is no change.
func (c *Converter) SetCanaries(entries []canary.Entry) {
	c.mu.Lock()
	c.canaries = entries
	c.mu.Unlock()
	notify(c.wake)
}

// Canaries are the documents that the files have, by name and file.
func (c *Converter) Canaries() []CanaryView { return nil }

// Preview is what would change if the entries took the place of those of the same names, by kind and name.
func (c *Converter) Preview(entries []canary.Entry) []CanaryChange { return nil }
