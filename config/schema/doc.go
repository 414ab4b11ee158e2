// Package schema describes the files that people write, the configuration and the documents of canaries, from their Go
// types: each as a JSON Schema for editors and as a page of the documentation. Its invariant: both say what the types, their defaults and their comments say, and nothing else; keys,
// types and defaults come by reflection, the words from the comments of the fields.
package schema
