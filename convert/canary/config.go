package canary

import "time"

// Config is the section of the configuration that says where canary documents are and who may say what in them.
type Config struct {
	// Files are the documents: paths, or globs of them, that are followed; a name that begins with a dot is left out.
	// Default: [].
	Files []string `yaml:"files"`
	// Settle is how long a client must have held a subset before it is sent a route to it, and how long a subset stays after
	// the last route to it has left: the time that istiod may take to tell its proxies. Default: 10s.
	Settle time.Duration `yaml:"settle"`
	// OnInvalid says what becomes of a document with a fault: keep serves its last good content, respond answers the requests
	// of a rule that is at fault. Default: keep.
	OnInvalid string `yaml:"onInvalid"`
	// Respond is the answer to requests of a rule that is at fault. Default: see its keys.
	Respond Respond `yaml:"respond"`
	// Precedence says who wins where somebody wrote a DestinationRule or VirtualService for the same host: yield lets that one
	// win, override the generated one. Default: yield.
	Precedence string `yaml:"precedence"`
	// Teams say which files may name which services and gateways; without any, every file may name all. Default: [].
	Teams []Team `yaml:"teams"`
}

// Values of Config.OnInvalid and Config.Precedence.
const (
	OnInvalidKeep      = "keep"
	OnInvalidRespond   = "respond"
	PrecedenceYield    = "yield"
	PrecedenceOverride = "override"
)

// Respond is an answer in place of a route.
type Respond struct {
	// Status is the HTTP status. Default: 404.
	Status uint32 `yaml:"status"`
	// Body is the text of the answer, at most 4096 bytes. Default: one that names meshbridge check.
	Body string `yaml:"body"`
}

// Team is a group of people with files of their own.
type Team struct {
	// Name is shown with the team's documents. No default.
	Name string `yaml:"name"`
	// Files are the team's: paths, or globs of them, as in canary.files; one that ends in a slash or /** is a folder with all below
	// it. No default.
	Files []string `yaml:"files"`
	// Services are globs of the hosts that the team's documents may name. No default.
	Services []string `yaml:"services"`
	// Expose lists the gateways, hosts, path prefixes and delegates that the team's documents may use. Default: [].
	Expose []Grant `yaml:"expose"`
}

// Grant is what a team may expose.
type Grant struct {
	// Gateway is the namespace/name of an Istio Gateway. Default: "", there is a delegate then.
	Gateway string `yaml:"gateway"`
	// Hosts are globs of the hosts at the gateway. Default: ["*"].
	Hosts []string `yaml:"hosts"`
	// Prefix is what the paths must lie under. Default: /.
	Prefix string `yaml:"prefix"`
	// Delegate is a glob of names of delegates. Default: "".
	Delegate string `yaml:"delegate"`
}

// DefaultConfig is the section of a file that says nothing.
func DefaultConfig() Config {
	return Config{
		Settle:    10 * time.Second,
		OnInvalid: OnInvalidKeep,
		Respond: Respond{
			Status: 404,
			Body:   "This canary is not valid. Its owners see why, and what would be right, with `meshbridge check`.\n",
		},
		Precedence: PrecedenceYield,
	}
}

// DefaultGrant is a grant that says nothing.
func DefaultGrant() Grant { return Grant{Hosts: []string{"*"}, Prefix: "/"} }
