package canary

// Entry is what a file says of one document, as whoever reads the files hands it on.
type Entry struct {
	Name     string    // the document's; "" if it could not be read
	File     string    // its path, as users know it
	Team     string    // whose file it is; "" without teams
	Document *Document // nil if it could not be read
	Faults   []Fault   // what is wrong with it whatever the world is like; empty: nothing
	// Unknown says that nothing is known of the files that match the pattern File, since their folder is missing or cannot be
	// read. What was active of them stays so.
	Unknown bool
}

// Fault is one thing wrong with a document.
type Fault struct {
	Path string // within the document, such as canaries[0].weight; "" for the whole
	Text string // what is wrong and what would be right, with the place in the file where it is known
}
