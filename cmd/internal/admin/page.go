package admin

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"sort"
	"strconv"

	"meshbridge/cmd/internal/api"
)

// The number of items on one page of a list.
const (
	defaultLimit = 500
	maxLimit     = 5000
)

// page is the part of a list that a request asks for.
type page struct {
	limit int
	after string // the key of the last item of the page before; "" for the first page
}

func readPage(r *http.Request) (page, error) {
	p := page{limit: defaultLimit}
	q := r.URL.Query()
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return page{}, fmt.Errorf("limit: %q is not a positive number", v)
		}
		p.limit = min(n, maxLimit)
	}
	if v := q.Get("continue"); v != "" {
		key, err := base64.RawURLEncoding.DecodeString(v)
		if err != nil {
			return page{}, fmt.Errorf("continue: %q is no token that a list returned", v)
		}
		p.after = string(key)
	}
	return p, nil
}

// writePage answers with one page of the items, which are sorted by key, each shown in the API's words. A page goes on after
// the key of the one before, so that items which come and go between two requests neither repeat nor hide others.
func writePage[T, U any](w http.ResponseWriter, r *http.Request, items []T, key func(T) string, show func(T) (U, error)) {
	p, err := readPage(r)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list := api.List[U]{Items: []U{}, Total: len(items)}
	start := 0
	if p.after != "" {
		start = sort.Search(len(items), func(i int) bool { return key(items[i]) > p.after })
	}
	end := min(start+p.limit, len(items))
	for _, item := range items[start:end] {
		shown, err := show(item)
		if err != nil {
			problem(w, http.StatusInternalServerError, err.Error())
			return
		}
		list.Items = append(list.Items, shown)
	}
	if end < len(items) {
		list.Continue = base64.RawURLEncoding.EncodeToString([]byte(key(items[end-1])))
	}
	answer(w, list)
}

// same shows an item as it is.
func same[T any](v T) (T, error) { return v, nil }
