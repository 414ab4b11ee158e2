package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"meshbridge/cmd/internal/api"
)

// maxEvent bounds one event: an object with some ten thousand endpoints.
const maxEvent = 16 << 20

// Events calls tell with each change of what the bridge serves, beginning with one that has no Op and says from which
// generation on changes follow. It returns when ctx ends, the bridge closes the stream, or tell returns an error.
func (c *Client) Events(ctx context.Context, q url.Values, tell func(api.Event) error) error {
	resp, err := c.open(ctx, http.MethodGet, api.EventsPath, q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue // id, event, a comment or the end of an event, which data alone tells as well
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read the events of %s: %w", c.base, err)
		}
		if err := tell(e); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err = lines.Err()
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the bridge closed the stream")
	}
	return fmt.Errorf("read the events of %s: %w", c.base, err)
}
