//go:build integration

package nacos

import (
	"strings"
	"testing"
	"time"

	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

// Everything that takes users is in one test for each generation, because the servers learn of users and rights only
// every fifteen seconds or so.
func TestPermissions(t *testing.T) {
	const life = 20 // seconds, of a token
	each(t, harness.NacosConfig{Auth: true, Flags: []string{"-Dnacos.core.auth.plugin.nacos.token.expire.seconds=20"}}, func(t *testing.T, server *harness.NacosServer) {
		server.CreateNamespace("blue")
		server.CreateNamespace("red")
		for _, namespace := range []string{"blue", "red"} {
			server.Persist(harness.NacosService{Namespace: namespace, Name: namespace}, instance("10.0.0.1"))
		}
		server.CreateUser("reader", "secret")
		server.Grant("reader", "blue:*:*", "r")

		c := config(server)
		c.Namespaces = []string{"blue", "red"}
		wrong, nobody, all := follow(t, as(c, "reader", "guess")), follow(t, c), as(c, "reader", "secret")
		began := time.Now()
		all.Namespaces = []string{"*"}
		r, listed := follow(t, as(c, "reader", "secret")), follow(t, all)
		grouped := c
		grouped.Groups = []string{"DEFAULT_GROUP"}
		g := follow(t, as(grouped, "reader", "secret"))

		text := func(r *sourcetest.Recorder, scope string) string {
			return r.Wait(t, scope+" is unknown", func(p sourcetest.Picture) bool { return p.States[scope] != nil }).States[scope].Error()
		}
		if got := text(wrong, "blue"); !strings.Contains(got, "log in as reader") || !strings.Contains(got, "password") {
			t.Errorf("wrong password: %s", got)
		}
		if got := text(nobody, "blue"); !strings.Contains(got, "403") || !strings.Contains(got, "set username and password") {
			t.Errorf("nobody: %s", got)
		}
		for _, r := range []*sourcetest.Recorder{r, g} {
			r.Wait(t, "the namespace that may be read", func(p sourcetest.Picture) bool { return p.Instances("blue") == 1 && p.States["blue"] == nil })
			if got := text(r, "red"); !strings.Contains(got, "403") || !strings.Contains(got, "may not list") {
				t.Errorf("the other namespace: %s", got)
			}
		}
		if server.Major == 2 { // tells its namespaces to anyone
			listed.Wait(t, "the namespace that may be read", func(p sourcetest.Picture) bool { return p.Instances("blue") == 1 && p.States["red"] != nil })
		} else {
			text := ""
			harness.Eventually(t, 20*time.Second, "that only administrators may list namespaces", func() error {
				err := newSource(t, all).Run(t.Context(), sourcetest.NewRecorder())
				text = err.Error()
				return nil
			})
			if !strings.Contains(text, "administrators only") {
				t.Errorf("namespaces of Nacos 3: %s", text)
			}
		}

		// A token is replaced before it ends.
		time.Sleep(time.Until(began.Add((life + 5) * time.Second)))
		server.Persist(harness.NacosService{Namespace: "blue", Name: "blue"}, instance("10.0.0.2"))
		p := r.Wait(t, "a change after the first token's life", has("blue", 2))
		if p.States["blue"] != nil || p.Removals > 0 {
			t.Errorf("got state %v, %d removals", p.States["blue"], p.Removals)
		}

		// A right is taken away, and given again.
		server.Revoke("reader", "blue:*:*", "r")
		if p = r.Wait(t, "blue is unknown", func(p sourcetest.Picture) bool { return p.States["blue"] != nil }); p.Instances("blue") != 2 || p.Removals > 0 {
			t.Errorf("a lost right removed something: %+v", p.Services)
		}
		server.Grant("reader", "blue:*:*", "r")
		if p = r.Wait(t, "blue is known", func(p sourcetest.Picture) bool { return p.States["blue"] == nil }); p.Instances("blue") != 2 || p.Removals > 0 {
			t.Errorf("a right's return removed something: %+v", p.Services)
		}
	})
}

// A Nacos 3 guards its list of all groups even where it guards nothing else; the lists of named groups are open then.
func TestWithoutTheAdministratorsListGroupsAreNamed(t *testing.T) {
	server := harness.StartNacos(t, harness.NacosConfig{Major: 3, Flags: []string{"-Dnacos.core.auth.admin.enabled=true"}})
	provider := server.Provide("")
	provider.Set(harness.NacosService{Group: "pay", Name: "orders"}, instance("10.0.0.1"))
	named := config(server)
	named.Groups = []string{"DEFAULT_GROUP", "pay"}
	r, refused := follow(t, named), follow(t, config(server))
	r.Wait(t, "the service", has("orders", 1))
	p := refused.Wait(t, "the refusal", unknown)
	if text := p.States["public"].Error(); !strings.Contains(text, "name the groups") {
		t.Errorf("got %s", text)
	}
}
