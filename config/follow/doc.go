// Package follow notices when files are no longer what they were, and finds and reads those of globs. Its invariant: what has
// changed is told once the files have come to rest, whoever changed them and however: in place, by a rename, by a link in the path
// (as on a ConfigMap's mount), with or without a notice of the kernel; and nothing is opened but regular files of bounded size.
package follow
