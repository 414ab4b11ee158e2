package zookeeper

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
	"unique"
)

// dubboURL is a URL as Dubbo writes it into a node's name: encoded once as a whole, its parameters not encoded again.
type dubboURL struct {
	scheme string
	host   string // as written, brackets removed
	port   uint32 // 0 if absent
	params map[string]string
}

// parseURL decodes a node's name. It reads what Dubbo's own parser reads, which is less strict than net/url: a parameter
// may hold any character but & and may lack a value.
func parseURL(node string) (dubboURL, error) {
	text, err := url.QueryUnescape(node)
	if err != nil {
		return dubboURL{}, fmt.Errorf("decode URL: %w", err)
	}
	if !utf8.ValidString(text) {
		return dubboURL{}, errors.New("URL is not UTF-8")
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme == "" || strings.ContainsAny(scheme, "/?&=: ") {
		return dubboURL{}, errors.New("URL has no scheme")
	}
	u := dubboURL{scheme: unique.Make(strings.ToLower(scheme)).Value()}
	rest, query, _ := strings.Cut(rest, "?")
	u.params = parseParams(query)
	authority, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	u.host, u.port, err = splitHostPort(authority)
	return u, err
}

// parseParams shares equal keys and values among all URLs: most are the same in thousands of them.
func parseParams(query string) map[string]string {
	params := make(map[string]string, strings.Count(query, "&")+1)
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key != "" {
			params[unique.Make(key).Value()] = unique.Make(value).Value()
		}
	}
	return params
}

// splitHostPort accepts IPv6 addresses with brackets and, as Dubbo writes them, without.
func splitHostPort(authority string) (host string, port uint32, err error) {
	host = authority
	if bracketed, rest, found := strings.Cut(authority, "]"); found && strings.HasPrefix(authority, "[") {
		host, authority = bracketed[1:], rest
		if rest != "" && rest[0] != ':' {
			return host, 0, fmt.Errorf("%q follows the address", rest)
		}
	}
	i := strings.LastIndexByte(authority, ':')
	if i < 0 {
		return host, 0, nil
	}
	if _, err := netip.ParseAddr(host); err == nil && host == authority && strings.Count(host, ":") >= 2 && !fullIPv6(authority[:i]) {
		return host, 0, nil // an IPv6 address without brackets and without a port
	}
	number, err := strconv.ParseUint(authority[i+1:], 10, 16)
	if err != nil {
		return host, 0, fmt.Errorf("port %q is no number up to 65535", authority[i+1:])
	}
	if host == authority {
		host = authority[:i]
	}
	return host, uint32(number), nil
}

// fullIPv6 reports whether s is an IPv6 address that a port may follow without ambiguity: all eight groups written out.
func fullIPv6(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil && strings.Count(s, ":") == 7 && !strings.Contains(s, "::")
}

// param is a parameter's value, or fallback where it is absent or empty.
func (u *dubboURL) param(key, fallback string) string {
	if v := u.params[key]; v != "" {
		return v
	}
	return fallback
}
