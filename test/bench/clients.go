package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// What a client speaks.
const (
	sotw  = "state of the world"
	delta = "delta"
	eds   = "EDS"   // delta, as the sidecar of an istiod
	plain = "plain" // no discovery: it says once which shard it is and then only receives
)

// Connect says who connects to whom.
type Connect struct {
	Address   string
	Speaks    string
	Clients   int
	Shards    int      // streams, and connections, of each client
	NodeShard bool     // the shard is told by the node ID, not by the authority
	Clusters  []string // that an EDS client follows
}

// Connected is what the first answers were.
type Connected struct {
	Bytes int64
	Took  time.Duration
}

// Got is one change that has come to one client.
type Got struct {
	Change, Client int
	At             int64 // Unix nanoseconds
}

// Await says for how many changes to wait, counted once for each client, and for how long.
type Await struct {
	Count int
	Limit time.Duration
}

// Received is what came since the last time it was asked for, the first answers apart.
type Received struct {
	Got      []Got
	Messages int
	Payload  int64  // bytes of messages
	Wire     int64  // bytes read from connections
	Sample   []byte // the last message
}

// Clients is the role of a process of many clients.
type Clients struct {
	ctx     context.Context
	wire    atomic.Int64
	streams sync.WaitGroup

	// Guarded by mu.
	mu      sync.Mutex
	stop    []func()
	changed chan struct{} // closed when something has come
	first   Connected
	waiting int // first answers that have not come
	seen    map[[2]int]bool
	got     Received
	err     error
}

func newClients(ctx context.Context) *Clients {
	return &Clients{ctx: ctx, changed: make(chan struct{}), seen: map[[2]int]bool{}}
}

// dial connects as istiod does.
func (c *Clients) dial(address, authority string) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.ForceCodecV2(raw{})),
		grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(1 << 20),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			return counted{conn, &c.wire}, err
		}),
	}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	return grpc.NewClient("passthrough:///"+address, options...)
}

type counted struct {
	net.Conn
	read *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// Connect connects, waits for the first answers, and goes on receiving.
func (c *Clients) Connect(args Connect, reply *Connected) error {
	start := time.Now()
	c.mu.Lock()
	c.first = Connected{}
	c.mu.Unlock()
	for client := range args.Clients {
		for shard := range max(args.Shards, 1) {
			if err := c.open(args, client, shard); err != nil {
				return err
			}
		}
	}
	err := c.wait(5*time.Minute, func() bool { return c.waiting == 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	*reply = c.first
	reply.Took = time.Since(start)
	c.resetLocked()
	return errors.Join(err, c.err)
}

func (c *Clients) open(args Connect, client, shard int) error {
	authority := ""
	if args.Shards > 1 && !args.NodeShard {
		authority = fmt.Sprintf("bridge-%d-of-%d.bench", shard, args.Shards)
	}
	conn, err := c.dial(args.Address, authority)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	s := &stream{clients: c, args: args, client: client, shard: shard, pending: map[string]bool{}}
	for _, t := range s.types() {
		s.pending[t] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += len(s.pending)
	c.stop = append(c.stop, func() {
		cancel()
		conn.Close()
	})
	c.streams.Go(func() {
		if err := s.run(ctx, conn); err != nil && ctx.Err() == nil {
			c.fail(fmt.Errorf("client %d, shard %d: %w", client, shard, err))
		}
	})
	return nil
}

func (c *Clients) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, err)
	c.tellLocked()
}

// Disconnect ends all streams.
func (c *Clients) Disconnect(Nothing, *Nothing) error {
	c.mu.Lock()
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	for _, f := range stop {
		f()
	}
	c.streams.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetLocked()
	clear(c.seen)
	c.waiting, c.err = 0, nil
	return nil
}

// Collect waits until as many changes have come as are awaited, or the time is over, and returns them.
func (c *Clients) Collect(args Await, reply *Received) error {
	waited := c.wait(args.Limit, func() bool { return len(c.got.Got) >= args.Count })
	c.mu.Lock()
	defer c.mu.Unlock()
	*reply = c.got
	reply.Wire = c.wire.Load()
	c.resetLocked()
	if c.err != nil {
		return c.err
	}
	if waited != nil && len(reply.Got) == 0 && args.Count > 0 {
		return waited
	}
	return nil
}

// Messages waits until as many messages have come as are awaited, and returns what came.
func (c *Clients) Messages(args Await, reply *Received) error {
	err := c.wait(args.Limit, func() bool { return c.got.Messages >= args.Count })
	c.mu.Lock()
	defer c.mu.Unlock()
	*reply = c.got
	reply.Wire = c.wire.Load()
	c.resetLocked()
	return errors.Join(err, c.err)
}

func (c *Clients) resetLocked() {
	c.got = Received{}
	c.wire.Store(0)
}

func (c *Clients) tellLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

var errAwaited = errors.New("what was awaited did not come in time")

// wait waits until the condition, which is asked with mu held, is true, a stream has failed, or the time is over.
func (c *Clients) wait(limit time.Duration, ok func() bool) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		c.mu.Lock()
		done, changed := ok() || c.err != nil, c.changed
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-over.C:
			return errAwaited
		}
	}
}

// Full opens a connection, then a stream, and times from the request to the last byte of the first answer.
func (c *Clients) Full(args Connect, reply *Connected) error {
	conn, err := c.dial(args.Address, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("connect to %s: %w", args.Address, ctx.Err())
		}
	}
	s := &stream{clients: c, args: args, pending: map[string]bool{}}
	start := time.Now()
	raw, err := s.start(ctx, conn)
	if err != nil {
		return err
	}
	var message []byte
	if err := raw.RecvMsg(&message); err != nil {
		return err
	}
	*reply = Connected{Bytes: int64(len(message)), Took: time.Since(start)}
	return nil
}
