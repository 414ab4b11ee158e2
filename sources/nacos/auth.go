package nacos

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	// renewPause is the least time between two logins that refusals ask for: most are about permissions, and stay.
	renewPause = time.Minute
	// loginPause is the pause after a login that failed while the token still lives.
	loginPause = 5 * time.Second
)

// auth is the identity shown with each request: a user's token, a signature, or none. It outlives connections, because
// all servers of a cluster take the same token.
type auth struct {
	user, password       string
	accessKey, secretKey string

	mu      sync.Mutex // held over a login, so that there is one at a time
	token   string
	issued  time.Time
	renewAt time.Time
	expires time.Time
}

func newAuth(c Config) *auth {
	return &auth{user: c.Username, password: c.Password.Reveal(), accessKey: c.AccessKey, secretKey: c.SecretKey.Reveal()}
}

// headers are the identity for a request that is about a service, or about none. It logs in where no token lives any
// more; one near its end is replaced, and kept as long as that does not succeed.
func (a *auth) headers(ctx context.Context, w *web, id serviceID) (map[string]string, error) {
	switch {
	case a.accessKey != "":
		return a.signed(id, time.Now()), nil
	case a.user == "":
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.renewAt) {
		if err := a.loginLocked(ctx, w); err != nil {
			if now.After(a.expires) {
				return nil, err
			}
			a.renewAt = now.Add(loginPause)
		}
	}
	return map[string]string{"accessToken": a.token}, nil
}

// signed is the identity of a request to Alibaba Cloud, as its SDK signs requests about services.
func (a *auth) signed(id serviceID, now time.Time) map[string]string {
	data := strconv.FormatInt(now.UnixMilli(), 10)
	if id != (serviceID{}) {
		data += "@@" + id.String()
	}
	mac := hmac.New(sha1.New, []byte(a.secretKey))
	mac.Write([]byte(data)) // never fails
	return map[string]string{"ak": a.accessKey, "data": data, "signature": base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

// renewed reports whether a refused request may be tried again with another token: the refused one was replaced, or is
// replaced now.
func (a *auth) renewed(ctx context.Context, w *web, refused map[string]string) (bool, error) {
	if a.user == "" {
		return false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.token != refused["accessToken"]:
		return true, nil
	case time.Since(a.issued) < renewPause:
		return false, nil // just made: it is the user who may not
	}
	if err := a.loginLocked(ctx, w); err != nil {
		return false, err
	}
	return true, nil
}

// open logs in where a user is configured and no token lives, to tell a wrong password before anything else is asked. A
// server newly connected to may know nothing of a token that was made just now, so the first refusal renews it.
func (a *auth) open(ctx context.Context, w *web) error {
	_, err := a.headers(ctx, w, serviceID{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued = time.Time{}
	return err
}

// loginLocked asks for a token: of Nacos 3, or of Nacos 2, which knows nothing of the path of Nacos 3.
func (a *auth) loginLocked(ctx context.Context, w *web) error {
	var answer struct {
		Token string `json:"accessToken"`
		TTL   int64  `json:"tokenTtl"` // in seconds
	}
	form := url.Values{"username": {a.user}, "password": {a.password}}
	err := w.post(ctx, "/v3/auth/user/login", form, &answer)
	if unknownPath(err) {
		err = w.post(ctx, "/v1/auth/users/login", form, &answer)
	}
	var refused *statusError
	switch {
	case errors.As(err, &refused) && (refused.code == http.StatusForbidden || refused.code == http.StatusUnauthorized):
		return fmt.Errorf("log in as %s: user or password is wrong: %w", a.user, err)
	case errors.As(err, &refused) && refused.code == http.StatusInternalServerError: // what a Nacos 3 without console makes of a refusal
		return fmt.Errorf("log in as %s: is user or password wrong? %w", a.user, err)
	case err != nil:
		return fmt.Errorf("log in as %s: %w", a.user, err)
	case answer.Token == "":
		return fmt.Errorf("log in as %s: %s gave no token", a.user, w.server)
	}
	now, ttl := time.Now(), time.Duration(max(answer.TTL, 10))*time.Second
	a.token, a.issued, a.renewAt, a.expires = answer.Token, now, now.Add(ttl*4/5), now.Add(ttl)
	return nil
}
