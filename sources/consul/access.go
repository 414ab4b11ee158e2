package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// rules are what a token needs.
const rules = `service_prefix "" { policy = "read" } and node_prefix "" { policy = "read" }`

// anonymous is the accessor of the token that requests without one have.
const anonymous = "00000000-0000-0000-0000-000000000002"

var (
	errAnonymous = errors.New("access control is on and there is no token: what may not be read is left out without a word. Set token to one with the rules " +
		rules + "; where the anonymous token has them, set allowAnonymous")
	errFiltered = errors.New("access control leaves out every service: the token lacks the rules " + rules)
	errEmpty    = errors.New("the catalog lists no service, not even Consul's own: that is no datacenter's catalog, so it is not believed")
)

// refusal is a status that is no answer, with what to do about it.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func (c *client) refused(s api.StatusError) error {
	text := fmt.Sprintf("%d %s", s.Code, http.StatusText(s.Code))
	if body := strings.TrimSpace(s.Body); body != "" {
		text += ": " + body[:min(len(body), 200)]
	}
	switch {
	case s.Code == http.StatusForbidden && c.cfg.Token == "":
		text += ": a token is needed, with the rules " + rules
	case s.Code == http.StatusForbidden:
		text += ": the token is unknown, revoked or expired, or lacks the rules " + rules
	case s.Code == http.StatusTooManyRequests:
		text += ": the agent limits connections (limits.http_max_conns_per_client, 200 unless set) or requests of one client: lower watches, or raise the limit"
	case s.Code == http.StatusBadRequest && (c.cfg.Namespace != "" || c.cfg.Partition != "") && strings.Contains(s.Body, "query parameter"):
		text += ": namespaces and partitions exist in Consul Enterprise only: leave namespace and partition out"
	case c.cfg.Filter != "" && (s.Code == http.StatusBadRequest || strings.Contains(s.Body, "expression")):
		text += ": is filter an expression on /v1/health/service?"
	}
	return &refusal{status: s.Code, text: text}
}

// hasStatus reports whether an error is an answer of that status.
func hasStatus(err error, status int) bool {
	r := new(refusal)
	return errors.As(err, &r) && r.status == status
}

// admit judges an answer to the list of services by what it may leave out.
func (s *session) admit(ctx context.Context, services int, meta *api.QueryMeta) error {
	s.denied = meta.DefaultACLPolicy == "deny"
	nameless := s.cfg.Token == "" && s.denied
	if nameless && !s.cfg.AllowAnonymous {
		// The agent may have a default token, which tells what it leaves out as any other.
		if accessor, err := s.whoami(ctx); err != nil || accessor == anonymous {
			return errAnonymous
		}
	}
	switch {
	case services > 0:
		return nil
	case meta.ResultsFilteredByACLs:
		return errFiltered
	case nameless:
		return errAnonymous
	}
	if err := s.corroborate(ctx); err != nil {
		return err
	}
	return errEmpty
}

// corroborate asks whether the token is still one: a query that was blocking when it was revoked answers 200 and nothing.
func (s *session) corroborate(ctx context.Context) error {
	if s.uncontrolled || s.cfg.Token == "" && s.cfg.AllowAnonymous {
		return nil
	}
	_, err := s.whoami(ctx)
	if hasStatus(err, http.StatusUnauthorized) { // "ACL support disabled"
		s.uncontrolled = true
		return nil
	}
	if s.cfg.Token == "" && !s.denied && hasStatus(err, http.StatusForbidden) {
		return nil // the anonymous token is not shown, and it may read all
	}
	return err
}

// whoami is the accessor of the token in use.
func (s *session) whoami(ctx context.Context) (string, error) {
	var token api.ACLToken
	if _, err := s.client.read(ctx, s.dc, pathToken, "", &token); err != nil {
		return "", err
	}
	return token.AccessorID, nil
}
