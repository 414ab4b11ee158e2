package config

import (
	"testing"
	"time"

	"meshbridge/sources"
)

func TestASourceChangesOnlyWhatItSaysOfItsProtection(t *testing.T) {
	c, _, err := LoadBytes("c", []byte(`
protect: {maxLoss: 20%, hold: 1h}
sources:
- {name: a, file: {path: a}, protect: {maxLoss: 50%, minLoss: {services: 1}}}
- {name: b, file: {path: b}}
`), ".", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	all := sources.DefaultProtect()
	all.MaxLoss, all.Hold = 20, time.Hour
	if got := c.Sources[1].Protect.Of(c.Protect); got != all {
		t.Errorf("b is protected by %+v, want %+v", got, all)
	}
	all.MaxLoss, all.MinLoss.Services = 50, 1
	if got := c.Sources[0].Protect.Of(c.Protect); got != all {
		t.Errorf("a is protected by %+v, want %+v", got, all)
	}
}

func TestTheIdentityOfASourceTellsItsRegistryAndNotItsSecrets(t *testing.T) {
	identity := func(source string) string {
		c, _, err := LoadBytes("c", []byte("sources:\n- {name: a, "+source+"}\n"), ".", noEnv)
		if err != nil {
			t.Fatal(err)
		}
		return c.Sources[0].Identity()
	}
	one := identity("zookeeper: {servers: [zk], auth: {credentials: 'u:p'}}")
	if same := identity("zookeeper: {servers: [zk], auth: {credentials: 'u:q'}, sessionTimeout: 20s}"); same != one {
		t.Errorf("another secret makes another identity: %s, %s", one, same)
	}
	for _, other := range []string{"zookeeper: {servers: [other]}", "zookeeper: {servers: [zk], chroot: /x}", "zookeeper: {servers: [zk], dubbo: {root: /x}}", "file: {path: zk}"} {
		if identity(other) == one {
			t.Errorf("%s has the identity %s", other, one)
		}
	}
}
