package nacos

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxAnswer bounds an answer in bytes: some 100,000 names of services.
const maxAnswer = 64 << 20

// statusError is an answer that is no success: of HTTP, or of gRPC with the codes that Nacos has in common for both.
type statusError struct {
	act     string // what was asked
	code    int
	message string
}

func (e *statusError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("%s: %d %s", e.act, e.code, http.StatusText(e.code))
	}
	return fmt.Sprintf("%s: %d %s", e.act, e.code, e.message)
}

// denied reports whether an answer says that the identity may not, or must show itself.
func denied(err error) bool {
	var status *statusError
	return errors.As(err, &status) && (status.code == http.StatusForbidden || status.code == http.StatusUnauthorized)
}

// unknownPath reports whether an answer says that the server has no such API: it is older or newer, or one that only
// speaks a part of Nacos. 410 is a Nacos 3 with the API of Nacos 2 switched off.
func unknownPath(err error) bool {
	var status *statusError
	return errors.As(err, &status) &&
		slices.Contains([]int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusNotImplemented}, status.code)
}

// web is the HTTP API of one server.
type web struct {
	server  server
	client  *http.Client
	timeout time.Duration
	auth    *auth
}

// newWeb follows no redirects, which would carry the token to another server, and uses no proxy, as gRPC uses none.
func newWeb(s server, t *tls.Config, timeout time.Duration, a *auth) *web {
	return &web{server: s, timeout: timeout, auth: a, client: &http.Client{
		Transport:     &http.Transport{TLSClientConfig: t, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (w *web) close() { w.client.CloseIdleConnections() }

// get asks with the identity, and once more with another token where the first is refused.
func (w *web) get(ctx context.Context, path string, query url.Values, answer any) error {
	for {
		headers, err := w.auth.headers(ctx, w, serviceID{})
		if err != nil {
			return err
		}
		err = w.do(ctx, http.MethodGet, path, query, nil, headers, answer)
		if !denied(err) {
			return err
		}
		again, failed := w.auth.renewed(ctx, w, headers)
		if failed != nil {
			return failed
		}
		if !again {
			return err
		}
	}
}

// post sends a form without identity.
func (w *web) post(ctx context.Context, path string, form url.Values, answer any) error {
	return w.do(ctx, http.MethodPost, path, nil, form, nil, answer)
}

func (w *web) do(ctx context.Context, method, path string, query, form url.Values, headers map[string]string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	at := *w.server.base
	at.Path += path
	at.RawQuery = query.Encode()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("User-Agent", agent)
	for key, value := range headers {
		request.Header.Set(key, value)
	}
	response, err := w.client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // its text repeats the query
			err = failed.Err
		}
		return fmt.Errorf("%s %s%s: %w", method, w.server, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	act := fmt.Sprintf("%s %s%s", method, w.server, path)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", act, err)
	case response.StatusCode != http.StatusOK:
		return &statusError{act: act, code: response.StatusCode, message: reason(text)}
	case len(text) > maxAnswer:
		return fmt.Errorf("%s: the answer is larger than %d MiB", act, maxAnswer>>20)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: decode answer: %w", act, err)
	}
	return nil
}

// reason is what an answer says about its failure, in one short line.
func reason(text []byte) string {
	var said struct {
		Message string `json:"message"`
		Error   string `json:"error"`
		Data    any    `json:"data"`
	}
	line := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &said) == nil {
		line = said.Message
		if line == "" {
			line = said.Error
		}
		if more, ok := said.Data.(string); ok && more != "" {
			line += ": " + more
		}
	} else if strings.HasPrefix(line, "<") {
		return "" // a page for browsers
	}
	line = strings.Join(strings.Fields(line), " ")
	if len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "…"
	}
	return line
}
