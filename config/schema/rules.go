package schema

import "slices"

// values lists the words that a key takes, where it takes no others.
func (k *key) values() []string { return k.of.words[k.path] }

// needed reports whether without a key there is no valid file, or no valid part of one.
func (k *key) needed() bool { return slices.Contains(k.of.needed, k.path) }

// alternatives lists the keys of which a mapping has exactly one.
func (k *key) alternatives() []string { return k.of.alternatives[k.path] }
