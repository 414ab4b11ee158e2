package main

import (
	"strings"
	"testing"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/config/canaries"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

// reading starts a bridge that reads documents as they are.
func reading(t *testing.T, b *admintest.Bridge) (server string) {
	return b.Start(t, func(o *admin.Options) {
		o.ParseCanaries = func(file string, data []byte) []canary.Entry { return canaries.Parse(convert.Default(), file, data) }
	})
}

// changing is a preview that changes an object where a canary of a document has a weight of which want is true.
func changing(t *testing.T, want func(weight int) bool) func([]canary.Entry) convert.CanaryPreview {
	route := admintest.VirtualService(t, "echo.mesh", "v1")
	return func(entries []canary.Entry) convert.CanaryPreview {
		if len(entries) != 1 || entries[0].Name != "echo" {
			t.Errorf("asked for %+v, and not for the document alone", entries)
		}
		if want(entries[0].Document.Canaries[0].Weight) {
			return convert.CanaryPreview{Changes: []convert.CanaryChange{{Key: route.Key, After: route}}}
		}
		return convert.CanaryPreview{}
	}
}

func TestAnEditIsMadeIfTheBridgeWouldTakeIt(t *testing.T) {
	for name, prepare := range map[string]func(*admintest.Bridge){
		"it would change something": func(b *admintest.Bridge) {
			b.SetPreviewBy(changing(t, func(weight int) bool { return weight == 40 }))
		},
		"the bridge has not read yet what the file says": func(b *admintest.Bridge) {
			b.SetPreviewBy(changing(t, func(weight int) bool { return weight == 0 }))
		},
		"what the file says is refused, and the edit mends it": func(b *admintest.Bridge) {
			b.SetPreviewBy(func(entries []canary.Entry) (p convert.CanaryPreview) {
				if entries[0].Document.Canaries[0].Weight == 0 {
					p.Faults = map[string][]canary.Fault{"echo": {{Text: "no"}}}
				}
				return p
			})
		},
	} {
		b := world(t)
		prepare(b)
		config, file := documents(t, rollout)
		r := command(t, "canary weight echo 40"+config+" --server "+reading(t, b))
		if r.code != exitFine || r.errs != "" || !strings.Contains(read(t, file), "weight: 40") {
			t.Errorf("%s: exit %d\n%s%s\n%s", name, r.code, r.out, r.errs, read(t, file))
		}
	}
}

func TestAnEditThatTheBridgeWouldRefuseOrNotNoticeIsNotMade(t *testing.T) {
	for want, prepare := range map[string]func(*admintest.Bridge){
		"would refuse it: the documents would not become active as the registries are now:\n  echo: canaries[0].version: echo.mesh has version v1": func(b *admintest.Bridge) {
			b.SetRefused("echo", canary.Fault{Path: "canaries[0].version", Text: "echo.mesh has version v1"})
		},
		"since nothing would change: the bridge at ":                      func(*admintest.Bridge) {},
		"would serve what it serves now":                                  func(*admintest.Bridge) {},
		"has no such document; does it read this file?":                   func(b *admintest.Bridge) { b.SetCanaries() },
		"another document is active in the place of this one; meshbridge": func(b *admintest.Bridge) { in(b, convert.CanarySuperseded) },
		"all.yaml is left as it is":                                       func(b *admintest.Bridge) { in(b, convert.CanaryHeld) },
	} {
		b := world(t)
		prepare(b)
		config, file := documents(t, rollout)
		r := command(t, "canary weight echo 40"+config+" --server "+reading(t, b))
		if r.code != exitTrouble || r.out != "" || !strings.Contains(r.errs, want) || read(t, file) != rollout {
			t.Errorf("exit %d\n%s%s\nlacks %q", r.code, r.out, r.errs, want)
		}
	}
}

// in has the document echo in a state.
func in(b *admintest.Bridge, state string) {
	v := admintest.Canary("echo", "", "orders.mesh", 50)
	v.State = state
	b.SetCanaries(v)
}

func TestWhatABridgeCannotTellIsSaidAndTheEditIsMade(t *testing.T) {
	b := world(t)
	in(b, convert.CanaryPending)
	config, file := documents(t, rollout)
	r := command(t, "canary promote echo"+config+" --server "+reading(t, b))
	if r.code != exitFine || !strings.Contains(r.errs, "does not know all services of echo") || !strings.Contains(read(t, file), "primary: v2") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.errs)
	}
}

func TestEveryBridgeThatIsNamedHasToAnswerAndToTakeIt(t *testing.T) {
	takes, refuses := world(t), world(t)
	takes.SetPreviewBy(changing(t, func(int) bool { return true }))
	refuses.SetRefused("echo", canary.Fault{Text: "no"})
	idle := world(t)
	one := reading(t, takes)
	config, file := documents(t, rollout)
	for servers, want := range map[string]string{
		"127.0.0.1:1":                             "connection refused",
		one + ",127.0.0.1:1":                      "connection refused",
		one + "," + reading(t, refuses):           "would refuse it",
		reading(t, idle) + "," + reading(t, idle): "nothing would change",
	} {
		r := command(t, "canary weight echo 40"+config+" --server "+servers)
		if r.code != exitTrouble || r.out != "" || !strings.Contains(r.errs, want) || read(t, file) != rollout {
			t.Errorf("%s: exit %d\n%s%s\nlacks %q", servers, r.code, r.out, r.errs, want)
		}
	}
	if r := command(t, "canary weight echo 40"+config+" --server "+reading(t, idle)+","+one); r.code != exitFine {
		t.Errorf("where it changes something at one: exit %d\n%s", r.code, r.errs)
	}
}

func TestADocumentOfSeveralTeamsIsNamedWithItsTeam(t *testing.T) {
	dir := t.TempDir()
	config := " --config " + write(t, dir+"/meshbridge.yaml", "sources:\n- {name: hosts, file: {path: services}}\ncanary:\n  files: ['canaries/*.yaml']\n  teams:\n"+
		"  - {name: blue, files: ['canaries/blue*'], services: ['*.mesh']}\n  - {name: red, files: ['canaries/red*'], services: ['*.mesh']}\n")
	const text = "name: echo\nservices: [echo.mesh]\nprimary: v1\ncanaries: [{version: v2}]\n"
	blue, red := write(t, dir+"/canaries/blue.yaml", text), write(t, dir+"/canaries/red.yaml", text)
	r := command(t, "canary weight echo 10"+config)
	if r.code != exitTrouble || !strings.Contains(r.errs, blue+" (team blue), "+red+" (team red); name the team with --team") {
		t.Errorf("without a team: exit %d\n%s", r.code, r.errs)
	}
	r = command(t, "canary weight echo 10 --team red"+config)
	if r.code != exitFine || read(t, blue) != text || !strings.Contains(read(t, red), "weight: 10") {
		t.Errorf("of team red: exit %d\n%s%s", r.code, r.out, r.errs)
	}
	if r = command(t, "__complete canary weight"+config+" --team "); !strings.Contains(command(t, "__complete canary weight"+config+" --team b").out, "blue\n") {
		t.Errorf("completes to %s", r.out)
	}
}

func TestNoDocumentSteersTheTerminal(t *testing.T) {
	const hostile = "\x1b[31mred\x07"
	b := world(t)
	b.SetRefused("echo", canary.Fault{Path: "name", Text: hostile})
	server := reading(t, b)
	config, file := documents(t, strings.Replace(rollout, "version: v3", `version: "v3\e[31m"`, 1))
	for _, args := range []string{"canary diff " + file, "canary weight echo 40" + config, "canary weight lane 1" + config, "canary weight lane/gray 1" + config} {
		r := command(t, args+" --server "+server)
		if r.code == exitFine || strings.ContainsAny(r.out+r.errs, "\x1b\x07") {
			t.Errorf("%s: exit %d, %q %q", args, r.code, r.out, r.errs)
		}
	}
	// What cannot be written would be printed, with what other documents of the file hold.
	_, file = documents(t, rollout+"---\nname: hostile # \x1b[31m\n")
	if r := unwritable(t, file); r.code != exitTrouble || strings.Contains(r.out+r.errs, "\x1b") || !strings.Contains(r.errs, "control characters") {
		t.Errorf("exit %d, %q %q", r.code, r.out, r.errs)
	}
}
