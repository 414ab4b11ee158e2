// Package canaries reads the documents of canaries from the files that the configuration names, and follows them. Its
// invariant: what is wrong with one document or one file takes no other along, and what is there stays known: a file that
// cannot be read is an entry with a fault, not a file without documents.
//
// tree.go knows the files and what has become of them, without a clock and without reading any; run.go says when they are looked at
// and read.
package canaries
