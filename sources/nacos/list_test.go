package nacos

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lists makes a lister of a fake whose list is scripted: each look is one list of pages, each page its total and names.
func lists(t *testing.T, script [][]string) (*lister, *int) {
	t.Helper()
	f := newFake(t)
	looks := 0
	f.hook(func(_ string, page int) (int, string) {
		if page == 1 {
			looks++
		}
		pages := script[min(looks, len(script))-1]
		if page > len(pages) {
			return 0, `{"data":{"totalCount":0}}`
		}
		total, names, _ := strings.Cut(pages[page-1], " ")
		var items []string
		for _, name := range strings.Fields(names) {
			items = append(items, fmt.Sprintf(`{"name":%q,"groupName":"g"}`, name))
		}
		return 0, fmt.Sprintf(`{"data":{"totalCount":%s,"pageItems":[%s]}}`, total, strings.Join(items, ","))
	}, nil)
	s, err := parseServer(f.web.URL, f.grpc)
	if err != nil {
		t.Fatal(err)
	}
	w := newWeb(s, nil, time.Second, newAuth(Config{}))
	t.Cleanup(w.close)
	return &lister{web: w}, &looks
}

func TestPagesAreReadUntilTheyAgree(t *testing.T) {
	for _, c := range []struct {
		what    string
		script  [][]string
		looks   int
		partial bool
	}{
		{"one page", [][]string{{"3 a b c"}}, 1, false},
		{"three pages", [][]string{{"3 a", "3 b", "3 c"}}, 1, false},
		{"one more meanwhile", [][]string{{"2 a", "3 b", "3 c"}, {"3 a b c"}}, 2, false},
		{"more than there are", [][]string{{"2 a b c"}, {"3 a b c"}}, 2, false},
		{"one that slipped", [][]string{{"3 a", "3 b", "3 b"}, {"3 a", "3 b", "3 c"}}, 2, false},
		{"an early end", [][]string{{"3 a", "3"}, {"3 a b c"}}, 2, false},
		{"never at rest", [][]string{{"3 a", "4 b"}, {"4 a", "3 c"}, {"5 a"}}, listTries, true},
	} {
		l, looks := lists(t, c.script)
		got, err := l.list(t.Context(), public, -1)
		if err != nil || len(got.services) != 3 || got.partial != c.partial || *looks != c.looks {
			t.Errorf("%s: got %+v after %d looks, %v", c.what, got, *looks, err)
		}
	}
}

func TestOfALongListOfKnownLengthOneLookIsEnough(t *testing.T) {
	l, _ := lists(t, [][]string{{"3 a", "3 b", "3 c"}})
	if got, err := l.list(t.Context(), public, 3); err != nil || got.services != nil || got.total != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := l.list(t.Context(), public, 2); err != nil || len(got.services) != 3 {
		t.Errorf("of another length: got %+v, %v", got, err)
	}
}

func TestAListThatIsNowhereIsSaidSo(t *testing.T) {
	for status, want := range map[int]string{http.StatusGone: "name them in groups", http.StatusForbidden: "set username and password, or name the groups"} {
		f := newFake(t)
		f.hook(func(string, int) (int, string) { return status, "" }, nil)
		s, err := parseServer(f.web.URL, f.grpc)
		if err != nil {
			t.Fatal(err)
		}
		w := newWeb(s, nil, time.Second, newAuth(Config{}))
		t.Cleanup(w.close)
		l := &lister{web: w}
		if _, err := l.list(t.Context(), public, -1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v", status, err)
		}
	}
}
