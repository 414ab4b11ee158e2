package canary

import "testing"

func TestAFileIsThatOfTheFirstTeamWhosePatternMatchesItsWholePath(t *testing.T) {
	c := Config{Teams: []Team{
		{Name: "echo", Files: []string{"canaries/echo*.yaml", "./e.yaml", "/etc/echo/"}},
		{Name: "deep", Files: []string{"canaries/deep/**", "teams/*/deep/"}},
		{Name: "rest", Files: []string{"canaries/[a-f]*.yaml"}},
	}}
	for file, want := range map[string]string{
		"canaries/echo-1.yaml": "echo", "canaries/../canaries/echo.yaml": "echo", "e.yaml": "echo", "/etc/echo/x.yaml": "echo", "/etc/echo/x/y.yaml": "echo",
		"/canaries/echo-1.yaml": "", "echo-1.yaml": "", "x/canaries/echo-1.yaml": "", "/etc/echo": "", "/etc/echoes/x.yaml": "", "etc/echo/x.yaml": "",
		"canaries/deep/x.yaml": "deep", "canaries/deep/a/b/x.yaml": "deep", "teams/blue/deep/x.yaml": "deep", "teams/deep/x.yaml": "", "canaries/deeper/x.yaml": "",
		"canaries/foxtrot.yaml": "rest", "canaries/golf.yaml": "", "canaries/echo.yml": "", "": "",
	} {
		got := ""
		if team := c.TeamOf(file); team != nil {
			got = team.Name
		}
		if got != want {
			t.Errorf("%q is of team %q, want %q", file, got, want)
		}
	}
}

func TestATeamSaysOnlyWhatItMay(t *testing.T) {
	team := &Team{Name: "echo", Services: []string{"echo*.mesh", "e.mesh"}, Expose: []Grant{
		{Gateway: "istio-system/app", Hosts: []string{"*.echo.example.com", "echo.example.com"}, Prefix: "/"},
		{Gateway: "istio-system/app", Hosts: []string{"*"}, Prefix: "/echo"},
		{Delegate: "echo-*", Hosts: []string{"*"}, Prefix: "/"},
	}}
	const may = `it may use gateway istio-system/app, hosts *.echo.example.com echo.example.com, prefix /; or gateway istio-system/app, hosts *, prefix /echo; or delegate echo-*`
	for text, want := range map[string]string{
		`services: [echo.mesh, e.mesh, "echo-*.mesh"]`:                                    "",
		`services: [echo.mesh, foxtrot.mesh]`:                                             `services[1]: "foxtrot.mesh" is not team echo's: it may name echo*.mesh, e.mesh`,
		`services: ["*.mesh"]`:                                                            `services[0]: "*.mesh" is not team echo's: it may name echo*.mesh, e.mesh`,
		`expose: [{gateway: istio-system/app, hosts: [echo.example.com], prefix: /x}]`:    "",
		`expose: [{gateway: istio-system/app, hosts: [a.echo.example.com]}]`:              "",
		`expose: [{gateway: istio-system/app, prefix: /echo}]`:                            "",
		`expose: [{gateway: istio-system/app, prefix: /echo/v2}]`:                         "",
		`expose: [{delegate: echo-routes}]`:                                               "",
		`expose: [{gateway: istio-system/app, prefix: /echoes}]`:                          `expose[0]: gateway istio-system/app, hosts *, prefix /echoes is not team echo's: ` + may,
		`expose: [{gateway: istio-system/app}]`:                                           `expose[0]: gateway istio-system/app, hosts *, prefix / is not team echo's: ` + may,
		`expose: [{gateway: other/app, prefix: /echo}]`:                                   `expose[0]: gateway other/app, hosts *, prefix /echo is not team echo's: ` + may,
		`expose: [{delegate: echo-routes}, {delegate: foxtrot}]`:                          `expose[1]: delegate foxtrot is not team echo's: ` + may,
		`expose: [{gateway: istio-system/app, hosts: [echo.example.com, b], prefix: /x}]`: `expose[0]: gateway istio-system/app, hosts echo.example.com b, prefix /x is not team echo's: ` + may,
	} {
		if got := told(team.Allows(written(t, text))); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
	}
	none := &Team{Name: "echo", Services: []string{"*"}}
	const want = `expose[0]: delegate a is not team echo's: it may use no gateway and no delegate`
	if got := told(none.Allows(written(t, `expose: [{delegate: a}]`))); got != want {
		t.Error(got)
	}
}

func TestAGlobCoversWhatItMatches(t *testing.T) {
	for _, test := range []struct {
		glob, inner string
		want        bool
	}{
		{"*", "*", true}, {"*", "a.mesh", true}, {"*.mesh", "a.b.mesh", true}, {"*.mesh", "*.b.mesh", true}, {"a*", "a*", true},
		{"A.mesh", "a.MESH", true}, {"a?.mesh", "a1.mesh", true}, {"a?.mesh", "a?.mesh", true}, {"a*b*c", "a-b-b-c", true},
		{"a.mesh", "*.mesh", false}, {"a?.mesh", "a*.mesh", false}, {"?", "*", false}, {"a1.mesh", "a?.mesh", false},
		{"*.mesh", "a.mesh.org", false}, {"", "a", false}, {"a*b*c", "a-b-b", false},
	} {
		if got := covers(test.glob, test.inner); got != test.want {
			t.Errorf("%q covers %q: %v", test.glob, test.inner, got)
		}
	}
}
