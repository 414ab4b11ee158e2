package nacos

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	pb "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	agent = "Nacos-Go-Client:v2.3.5" // the SDK whose protocol is spoken: servers decide by it what a client understands
	// healthPause is how often the server is asked whether it still knows the connection; it drops one that is silent for 20 s.
	healthPause = 5 * time.Second
	// registerPause is how long to wait before asking whether a new connection is registered: the server says nothing by
	// itself, and complains of those that ask too early.
	registerPause = 50 * time.Millisecond

	success      = 200
	unregistered = 301
)

// link is the gRPC connection to one server.
type link struct {
	web     *web
	conn    *grpc.ClientConn
	client  pb.RequestClient
	stream  pb.BiRequestStream_RequestBiStreamClient
	timeout time.Duration
	sending sync.Mutex // of stream
}

// answer is what every answer says of itself.
type answer struct {
	Result  int    `json:"resultCode"`
	Code    int    `json:"errorCode"`
	Message string `json:"message"`
}

// dial connects to a server and returns when it has registered the connection. The connection lives as long as ctx.
func dial(ctx context.Context, w *web, t *tls.Config, timeout time.Duration) (*link, error) {
	secure := insecure.NewCredentials()
	if t != nil {
		secure = credentials.NewTLS(t)
	}
	conn, err := grpc.NewClient("passthrough:///"+w.server.grpc, grpc.WithTransportCredentials(secure), grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(), grpc.WithUserAgent(agent),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("gRPC of %s: %w", w.server.grpc, err)
	}
	l := &link{web: w, conn: conn, client: pb.NewRequestClient(conn), timeout: timeout}
	if err := l.register(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to %s (gRPC of %s): %w", w.server.grpc, w.server, err)
	}
	return l, nil
}

func (l *link) close() { l.conn.Close() }

// register opens the stream that pushes come by.
func (l *link) register(ctx context.Context) error {
	if err := l.call(ctx, "ServerCheckRequest", map[string]any{"module": "internal"}, serviceID{}, &struct{}{}); err != nil {
		return err
	}
	var err error
	if l.stream, err = pb.NewBiRequestStreamClient(l.conn).RequestBiStream(ctx); err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	setup := map[string]any{
		"module": "internal", "clientVersion": agent, "tenant": "", "clientAbilities": struct{}{},
		"labels": map[string]string{"source": "sdk", "module": "naming", "AppName": "meshbridge"},
	}
	if err := l.send("ConnectionSetupRequest", setup); err != nil {
		return err
	}
	deadline := time.NewTimer(l.timeout)
	defer deadline.Stop()
	tick := time.NewTicker(registerPause)
	defer tick.Stop()
	err = errors.New("the server did not register the connection")
	for {
		select {
		case <-tick.C:
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		err = l.health(ctx)
		var status *statusError
		if !errors.As(err, &status) || status.code != unregistered {
			return err
		}
	}
}

func (l *link) health(ctx context.Context) error {
	return l.call(ctx, "HealthCheckRequest", map[string]any{"module": "internal"}, serviceID{}, &struct{}{})
}

// keep asks for the connection's health until ctx ends or two questions in a row have no good answer.
func (l *link) keep(ctx context.Context) error {
	tick := time.NewTicker(healthPause)
	defer tick.Stop()
	for failures := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		err := l.health(ctx)
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures > 1 && ctx.Err() == nil {
			return fmt.Errorf("%s does not answer: %w", l.web.server.grpc, err)
		}
	}
}

// call asks one question with the identity, and once more with another token where the first is refused. An answer that
// is no success is a [statusError].
func (l *link) call(ctx context.Context, kind string, request any, id serviceID, out any) error {
	for {
		var headers map[string]string
		if id != (serviceID{}) {
			var err error
			if headers, err = l.web.auth.headers(ctx, l.web, id); err != nil {
				return err
			}
		}
		err := l.ask(ctx, kind, request, headers, out)
		if !denied(err) {
			return err
		}
		again, failed := l.web.auth.renewed(ctx, l.web, headers)
		if failed != nil {
			return failed
		}
		if !again {
			return err
		}
	}
}

func (l *link) ask(ctx context.Context, kind string, request any, headers map[string]string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	question, err := payload(kind, request, headers)
	if err != nil {
		return err
	}
	said, err := l.client.Request(ctx, question)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	body := said.GetBody().GetValue()
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("%s: decode answer: %w", kind, err)
	}
	if a.Result != success {
		code := a.Code
		if code == 0 {
			code = http.StatusInternalServerError
		}
		return &statusError{act: kind, code: code, message: a.Message}
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s: decode answer: %w", kind, err)
	}
	return nil
}

func payload(kind string, content any, headers map[string]string) (*pb.Payload, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", kind, err)
	}
	return &pb.Payload{Metadata: &pb.Metadata{Type: kind, Headers: headers}, Body: &anypb.Any{Value: body}}, nil
}

func (l *link) send(kind string, content any) error {
	p, err := payload(kind, content, nil)
	if err != nil {
		return err
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	if err := l.stream.Send(p); err != nil {
		return fmt.Errorf("send %s: %w", kind, err)
	}
	return nil
}

// errReset is returned when a server asks its client to go to another one.
var errReset = errors.New("the server asked to connect to another one")

// listen reads what the server sends by itself until the connection ends, and answers it at once: a server that waits
// for an answer sends the same again. pushed is called with every service that a push tells of.
func (l *link) listen(pushed func(*serviceInfo)) error {
	for {
		p, err := l.stream.Recv()
		if err != nil {
			return fmt.Errorf("stream of %s: %w", l.web.server.grpc, err)
		}
		var request struct {
			ID      string      `json:"requestId"`
			Service serviceInfo `json:"serviceInfo"`
		}
		kind := p.GetMetadata().GetType()
		if err := json.Unmarshal(p.GetBody().GetValue(), &request); err != nil {
			return fmt.Errorf("decode %s of %s: %w", kind, l.web.server.grpc, err)
		}
		reply := map[string]any{"resultCode": success, "errorCode": 0, "success": true, "requestId": request.ID}
		switch kind {
		case "NotifySubscriberRequest":
			err = l.send("NotifySubscriberResponse", reply)
			pushed(&request.Service)
		case "ClientDetectionRequest":
			err = l.send("ClientDetectionResponse", reply)
		case "SetupAckRequest":
			err = l.send("SetupAckResponse", reply)
		case "ConnectResetRequest":
			if err = l.send("ConnectResetResponse", reply); err == nil {
				err = errReset
			}
		}
		if err != nil {
			return err
		}
	}
}
