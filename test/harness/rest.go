package harness

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rest sends requests to one server's HTTP API.
type rest struct {
	base     string // http://host:port
	user     string // by HTTP Basic, unless empty
	password atomic.Pointer[string]
	client   *http.Client
}

func (r *rest) setPassword(password string) { r.password.Store(&password) }

func newREST(address string) *rest {
	return &rest{base: "http://" + address, client: &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
	}}
}

// do sends one request and returns the body of the answer. A status that is not 2xx is an error of type [StatusError].
func (r *rest) do(method, path string, query url.Values, contentType string, body []byte) ([]byte, error) {
	target := r.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if r.user != "" {
		request.SetBasicAuth(r.user, *r.password.Load())
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return content, StatusError{Status: response.StatusCode, What: method + " " + path, Body: string(content)}
	}
	return content, nil
}

// StatusError is an answer of an HTTP API that is not 2xx.
type StatusError struct {
	Status int
	What   string
	Body   string
}

func (e StatusError) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.What, e.Status, http.StatusText(e.Status), strings.TrimSpace(e.Body))
}

// each does the work for every item, eight at a time, and fails the test with the first error.
func each[T any](t testing.TB, what string, items []T, work func(T) error) {
	t.Helper()
	if err := eachErr(items, work); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// eachErr does the work for every item, eight at a time, and returns an error of one that failed.
func eachErr[T any](items []T, work func(T) error) error {
	var wait sync.WaitGroup
	next := make(chan T)
	errs := make(chan error, len(items))
	for range min(8, len(items)) {
		wait.Go(func() {
			for item := range next {
				if err := work(item); err != nil {
					errs <- err
				}
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wait.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
