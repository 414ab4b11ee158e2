package strict

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsOfAValidationStandOnTheLineOfTheNearestKey(t *testing.T) {
	const text = `text: a
map:
  x/y: b
part:
  size: 1
parts:
- size: 1
-
  size: 2
any: {deep: {er: 1}}
`
	tests := map[string]struct {
		err  error
		want string
	}{
		"none":               {nil, ""},
		"a key":              {errors.New("text: is a"), "f:1: text: is a"},
		"an item":            {errors.New("parts[1].size: is 2: write 1"), "f:9: parts[1].size: is 2: write 1"},
		"a key not there":    {errors.New("part.zone: is missing"), "f:4: part: zone: is missing"},
		"an item not there":  {errors.New("parts[7].size: is odd"), "f:6: parts[7].size: is odd"},
		"a key left out":     {errors.New("wait: is negative"), "f:1: wait: is negative"},
		"a key of a map":     {errors.New("map.x/y: is no key"), `f:3: map["x/y"]: is no key`},
		"a quoted key":       {errors.New(`map["x/y"]: is no key`), `f:3: map["x/y"]: is no key`},
		"inside of anything": {errors.New("any.deep.er: is 1"), "f:10: any.deep.er: is 1"},
		"no path":            {errors.New("the whole is wrong: start again"), "f:1: the whole is wrong: start again"},
		"no path at all":     {errors.New("wrong"), "f:1: wrong"},
		"a word, no path":    {errors.New("parse: is wrong"), "f:1: parse: is wrong"},
		"several":            {errors.Join(errors.New("parts: b"), errors.Join(errors.New("text: c"), nil, errors.New("map: d"))), "f:1: text: c\nf:2: map: d\nf:6: parts: b"},
		"twice the same":     {errors.Join(errors.New("text: c"), errors.New("text: c")), "f:1: text: c"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var into shape
			doc, faults := Decode("f", []byte(text), &into, Options{})
			if faults != nil {
				t.Fatal(faults)
			}
			if diff := cmp.Diff(test.want, doc.Faults(test.err).Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFaultThatFollowsFromAnotherIsNotTold(t *testing.T) {
	var into shape
	doc, _ := Decode("f", []byte("part: {sise: 1}\nmap: [a]\ntexts: [{}]\n"), &into, Options{})
	got := doc.Faults(errors.Join(
		errors.New("part: is empty"),       // around the unknown key
		errors.New("part.size: is 0"),      // beside it: told
		errors.New("map.a: is missing"),    // inside what is no map
		errors.New("texts[0]: is missing"), // at what is no text
		errors.New("texts[1]: is missing"), // told
		errors.New("is no good"),           // told: far around
	))
	var paths []string
	for _, f := range got {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"", "part.sise", "part.size", "map", "texts[0]", "texts[1]"}, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestSecretsAndVariablesAreNotRepeatedInFaults(t *testing.T) {
	var into shape
	doc, faults := Decode("f", []byte("secret: file:password\ntext: ${PASSWORD}\n"), &into, options())
	if faults != nil {
		t.Fatal(faults)
	}
	got := doc.Faults(fmt.Errorf("text: %q and %q do not go together", into.Text, into.Secret.Reveal()))
	if want := `f:2: text: "${PASSWORD}" and "<secret>" do not go together`; got.Error() != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPrefixMakesPathsWhole(t *testing.T) {
	tests := []struct {
		path string
		err  error
		want string
	}{
		{"mcp", errors.New("quiet: is negative"), "mcp.quiet: is negative"},
		{"mcp", errors.New("mcp.quiet: is negative"), "mcp.quiet: is negative"},
		{"mcp", errors.New("is wrong"), "mcp: is wrong"},
		{"", errors.New("mesh.domain: is wrong"), "mesh.domain: is wrong"},
		{"", errors.New("is wrong"), "is wrong"},
		{"sources[2].zookeeper", errors.New("zookeeper.servers[0]: is empty"), "sources[2].zookeeper.servers[0]: is empty"},
		{"sources[2]", errors.Join(errors.New("name: a"), errors.New("host: b")), "sources[2].name: a\nsources[2].host: b"},
	}
	for _, test := range tests {
		if got := Prefix(test.path, test.err).Error(); got != test.want {
			t.Errorf("Prefix(%q, %q) = %q, want %q", test.path, test.err, got, test.want)
		}
	}
	if Prefix("mcp", nil) != nil {
		t.Error("no error became one")
	}
	cause := errors.New("quiet: is negative")
	if !errors.Is(Prefix("mcp", cause), cause) {
		t.Error("the cause is lost")
	}
}

func TestNearestFindsWhatWasMeant(t *testing.T) {
	known := []string{"address", "exportTo", "quiet", "stall", "tls"}
	for word, want := range map[string]string{
		"adddress": "address", "export_to": "exportTo", "EXPORTTO": "exportTo", "quite": "quiet", "tsl": "tls", "colour": "", "": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestFlattenTakesOnlyJoinedErrorsApart(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	wrapped := fmt.Errorf("both: %w and %w", a, b)
	got := Flatten(errors.Join(a, errors.Join(wrapped, b)))
	if want := []error{a, wrapped, b}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
