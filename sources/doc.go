// Package sources holds the vocabulary of registries (Source, Sink, Service, Instance) and the engine that keeps sources
// running and remembers what they last said (Run, Mirror). Its invariant: unknown is never empty. A source that cannot
// read its registry reports nothing, and what it reported last stands.
package sources
