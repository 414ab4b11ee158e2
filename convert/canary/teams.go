package canary

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// maxBody is the most that Envoy takes as the body of an answer without route, in bytes (its
// max_direct_response_body_size_bytes); with more it refuses all routes of the listener.
const maxBody = 4096

// Validate joins what is wrong, each fault led by its path in the configuration.
func (c Config) Validate() error {
	var f faults
	for i, pattern := range c.Files {
		path := fmt.Sprintf("canary.files[%d]", i)
		if pattern == "" {
			f.add(path, "is empty: a path or a glob such as canaries/*.yaml")
		}
		if _, err := filepath.Match(pattern, ""); err != nil {
			f.add(path, "%q is no glob: close the [ or write \\[ for the character itself", pattern)
		}
	}
	if c.Settle < 0 {
		f.add("canary.settle", "%s is negative", c.Settle)
	}
	if c.OnInvalid != OnInvalidKeep && c.OnInvalid != OnInvalidRespond {
		f.add("canary.onInvalid", "%q is neither %s nor %s", c.OnInvalid, OnInvalidKeep, OnInvalidRespond)
	}
	if c.Precedence != PrecedenceYield && c.Precedence != PrecedenceOverride {
		f.add("canary.precedence", "%q is neither %s nor %s", c.Precedence, PrecedenceYield, PrecedenceOverride)
	}
	if s := c.Respond.Status; s < 200 || s > 599 {
		f.add("canary.respond.status", "%d is no status of an answer: 200 to 599", s)
	}
	if n := len(c.Respond.Body); n > maxBody {
		f.add("canary.respond.body", "has %d bytes: Envoy takes %d at most", n, maxBody)
	}
	first := map[string]int{}
	for i, t := range c.Teams {
		path := fmt.Sprintf("canary.teams[%d]", i)
		t.validate(&f, path)
		if j, twice := first[t.Name]; twice && t.Name != "" {
			f.add(path+".name", "%q is the name of canary.teams[%d] already: a name of its own", t.Name, j)
		} else {
			first[t.Name] = i
		}
	}
	return f.err()
}

func (t Team) validate(f *faults, path string) {
	f.name(path+".name", t.Name, "shop")
	if len(t.Files) == 0 {
		f.add(path+".files", "names none: paths, or globs of them, such as canaries/shop*.yaml or canaries/shop/")
	}
	for i, pattern := range t.Files {
		at := fmt.Sprintf("%s.files[%d]", path, i)
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			f.add(at, "%q is no glob: a path or a glob such as canaries/shop*.yaml, or a folder such as canaries/shop/", pattern)
		}
	}
	if len(t.Services) == 0 {
		f.add(path+".services", "names none: globs of hosts such as shop*.mesh")
	}
	f.globs(path+".services", t.Services)
	for i, g := range t.Expose {
		g.validate(f, fmt.Sprintf("%s.expose[%d]", path, i))
	}
}

func (g Grant) validate(f *faults, path string) {
	switch {
	case g.Gateway == "" && g.Delegate == "":
		f.add(path, "allows nothing: a gateway or a delegate")
		return
	case g.Gateway != "" && g.Delegate != "":
		f.add(path, "has both gateway and delegate: an entry for each")
		return
	case g.Gateway == "":
		return
	}
	f.gateway(path+".gateway", g.Gateway)
	f.prefix(path+".prefix", g.Prefix)
	if len(g.Hosts) == 0 {
		f.add(path+".hosts", `names none: "*" for all`)
	}
	f.globs(path+".hosts", g.Hosts)
}

func (f *faults) globs(path string, globs []string) {
	if i := slices.Index(globs, ""); i >= 0 {
		f.add(fmt.Sprintf("%s[%d]", path, i), `is empty: to match all write "*"`)
	}
}

// TeamOf is the first team that owns a file, by the file's path as canary.files leads to it, nil if none does. Without teams
// nobody asks.
func (c Config) TeamOf(file string) *Team {
	file = filepath.Clean(file)
	for i := range c.Teams {
		if slices.ContainsFunc(c.Teams[i].Files, func(pattern string) bool { return owns(pattern, file) }) {
			return &c.Teams[i]
		}
	}
	return nil
}

// owns reports whether a pattern matches a path whole, or, if it ends in a slash or "/**", a folder above it.
func owns(pattern, file string) bool {
	folder, isFolder := strings.CutSuffix(pattern, "/**")
	if !isFolder {
		folder, isFolder = strings.CutSuffix(pattern, "/")
	}
	if !isFolder {
		ok, err := filepath.Match(filepath.Clean(pattern), file)
		return ok && err == nil
	}
	if folder == "" {
		return filepath.IsAbs(file)
	}
	for folder, at := filepath.Clean(folder), filepath.Dir(file); ; at = filepath.Dir(at) {
		if ok, err := filepath.Match(folder, at); ok && err == nil {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// Allows joins what a document says that is not the team's to say, each fault led by its path.
func (t *Team) Allows(d *Document) error {
	var f faults
	for i, service := range d.Services {
		if !slices.ContainsFunc(t.Services, func(glob string) bool { return covers(glob, service) }) {
			f.add(fmt.Sprintf("services[%d]", i), "%q is not team %s's: it may name %s", service, t.Name, strings.Join(t.Services, ", "))
		}
	}
	for i, e := range d.Expose {
		if !slices.ContainsFunc(t.Expose, func(g Grant) bool { return g.allows(e) }) {
			f.add(fmt.Sprintf("expose[%d]", i), "%s is not team %s's: it may use %s", e.what(), t.Name, t.grants())
		}
	}
	return f.err()
}

func (g Grant) allows(e Expose) bool {
	if e.Gateway == "" {
		return g.Delegate != "" && covers(g.Delegate, e.Delegate)
	}
	under := g.Prefix == e.Prefix || strings.HasPrefix(e.Prefix, strings.TrimSuffix(g.Prefix, "/")+"/")
	return g.Gateway == e.Gateway && under && !slices.ContainsFunc(e.Hosts, func(host string) bool {
		return !slices.ContainsFunc(g.Hosts, func(glob string) bool { return covers(glob, host) })
	})
}

func (g Grant) String() string {
	if g.Delegate != "" {
		return "delegate " + g.Delegate
	}
	return fmt.Sprintf("gateway %s, hosts %s, prefix %s", g.Gateway, strings.Join(g.Hosts, " "), g.Prefix)
}

func (t *Team) grants() string {
	if len(t.Expose) == 0 {
		return "no gateway and no delegate"
	}
	all := make([]string, len(t.Expose))
	for i, g := range t.Expose {
		all[i] = g.String()
	}
	return strings.Join(all, "; or ")
}

func (e Expose) what() string { return Grant{e.Gateway, e.Hosts, e.Prefix, e.Delegate}.String() }

// covers reports whether a glob matches all that a name or another glob matches, without regard to case. It may miss
// where several wildcards together would do.
func covers(glob, inner string) bool {
	glob, inner = strings.ToLower(glob), strings.ToLower(inner)
	g, n := 0, 0
	star, mark := -1, 0
	for n < len(inner) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, n
			g++
		case g < len(glob) && (glob[g] == inner[n] || glob[g] == '?' && inner[n] != '*'):
			g++
			n++
		case star >= 0:
			mark++
			g, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
