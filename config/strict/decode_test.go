package strict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type secret string

func (s secret) Reveal() string { return string(s) }
func (s secret) String() string { return "<secret>" }

// even reads itself and takes even numbers only.
type even int

func (e *even) UnmarshalText(text []byte) error {
	var n int
	if _, err := fmt.Sscanf(string(text), "%d", &n); err != nil || n%2 != 0 {
		return fmt.Errorf("%q is not even: write 2", text)
	}
	*e = even(n)
	return nil
}

type common struct {
	Zone string `yaml:"zone"`
}

type part struct {
	common `yaml:"-"`
	Size   int `yaml:"size"`
}

// brief is a mapping that a text may stand for.
type brief struct {
	Long  string `yaml:"long"`
	Short string `yaml:"-"`
}

func (b *brief) UnmarshalText(text []byte) error {
	b.Short = string(text)
	return nil
}

type shape struct {
	Text   string            `yaml:"text"`
	Yes    bool              `yaml:"yes"`
	Int    int8              `yaml:"int"`
	Uint   uint16            `yaml:"uint"`
	Float  float64           `yaml:"float"`
	Wait   time.Duration     `yaml:"wait"`
	Even   even              `yaml:"even"`
	Secret secret            `yaml:"secret"`
	Texts  []string          `yaml:"texts"`
	Map    map[string]string `yaml:"map"`
	Any    map[string]any    `yaml:"any"`
	JSON   json.RawMessage   `yaml:"json"`
	Part   *part             `yaml:"part"`
	Parts  []part            `yaml:"parts"`
	Common `yaml:",inline"`
	Unread int `yaml:"-"`
	Plain  int
	Brief  *brief           `yaml:"brief"`
	Briefs map[string]brief `yaml:"briefs"`
}

// Common is inline in shape.
type Common struct {
	Zone string `yaml:"zone"`
}

func options() Options {
	env := map[string]string{"HOST": "example.com", "NUMBER": "12", "EMPTY": "", "PASSWORD": "hunter2hunter2"}
	return Options{
		Env: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
		Read: func(path string) ([]byte, error) {
			switch path {
			case "password":
				return []byte("from the file\n"), nil
			case "blank":
				return []byte("\n"), nil
			case "locked":
				return nil, errors.New("open locked: permission denied")
			}
			return nil, fs.ErrNotExist
		},
		Default: func(t reflect.Type) any {
			if t == reflect.TypeFor[part]() {
				return part{Size: 7}
			}
			return nil
		},
		Later: map[string]string{"soon": "not yet", "parts[].soon": "not yet"},
	}
}

func TestEveryTypeIsDecoded(t *testing.T) {
	tests := map[string]struct {
		text string
		want shape
	}{
		"text":                           {`text: a b`, shape{Text: "a b"}},
		"text like a number":             {`text: 1.10`, shape{Text: "1.10"}},
		"text like a truth value":        {`text: no`, shape{Text: "no"}},
		"text in quotes":                 {`text: "5"`, shape{Text: "5"}},
		"variable":                       {`text: http://${HOST}/`, shape{Text: "http://example.com/"}},
		"empty variable":                 {`text: a${EMPTY}b`, shape{Text: "ab"}},
		"escaped reference":              {`text: $${HOST} $HOST $`, shape{Text: "${HOST} $HOST $"}},
		"variable as a number":           {`int: ${NUMBER}`, shape{Int: 12}},
		"quoted variable, number":        {`{int: "${NUMBER}"}`, shape{Int: 12}},
		"variable in a list":             {`texts: [a, "${HOST}"]`, shape{Texts: []string{"a", "example.com"}}},
		"true":                           {`yes: true`, shape{Yes: true}},
		"numbers":                        {"int: -128\nuint: 65535\nfloat: 1.5", shape{Int: -128, Uint: 65535, Float: 1.5}},
		"duration":                       {`wait: 1m30s`, shape{Wait: 90 * time.Second}},
		"duration of none":               {`wait: 0`, shape{}},
		"type that reads itself":         {`even: 4`, shape{Even: 4}},
		"secret":                         {`secret: "  a "`, shape{Secret: "  a "}},
		"secret like a number":           {`secret: 0123`, shape{Secret: "0123"}},
		"secret from a variable":         {`secret: ${PASSWORD}`, shape{Secret: "hunter2hunter2"}},
		"secret from a file":             {`secret: file:password`, shape{Secret: "from the file"}},
		"map":                            {`map: {a: b, "c d": 1}`, shape{Map: map[string]string{"a": "b", "c d": "1"}}},
		"anything":                       {`any: {a: [1, 1.5, true, x], b: {c: 0x10}}`, shape{Any: map[string]any{"a": []any{int64(1), 1.5, true, "x"}, "b": map[string]any{"c": int64(16)}}}},
		"anything with a variable":       {`any: {a: "${NUMBER}"}`, shape{Any: map[string]any{"a": "12"}}},
		"type that reads itself as JSON": {`json: {b: 1, a: x}`, shape{JSON: json.RawMessage(`{"a":"x","b":1}`)}},
		"pointer, from its default":      {`part: {}`, shape{Part: &part{Size: 7}}},
		"items, from their default":      {"parts:\n- {}\n- {size: 1}", shape{Parts: []part{{Size: 7}, {Size: 1}}}},
		"empty list and map":             {"texts: []\nmap: {}", shape{Texts: []string{}, Map: map[string]string{}}},
		"inline":                         {`zone: eu`, shape{Common: Common{Zone: "eu"}}},
		"without a tag":                  {`plain: 1`, shape{Plain: 1}},
		"a text for a mapping":           {"brief: 1.10\nbriefs: {a: b, c: {long: d}}", shape{Brief: &brief{Short: "1.10"}, Briefs: map[string]brief{"a": {Short: "b"}, "c": {Long: "d"}}}},
		"alias":                          {"text: &x a\ntexts: [*x, *x]", shape{Text: "a", Texts: []string{"a", "a"}}},
		"merge, own keys first":          {"part: &p {size: 3}\nparts: [{<<: *p}, {<<: [*p], size: 4}]", shape{Part: &part{Size: 3}, Parts: []part{{Size: 3}, {Size: 4}}}},
		"comments and a first ---":       {"# a\n---\ntext: a # b\n# c\n", shape{Text: "a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got shape
			if _, faults := Decode("f", []byte(test.text), &got, options()); faults != nil {
				t.Fatal(faults)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(shape{}, part{}, common{})); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":            {``, `f: is empty: a mapping of keys to values`},
		"only comments":      {"# a\n", `f: is empty: a mapping of keys to values`},
		"no mapping":         {`[a]`, `f:1: is a list: a mapping with keys such as text, yes, int, uint`},
		"second document":    {"text: a\n---\ntext: b\n", `f:2: a second document begins: one document in a file, without ---`},
		"unknown key":        {"text: a\ntexst: b", `f:2: texst: unknown key: did you mean text? (keys here: text, yes, int, uint, float, wait, even, secret, texts, map, any, json, part, parts, zone, plain, brief, briefs)`},
		"unknown, not near":  {`parts: [{colour: red}]`, `f:1: parts[0].colour: unknown key: keys here: size`},
		"key of later":       {"soon: 1\nparts:\n- {}\n- soon: 1", "f:1: soon: not yet: leave it out\nf:4: parts[1].soon: not yet: leave it out"},
		"field not read":     {`unread: 1`, `f:1: unread: unknown key: keys here: text, yes, int, uint, float, wait, even, secret, texts, map, any, json, part, parts, zone, plain, brief, briefs`},
		"duplicate key":      {"text: a\nyes: true\ntext: b", `f:3: text: duplicate key: it stands on line 1 already; keep one`},
		"duplicate in a map": {"map:\n  a.b: x\n  a.b: y", `f:3: map["a.b"]: duplicate key: it stands on line 2 already; keep one`},
		"duplicate inside":   {"any:\n  x: {k: 1, k: 2}", `f:2: any.x.k: duplicate key: it stands on line 2 already; keep one`},
		"empty value":        {"text:\nwait: ~\nparts: [null]", "f:1: text: is empty: give it a text, or leave the key out\nf:2: wait: is empty: give it a duration such as 30s, or leave the key out\nf:3: parts[0]: is empty: give it a mapping with keys such as size, or leave the key out"},
		"empty key":          {`~: 1`, `f:1: has a key that is no text: a name before the colon`},
		"key that is a list": {`? [a]` + "\n: b", `f:1: has a key that is no text: a name before the colon`},
		"yes is no truth":    {`yes: yes`, `f:1: yes: is a text: true or false`},
		"True is no truth":   {`yes: True`, `f:1: yes: is True: true or false`},
		"quoted number":      {`int: "5"`, `f:1: int: is a text in quotes: a whole number, without quotes`},
		"out of range":       {"int: 128\nuint: -1", "f:1: int: is the number 128: a whole number\nf:2: uint: is the number -1: a whole number from 0"},
		"octal or not":       {`int: 012`, `f:1: int: is the number 012: a whole number`},
		"no number":          {`float: .nan`, `f:1: float: is the number .nan: a number`},
		"no unit":            {`wait: 30`, `f:1: wait: 30 has no unit: write 30s for seconds; units are ms, s, m and h`},
		"no duration":        {`wait: soon`, `f:1: wait: is no duration: a number with a unit, such as 150ms, 30s, 2m or 1h30m`},
		"reads itself":       {`even: 3`, `f:1: even: "3" is not even: write 2`},
		"mapping for text":   {`text: {a: b}`, `f:1: text: is a mapping: a text`},
		"text for mapping":   {`part: hunter2`, `f:1: part: is a text: a mapping with keys such as size`},
		"text for list":      {`texts: a`, `f:1: texts: is a text: a list such as [a, b]`},
		"list for secret":    {`secret: [a]`, `f:1: secret: is no text: a text, ${NAME} or file:PATH`},
		"tag":                {`text: !env HOST`, `f:1: text: has a tag: plain values only, without !`},
		"unset variable":     {`text: a ${NOPE}`, `f:1: text: the variable NOPE is not set: set it in the environment, or write $${NOPE} for the text itself`},
		"broken reference":   {`text: ${not a name}`, `f:1: text: ${ begins no reference: ${NAME} for a variable, $${ for the two characters themselves`},
		"missing file":       {`secret: file:nope`, `f:1: secret: the file nope does not exist: create it, or correct the path, which is relative to the folder of this file`},
		"empty file":         {`secret: file:blank`, `f:1: secret: the file blank is empty: a file that holds the secret`},
		"unreadable file":    {`secret: file:locked`, `f:1: secret: open locked: permission denied: a file that can be read`},
		"merge of a text":    {`part: {<<: a}`, `f:1: part["<<"]: merges what is no mapping: an alias of a mapping, such as <<: *common`},
		"all at once":        {"wait: 1\nyes: 1\ntexts: [{}, a]\nx: 1", "f:1: wait: 1 has no unit: write 1s for seconds; units are ms, s, m and h\nf:2: yes: is the number 1: true or false\nf:3: texts[0]: is a mapping: a text\nf:4: x: unknown key: keys here: text, yes, int, uint, float, wait, even, secret, texts, map, any, json, part, parts, zone, plain, brief, briefs"},
		"first line":         {`a: b: c`, `f:1: not YAML: mapping values are not allowed in this context: check the indentation, the colons and the quotes around there`},
		"scanner":            {"text: a\nyes: true\nint: 'x", `f:3: not YAML: found unexpected end of stream: check the indentation, the colons and the quotes around there`},
		"parser":             {"text: a\nyes: true\ntexts: [a\nint: 1", `f:3: not YAML: did not find expected ',' or ']': check the indentation, the colons and the quotes around there`},
		"reference in { }":   {"text: a\nmap: {a: ${HOST}}", `f:2: not YAML: did not find expected ',' or '}': within { } and [ ] put a ${NAME} in quotes`},
		"no alias":           {`secret: *hunter2`, `f: not YAML: a value begins with * but is no alias of an anchor: put it in quotes`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got shape
			_, faults := Decode("f", []byte(test.text), &got, options())
			if diff := cmp.Diff(test.want, faults.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAliasesCannotFillTheMemory(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("any:\n  a0: &a0 [x]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&bomb, "  a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1)
	}
	for name, text := range map[string]string{
		"doubling":          bomb.String(),
		"itself in a list":  "any: &a {b: [*a]}",
		"itself, merged":    "any: &a {<<: *a}",
		"deep":              "any: {a: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}",
		"itself in a field": "parts: &p [*p]",
	} {
		t.Run(name, func(t *testing.T) {
			var got shape
			_, faults := Decode("f", []byte(text), &got, Options{})
			if len(faults) == 0 {
				t.Fatal("no fault")
			}
			if name != "itself in a field" && !strings.Contains(faults.Error(), "nests too deep") {
				t.Errorf("faults: %v", faults)
			}
		})
	}
}

func TestWhatHasAFaultKeepsItsDefault(t *testing.T) {
	want := shape{Text: "t", Yes: true, Int: 5, Wait: time.Second, Secret: "s", Part: &part{Size: 1}, Texts: []string{"a"}}
	got := want
	_, faults := Decode("f", []byte("text: [a]\nyes: maybe\nint: x\nwait: 5\nsecret: file:nope\npart: a\ntexts: b"), &got, options())
	if len(faults) != 7 {
		t.Errorf("faults:\n%v", faults)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(shape{}, part{}, common{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestADocumentFurtherDownHasTheLinesOfItsFile(t *testing.T) {
	for text, want := range map[string]string{
		"text: a\nyes: 1\ntext: b": "f:12: yes: is the number 1: true or false\nf:13: text: duplicate key: it stands on line 11 already; keep one",
		"text: a\nint: 'x":         "f:12: not YAML: found unexpected end of stream: check the indentation, the colons and the quotes around there",
		"# nothing":                "f: is empty: a mapping of keys to values",
	} {
		var got shape
		if _, faults := Decode("f", []byte(text), &got, Options{Before: 10}); faults.Error() != want {
			t.Errorf("%q: %v", text, faults)
		}
	}
	var got shape
	doc, faults := Decode("f", []byte("text: a\nint: 1"), &got, Options{Before: 10})
	if faults != nil {
		t.Fatal(faults)
	}
	if faults := doc.Faults(errors.New("int: is odd")); faults.Error() != "f:12: int: is odd" {
		t.Error(faults)
	}
}

func TestReferencesAreTextsWhereNobodyAskedForThem(t *testing.T) {
	var got shape
	if _, faults := Decode("f", []byte("text: ${HOST} $${HOST} ${\nmap: {a: '${NOPE}'}"), &got, Options{Verbatim: true}); faults != nil {
		t.Fatal(faults)
	}
	if got.Text != "${HOST} $${HOST} ${" || got.Map["a"] != "${NOPE}" {
		t.Errorf("decoded %+v", got)
	}
}

func TestDecodingEndsWhereTheFaultsOrValuesAreTooMany(t *testing.T) {
	text := "text: a\n" + strings.Repeat("wrong: 1\n", 50) + "int: 7\n"
	for _, one := range []struct {
		opts Options
		want string
		n    int
	}{
		{Options{Faults: 10}, "has more than 10 faults: mend the first ones, and look again", 11},
		{Options{Values: 20}, "nests too deep or repeats itself too often: at most 64 levels and 20 values, aliases included", 50},
	} {
		into := shape{}
		doc, faults := Decode("f", []byte(text), &into, one.opts)
		told := 0
		for _, f := range faults {
			if strings.HasSuffix(f.Error(), one.want) {
				told++
			}
		}
		if told != 1 || len(faults) != one.n || doc.Whole() || into.Int != 0 {
			t.Errorf("%+v: %d faults, %d times that of the limit, whole %t, read on to %d", one.opts, len(faults), told, doc.Whole(), into.Int)
		}
	}
	into := shape{}
	if doc, faults := Decode("f", []byte(text), &into, Options{}); !doc.Whole() || len(faults) != 50 || into.Int != 7 {
		t.Errorf("without limits: %d faults, whole %t", len(faults), doc.Whole())
	}
}

func TestALineIsFoundByItsPath(t *testing.T) {
	doc, _ := Decode("f", []byte("text: a\nint: 7\nint: 8\n"), &shape{}, Options{Before: 10})
	for path, want := range map[string]int{"text": 11, "int": 12, "yes": 11, "": 11} {
		if got := doc.Line(path); got != want {
			t.Errorf("%q stands on line %d, want %d", path, got, want)
		}
	}
	if doc, _ := Decode("f", []byte("text: ["), &shape{}, Options{}); doc.Line("text") != 0 || doc.Whole() {
		t.Errorf("no YAML: line %d, whole %t", doc.Line("text"), doc.Whole())
	}
}
