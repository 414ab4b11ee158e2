package eureka

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/tools/txtar"
)

func discard(string, *wireInstance, error) {}

func TestAnOversizedAnswerEnds(t *testing.T) {
	head := `{"applications":{"application":[{"name":"X","instance":[`
	for what, test := range map[string]struct{ text, want string }{
		"one instance":   {head + `{"instanceId":"` + strings.Repeat("x", 3<<20), "one part of the answer is longer than 1 MiB"},
		"one other part": {`{"x":"` + strings.Repeat("x", 3<<20), "one part of the answer is longer than 1 MiB"},
		"all instances":  {head + `{}` + strings.Repeat(`,{"hostName":"`+strings.Repeat("x", 1<<19)+`"}`, 8), "the answer is longer than 2 MiB"},
	} {
		_, err := decodeWithin(&bounded{r: strings.NewReader(test.text), total: 2 << 20, part: 1 << 20}, discard)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", what, err, test.want)
		}
	}
}

func TestAnAnswerMayComeByteByByte(t *testing.T) {
	b := builder{apps: map[string][]member{}}
	if _, err := decode(iotest.OneByteReader(strings.NewReader(oneApp)), collect(&b)); err != nil || b.registry().counts.hash() != "UP_1_" {
		t.Errorf("got %v and hash %s", err, b.registry().counts.hash())
	}
}

func TestNoPrefixOfAnAnswerIsAnAnswer(t *testing.T) {
	for i := range len(oneApp) {
		if _, err := decode(strings.NewReader(oneApp[:i]), discard); err == nil {
			t.Errorf("%d of %d bytes were taken for an answer: %s", i, len(oneApp), oneApp[:i])
		}
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                                      "the answer is cut short",
		`null`:                                  "no list of applications: this is no answer of Eureka's",
		`[]`:                                    "no list of applications: this is no answer of Eureka's",
		`{}`:                                    "no list of applications: this is no answer of Eureka's",
		`{"applications":null}`:                 "no list of applications: this is no answer of Eureka's",
		`{"applications":[]}`:                   "no list of applications: this is no answer of Eureka's",
		`{"applications":{}`:                    "the answer is cut short",
		`{"applications":{},}`:                  "the answer is no JSON: invalid character '}'",
		`{"applications":{}}x`:                  "something follows the list of applications",
		"<applications></applications>":         "the answer is no JSON: invalid character '<' looking for beginning of value",
		`{"applications":{"application":[[]]}}`: "a list within a list of applications",
	} {
		if _, err := decode(strings.NewReader(text), discard); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// Whatever the bytes, decoding ends without a panic, and what is listed can be kept, hashed and reported.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("got %v, %v; want golden files", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(txtar.Parse(data).Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := builder{apps: map[string][]member{}}
		take := collect(&b)
		if _, err := decode(strings.NewReader(text), take); err != nil {
			return
		}
		r := b.registry()
		r.apply(r.revise(nil))
		seen := 0
		for _, s := range r.services(Scope) {
			seen += len(s.Instances) + len(s.Skipped)
			for i, instance := range s.Instances {
				if instance.ID == "" || instance.Address == "" || len(instance.Ports) == 0 || i > 0 && s.Instances[i-1].ID >= instance.ID {
					t.Errorf("instance %+v of %s", instance, s.Name)
				}
			}
		}
		if seen != r.counts.size() {
			t.Errorf("%d members, %d of them reported; hash %s", r.counts.size(), seen, fmt.Sprint(r.counts.hash()))
		}
	})
}
