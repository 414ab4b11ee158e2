// Package canary holds the documents by which teams roll out new versions of services that registries know: what they may
// say, what is wrong with one, and the VirtualServices that follow from it. It knows no files, no clients and no time. Its
// invariant: the same documents and the same world give the same objects, and what is wrong with one document changes
// nothing for another.
package canary
