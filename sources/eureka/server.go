package eureka

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Server is a base URL of a Eureka server, to which /apps is appended. It may hold a name and a password; the password
// is not printed by fmt, nor as JSON or YAML.
type Server string

// String is the URL with its password hidden.
func (s Server) String() string {
	scheme, rest, found := strings.Cut(string(s), "://")
	if !found {
		scheme, rest = "", scheme
	} else {
		scheme += "://"
	}
	// Up to the last @, whatever stands before it: what is not a URL may still hold a password.
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return string(s)
	}
	user, _, withPassword := strings.Cut(rest[:at], ":")
	if withPassword {
		user += ":<secret>"
	}
	return scheme + user + rest[at:]
}

// Format hides the password from every verb of fmt.
func (s Server) Format(f fmt.State, verb rune) {
	if verb != 'q' && verb != 's' {
		verb = 'v'
	}
	fmt.Fprintf(f, "%"+string(verb), s.String())
}

// MarshalText hides the password from JSON and YAML.
func (s Server) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// parse is the base URL without a slash at its end.
func (s Server) parse() (*url.URL, error) {
	switch {
	case s == "":
		return nil, errors.New("empty: a base URL such as http://eureka-1:8761/eureka")
	case strings.Contains(string(s), ",http"), strings.ContainsAny(string(s), " \t\n"):
		return nil, errors.New("several servers are several list entries")
	}
	base, err := url.Parse(string(s))
	if err != nil {
		return nil, errors.New("is no URL: a base URL such as http://eureka-1:8761/eureka, with special characters of a password %-encoded") // err quotes the URL
	}
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath = strings.TrimRight(base.RawPath, "/")
	switch {
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, errors.New("is no http or https URL: a base URL such as http://eureka-1:8761/eureka")
	case base.Hostname() == "":
		return nil, errors.New("has no host")
	case base.RawQuery != "", base.Fragment != "":
		return nil, errors.New("has a query or a fragment: a base URL ends in its path")
	case strings.HasSuffix(base.Path, "/apps"):
		return nil, errors.New("ends in /apps: name the URL before it")
	}
	return base, nil
}
