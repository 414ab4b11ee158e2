package mcpserver

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"meshbridge/mcpserver/store"
)

// maxShards bounds n of an authority's -<i>-of-<n>.
const maxShards = 1024

// parseAuthority reads what an :authority asks for. Its first DNS label is a name, and may end in -<i>-of-<n> for shard i of
// n. A label of that form which is no shard is an error; any other label, an IP address or nothing asks for the whole.
func parseAuthority(authority string) (name string, shard store.Shard, err error) {
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return "", store.Shard{}, nil
	}
	label, _, _ := strings.Cut(host, ".")
	name, index, of, ok := cutShard(label)
	if !ok {
		return label, store.Shard{}, nil
	}
	n, err := strconv.Atoi(of)
	if err != nil || n < 1 || n > maxShards {
		return "", store.Shard{}, fmt.Errorf("authority %q: %s is no number of shards, 1 to %d", authority, of, maxShards)
	}
	i, err := strconv.Atoi(index)
	if err != nil || i >= n {
		return "", store.Shard{}, fmt.Errorf("authority %q: shard %s of %d does not exist; they count from 0 to %d", authority, index, n, n-1)
	}
	return name, store.Shard{Index: i, Of: n}, nil
}

// cutShard splits name-<i>-of-<n>, both in decimal digits, and reports false if a label has no such end. The name may be empty.
func cutShard(label string) (name, index, of string, ok bool) {
	rest, of, ok := cutLast(strings.ToLower(label), "-of-")
	if !ok || !digits(of) {
		return "", "", "", false
	}
	name, index, ok = cutLast(rest, "-")
	if !ok {
		name, index = "", rest
	}
	if !digits(index) {
		return "", "", "", false
	}
	return name, index, of, true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
