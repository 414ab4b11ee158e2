package mcpserver

import (
	"strings"
	"testing"

	"meshbridge/mcpserver/store"
)

func TestTheFirstLabelOfTheAuthorityNamesViewAndShard(t *testing.T) {
	for _, c := range []struct {
		authority, name string
		shard           store.Shard
	}{
		{"", "", store.Shard{}},
		{"127.0.0.1:16010", "", store.Shard{}},
		{"[::1]:16010", "", store.Shard{}},
		{"meshbridge", "meshbridge", store.Shard{}},
		{"meshbridge.istio-system.svc:16010", "meshbridge", store.Shard{}},
		{"meshbridge-3-of-16.istio-system.svc:16010", "meshbridge", store.Shard{Index: 3, Of: 16}},
		{"gold-0-of-1", "gold", store.Shard{Index: 0, Of: 1}},
		{"GOLD-03-OF-16:80", "gold", store.Shard{Index: 3, Of: 16}},
		{"a-1-of-2-3-of-4", "a-1-of-2", store.Shard{Index: 3, Of: 4}},
		{"0-of-4", "", store.Shard{Index: 0, Of: 4}},
		{"x-1023-of-1024", "x", store.Shard{Index: 1023, Of: 1024}},
		{"best-of-breed.example.com", "best-of-breed", store.Shard{}},
		{"one-of-2.example.com", "one-of-2", store.Shard{}},
		{"part.of-1-of-2.example.com", "part", store.Shard{}},
	} {
		name, shard, err := parseAuthority(c.authority)
		if err != nil || name != c.name || shard != c.shard {
			t.Errorf("%q is %q %+v, %v; want %q %+v", c.authority, name, shard, err, c.name, c.shard)
		}
	}
}

func TestAShardThatIsNoneIsRefused(t *testing.T) {
	for authority, reason := range map[string]string{
		"x-16-of-16.svc:80":                      "shard 16 of 16 does not exist; they count from 0 to 15",
		"0-of-0":                                 "0 is no number of shards",
		"x-0-of-1025":                            "1025 is no number of shards, 1 to 1024",
		"x-99999999999999999999-of-2":            "does not exist",
		"x-1-of-99999999999999999999999":         "is no number of shards",
		"meshbridge-4-of-4.istio-system.svc:160": `"meshbridge-4-of-4.istio-system.svc:160"`,
	} {
		if _, _, err := parseAuthority(authority); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v; want %q", authority, err, reason)
		}
	}
}

func FuzzAuthority(f *testing.F) {
	for _, s := range []string{"", "a", "a-0-of-1", "a-1-of-1.b:80", "[::1]:80", "-of-", "--of-3", "1-of-2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		name, shard, err := parseAuthority(authority)
		if err != nil {
			if name != "" || shard != (store.Shard{}) {
				t.Errorf("%q: %q %+v beside %v", authority, name, shard, err)
			}
			return
		}
		if shard != (store.Shard{}) && (shard.Of < 1 || shard.Of > maxShards || shard.Index < 0 || shard.Index >= shard.Of) {
			t.Errorf("%q is shard %+v", authority, shard)
		}
		if strings.Contains(name, ".") {
			t.Errorf("%q has the name %q, more than a label", authority, name)
		}
	})
}
